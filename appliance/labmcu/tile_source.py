"""One participant's picture: decoded and fitted to its tile in a thread of its own, the newest one wins."""

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter

from appliance.media.bridge import ThreadBridge
from appliance.media.clock import Clock
from appliance.media.values import EncodedFrame

from .h264 import WallDecoder
from .layout import Tile, fit

_BACKLOG = 30
_POLL_S = 0.1
_REQUEST_EVERY_NS = 500_000_000
# After this long without a new picture a tile says who is there instead of showing an old picture.
_STALE_NS = 3_000_000_000
_SMOOTHING = 0.05


@dataclass(frozen=True, slots=True)
class Picture:
    """A decoded picture, and the same fitted into a tile of `tile_size`."""

    frame: VideoFrame
    fitted: VideoFrame
    tile_size: tuple[int, int]
    pts_ns: int
    decoded_ns: int


class Fitter:
    """Scale pictures into a tile. Not shared between threads: it keeps its scaler's tables."""

    def __init__(self) -> None:
        self._reformatter = VideoReformatter()

    def fitted(self, frame: VideoFrame, tile_size: tuple[int, int]) -> VideoFrame:
        """The picture as it is when it has the size already (no copy), else scaled by area averaging."""
        part = fit(frame.width, frame.height, Tile(0, 0, *tile_size))
        # One thread: swscale's own would wake both cores of a small machine for half a millisecond of work.
        return self._reformatter.reformat(
            frame, part.width, part.height, format="yuv420p", interpolation="AREA", threads=1
        )


class TileSource:
    """Feed it access units; `picture` is what the wall shows. `on_fresh` is called from the decoding thread."""

    def __init__(self, name: str, clock: Clock, on_fresh: Callable[[], None]) -> None:
        self.name = name
        self.picture: Picture | None = None
        self.tile_size: tuple[int, int] | None = None
        # Capture to wall, on the sender's time line: for lip sync. None before the first picture.
        self.delay_ns: float | None = None
        self.decoded = 0
        self.dropped = 0
        self.composed = 0
        self._clock = clock
        self._on_fresh = on_fresh
        self._decoder = WallDecoder()
        self._waiting: deque[EncodedFrame] = deque()
        self._arrived = threading.Condition()
        self._overrun = False
        self._bridge: ThreadBridge[None] = ThreadBridge(f"decode {name}", self._body, length=1)

    @property
    def errors(self) -> int:
        return self._decoder.errors

    def feed(self, frame: EncodedFrame) -> None:
        """Take an access unit; called in the loop."""
        with self._arrived:
            if len(self._waiting) >= _BACKLOG:
                # Decoding lags by a second: what is queued is worthless, start over at a keyframe.
                self.dropped += len(self._waiting)
                self._waiting.clear()
                self._overrun = True
            self._waiting.append(frame)
            self._arrived.notify()

    def is_fresh_at(self, now_ns: int) -> bool:
        """Whether there is a picture worth showing."""
        picture = self.picture
        return picture is not None and now_ns - picture.decoded_ns < _STALE_NS

    def note_composed(self, picture: Picture, now_ns: int) -> None:
        """The wall has taken this picture; called from the wall's thread."""
        self.composed += 1
        age_ns = float(now_ns - picture.pts_ns)
        self.delay_ns = age_ns if self.delay_ns is None else self.delay_ns + _SMOOTHING * (age_ns - self.delay_ns)

    async def run(self, request_keyframe: Callable[[], None]) -> None:
        """Decode until cancelled; `request_keyframe` is called in the loop."""
        self._bridge.start()
        try:
            async for _ in self._bridge:
                request_keyframe()
        finally:
            await self._bridge.stop()

    def _take(self) -> EncodedFrame | None:
        with self._arrived:
            if not self._waiting:
                self._arrived.wait(_POLL_S)
            if self._overrun:
                self._overrun = False
                self._decoder.reset()
            return self._waiting.popleft() if self._waiting else None

    def _body(self, put: Callable[[None], None], stopping: threading.Event) -> None:
        fitter = Fitter()
        requested_ns = -_REQUEST_EVERY_NS
        while not stopping.is_set():
            encoded = self._take()
            if encoded is None:
                continue
            frame = self._decoder.decode(encoded.data, is_keyframe=encoded.is_keyframe)
            now_ns = self._clock.now_ns()
            if self._decoder.needs_keyframe and now_ns - requested_ns >= _REQUEST_EVERY_NS:
                requested_ns = now_ns
                put(None)
            if frame is None:
                continue
            self.decoded += 1
            size = self.tile_size or (frame.width & ~1, frame.height & ~1)
            self.picture = Picture(frame, fitter.fitted(frame, size), size, encoded.pts_ns, now_ns)
            self._on_fresh()
