"""The camera's thread: pictures, or a card in their place, through the time code and the encoder, at their own pace."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import av

from appliance.errors import DeviceError
from appliance.media import timecode
from appliance.media.clock import NS_PER_S, Clock
from appliance.media.values import EncodedFrame

from .device import Device
from .fit import Fitter
from .ladder import Ladder
from .pictures import MAX_WAIT_S, Picture, PictureSource, VideoConfig, planes_of
from .x264 import X264Encoder

_CARD_INTERVAL_NS = NS_PER_S // 5
# The settings' least frame rate; slower pictures would look like a camera that stalls.
LEAST_FPS = 5
# A card takes the picture's place when it is so late. Something must flow: the engine replaces a silent worker.
_PATIENCE_NS = 500_000_000
_LEAST_KEYFRAME_GAP_NS = NS_PER_S // 2
_RATE_WINDOW_NS = 3 * NS_PER_S
# However far the line is behind: the engine would take a camera that gives nothing for a dead one.
_MOST_HELD_NS = 700_000_000


class Card(StrEnum):
    """What is sent in place of the picture."""

    OFF = "off"
    LOST = "lost"
    STARTING = "starting"


@dataclass(frozen=True, slots=True)
class Shot:
    """A frame to send, and whether it is a card."""

    frame: EncodedFrame
    is_card: bool


class Recorder:
    """`run` is the thread's body. The attributes named first are set by the loop, at any moment."""

    def __init__(
        self,
        config: VideoConfig,
        open_source: Callable[[], PictureSource],
        draw_card: Callable[[Card], av.VideoFrame],
        clock: Clock,
        *,
        unit: int,
        privacy: bool,
    ) -> None:
        self.privacy = privacy
        self.keyframe_wanted = False
        self.encoder_restart_wanted = False
        self.bitrate_bps = config.bitrate_kbps * 1000
        self.fps = config.fps
        self.hold_until_ns = 0
        self.encoder_name = "x264"
        self._config = config
        self._unit = unit
        self._clock = clock
        self._device = Device(open_source, clock)
        self._draw_card = draw_card
        self._cards: dict[Card, av.VideoFrame] = {}
        self._card_due_ns = 0
        self._encoder = X264Encoder(
            config.width, config.height, config.fps, self.bitrate_bps, config.keyframe_interval_s
        )
        self._ladder = Ladder(config.width, config.height, config.fps, self.bitrate_bps)
        self._fitter: Fitter | None = None
        self.rung = self._ladder.rung
        self.held = 0
        self._shot_ns = 0
        self._showing: Card | None = None
        self._begun = False
        self._keyframe_ns = 0
        self._set_fps, self._set_bps = self.fps, self.bitrate_bps
        self._window_ns = self._window_pictures = 0

    @property
    def problem(self) -> DeviceError | None:
        # With the camera off nobody wants a picture of it.
        return None if self.privacy else self._device.problem

    def run(self, put: Callable[[Shot], None], stopping: threading.Event) -> None:
        try:
            while not stopping.is_set():
                shot = self._next(stopping)
                if shot is not None:
                    put(shot)
        finally:
            self._device.close()
            self._encoder.close()

    def _next(self, stopping: threading.Event) -> Shot | None:
        self._apply_changes()
        if self.privacy:
            # The device's own light goes out, too.
            self._device.close()
            return self._card(Card.OFF, stopping)
        if not self._device.open(self._prepare):
            return self._card(self._missing_card(), stopping)
        taken = self._device.read()
        if isinstance(taken, Picture):
            return self._picture(taken)
        if isinstance(taken, EncodedFrame):
            return self._pass_on(taken)
        if self._device.waiting_ns > _PATIENCE_NS:
            return self._card(self._missing_card(), stopping, wait=False)
        return None

    def _missing_card(self) -> Card:
        return Card.LOST if self._device.has_given or self._device.problem else Card.STARTING

    def _prepare(self, source: PictureSource) -> None:
        source.set_framerate(self._set_fps)
        source.set_bitrate(self.bitrate_bps)
        self._window_ns = self._window_pictures = 0

    def _apply_changes(self) -> None:
        if self.encoder_restart_wanted:
            self.encoder_restart_wanted = False
            self._encoder.close()
            if self.encoder_name == "camera":
                self._device.close()
        bps = self.bitrate_bps
        rung = self._ladder.look(bps, self._clock.now_ns())
        if rung is not self.rung:
            self.rung = rung
            self._fitter = Fitter(rung.width, rung.height) if rung.number else None
            self._encoder.set_format(rung.width, rung.height, min(self.fps, rung.fps))
        fps = min(self.fps, rung.fps)
        if fps != self._set_fps:
            self._set_fps = fps
            self._device.apply(lambda source: source.set_framerate(fps))
            self._encoder.set_framerate(fps)
            self._window_ns = self._window_pictures = 0
        if bps != self._set_bps:
            self._set_bps = bps
            self._device.apply(lambda source: source.set_bitrate(bps))
            self._encoder.set_bitrate(bps)

    def _picture(self, picture: Picture) -> Shot | None:
        self._measure_rate(picture.captured_ns)
        if picture.captured_ns < min(self.hold_until_ns, self._shot_ns + _MOST_HELD_NS):
            self.held += 1
            return None
        frame = self._scaled(picture.frame)
        if self._config.time_code:
            # Only now: cells that are whole pixels of the picture that is sent can be read at every size.
            timecode.draw(planes_of(frame)[0], picture.captured_ns, self._unit)
        return self._encode(frame, picture.captured_ns, None)

    def _scaled(self, frame: av.VideoFrame) -> av.VideoFrame:
        """The picture in the size of the rung; sources and cards have the configured size."""
        return frame if self._fitter is None else self._fitter.fit(frame)

    def _card(self, card: Card, stopping: threading.Event, *, wait: bool = True) -> Shot | None:
        now_ns = self._clock.now_ns()
        if card is self._showing and self._begun and now_ns < self._card_due_ns:
            if wait:
                stopping.wait(min((self._card_due_ns - now_ns) / NS_PER_S, MAX_WAIT_S))
            return None
        if card not in self._cards:
            self._cards[card] = self._draw_card(card)
        self._card_due_ns = now_ns + _CARD_INTERVAL_NS
        return self._encode(self._scaled(self._cards[card]), self._clock.now_ns(), card)

    def _encode(self, frame: av.VideoFrame, captured_ns: int, card: Card | None) -> Shot | None:
        changes = not self._begun or card is not self._showing
        keyframe = changes or self._keyframe_is_due(captured_ns)
        if keyframe:
            # Before encoding: a request that comes meanwhile is for a later picture.
            self.keyframe_wanted = False
        encoded = self._encoder.encode(frame, captured_ns, keyframe=keyframe)
        if encoded is None:
            return None
        self._note(encoded, card, "x264")
        return Shot(encoded, card is not None)

    def _pass_on(self, frame: EncodedFrame) -> Shot | None:
        """A frame that the camera has encoded. It begins at a keyframe, as every change of the picture does."""
        if self._showing is not None or self.encoder_name != "camera" or not self._begun:
            if not frame.is_keyframe:
                self._device.apply(lambda source: source.request_keyframe())
                return None
            self._encoder.close()
        elif self._keyframe_is_due(frame.pts_ns):
            self.keyframe_wanted = False
            self._device.apply(lambda source: source.request_keyframe())
        self._note(frame, None, "camera")
        return Shot(frame, is_card=False)

    def _keyframe_is_due(self, now_ns: int) -> bool:
        return self.keyframe_wanted and now_ns - self._keyframe_ns >= _LEAST_KEYFRAME_GAP_NS

    def _note(self, frame: EncodedFrame, card: Card | None, encoder: str) -> None:
        self._begun = True
        self._shot_ns = frame.pts_ns
        self._showing = card
        self.encoder_name = encoder
        if frame.is_keyframe:
            self._keyframe_ns = frame.pts_ns

    def _measure_rate(self, captured_ns: int) -> None:
        """Cameras slow down in the dark; the bits are then for fewer pictures."""
        if self._window_ns == 0:
            self._window_ns, self._window_pictures = captured_ns, 0
            return
        self._window_pictures += 1
        span_ns = captured_ns - self._window_ns
        if span_ns >= _RATE_WINDOW_NS:
            rate = self._window_pictures * NS_PER_S / span_ns
            self._encoder.set_framerate(self._set_fps if rate > self._set_fps * 0.75 else max(1, round(rate / 5) * 5))
            self._window_ns, self._window_pictures = captured_ns, 0
