"""The camera as the rest of the appliance sees it: encoded frames, always; without a picture or for privacy, a card."""

from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import Self

import av

from appliance.errors import DeviceError
from appliance.media.bridge import ThreadBridge
from appliance.media.clock import Clock
from appliance.media.values import EncodedFrame

from .ladder import Rung
from .pictures import PictureSource, VideoConfig
from .recorder import LEAST_FPS, Card, Recorder, Shot

_QUEUE_LENGTH = 8


class Camera:
    """A `VideoSource`: its calls belong to the loop; what may block runs in the recorder's thread."""

    def __init__(
        self,
        config: VideoConfig,
        open_source: Callable[[], PictureSource],
        draw_card: Callable[[Card], av.VideoFrame],
        clock: Clock,
        *,
        unit: int,
        camera_on: bool = True,
    ) -> None:
        """`unit` goes into the time code, which is drawn when the settings say so."""
        self._clock = clock
        self._recorder = Recorder(config, open_source, draw_card, clock, unit=unit, privacy=not camera_on)
        self._bridge: ThreadBridge[Shot] = ThreadBridge("camera", self._recorder.run, _QUEUE_LENGTH)
        self._privacy = not camera_on
        self._lost_in_queue = 0
        self._chain_is_broken = False
        self._withheld = 0
        self.frames = 0

    # what the status says

    @property
    def problem(self) -> DeviceError | None:
        return self._recorder.problem

    @property
    def encoder(self) -> str:
        """Who encodes now: "x264", or "camera" where its own H.264 is passed on."""
        return self._recorder.encoder_name

    @property
    def bitrate_bps(self) -> int:
        return self._recorder.bitrate_bps

    @property
    def rung(self) -> Rung:
        """Size and frame rate of what is sent: the configured ones, or fewer where the bit rate is low."""
        return self._recorder.rung

    @property
    def fps(self) -> int:
        return min(self._recorder.fps, self.rung.fps)

    @property
    def held(self) -> int:
        """Pictures that were left out because the line was behind."""
        return self._recorder.held

    @property
    def camera_on(self) -> bool:
        return not self._privacy

    @property
    def dropped(self) -> int:
        """Frames that were encoded and not given out."""
        return self._bridge.dropped + self._withheld

    # VideoSource

    async def __aenter__(self) -> Self:
        self._bridge.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._bridge.stop()

    async def __aiter__(self) -> AsyncIterator[EncodedFrame]:
        async for shot in self._bridge:
            if self._bridge.dropped != self._lost_in_queue:
                self._lost_in_queue = self._bridge.dropped
                self._break_chain()
            # A picture may have been on its way when privacy was asked for: it ends here.
            if (self._privacy and not shot.is_card) or (self._chain_is_broken and not shot.frame.is_keyframe):
                self._withheld += 1
                continue
            self._chain_is_broken = False
            self.frames += 1
            yield shot.frame

    def request_keyframe(self) -> None:
        self._recorder.keyframe_wanted = True

    def restart_encoder(self) -> None:
        """Open the encoder anew, and with it the camera where the two are one."""
        self._recorder.encoder_restart_wanted = True

    def set_bitrate(self, bps: int) -> None:
        self._recorder.bitrate_bps = bps

    def set_framerate(self, fps: int) -> None:
        self._recorder.fps = max(LEAST_FPS, min(60, fps))

    def hold(self, ms: int) -> None:
        """Make no picture for so long: what was made still waits to leave. Breaks nothing, unlike a frame dropped."""
        self._recorder.hold_until_ns = self._clock.now_ns() + ms * 1_000_000

    def set_privacy(self, on: bool) -> None:
        if on != self._privacy:
            self._privacy = self._recorder.privacy = on
            self._break_chain()

    def _break_chain(self) -> None:
        """What follows cannot be decoded without what is missing: go on at a keyframe."""
        self._chain_is_broken = True
        self.request_keyframe()
