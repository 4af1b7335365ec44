"""Compose and encode a room's wall in one thread: at once when somebody's new picture is there, once for everybody."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from appliance.media.bridge import ThreadBridge
from appliance.media.clock import NS_PER_S, Clock
from appliance.media.values import EncodedFrame

from .h264 import WallEncoder
from .tile_source import TileSource
from .wall import Wall

_POLL_S = 0.1
_KEYFRAME_EVERY_NS = 500_000_000
_QUEUE = 8
_SMOOTHING = 0.05
# A wall for less is not worth looking at; each change costs a keyframe, so small ones and quick raises wait.
_LEAST_BPS = 200_000
_NOTABLE = 0.1
_RAISE_EVERY_NS = 2 * NS_PER_S


@dataclass(frozen=True, slots=True)
class WallSettings:
    """Size, rate and bit rate of every room's wall."""

    width: int = 1280
    height: int = 720
    fps: int = 30
    bitrate_bps: int = 2_500_000


class TickGate:
    """When the next wall may and must be composed.

    With something new it is due at once, as long as the average stays near `fps`: a picture that comes a little early
    is let through, because waiting for a grid would only add delay. With nothing new it is due after two intervals;
    were it one, a picture that comes a little late would find its turn taken by a repetition.
    """

    def __init__(self, fps: int) -> None:
        self._interval_ns = NS_PER_S // fps
        # A camera's clock may run fast by a trifle: at exactly `fps` its pictures would queue for ever longer.
        self._paced_ns = self._interval_ns * 99 // 100
        self._allowed_ns = 0
        self._last_ns = 0

    def due_ns(self, *, fresh: bool) -> int:
        return self._allowed_ns if fresh else self._last_ns + 2 * self._interval_ns

    def ticked(self, now_ns: int) -> None:
        self._last_ns = now_ns
        self._allowed_ns = max(self._allowed_ns, now_ns - self._interval_ns // 2) + self._paced_ns


class VideoMixer:
    """`show`, `watch`, `request_keyframe` and `set_lead` are called in the loop; `wake` from any thread."""

    def __init__(self, settings: WallSettings, title: str, clock: Clock) -> None:
        self._settings = settings
        self._title = title
        self._clock = clock
        self._changed = threading.Condition()
        self._line_up: tuple[TileSource, ...] = ()
        self._fresh = False
        self._watched = False
        self._keyframe = False
        self._lead_ns = 0
        self.wanted_bps = settings.bitrate_bps
        self._bridge: ThreadBridge[EncodedFrame] = ThreadBridge(f"wall {title}", self._body, _QUEUE)
        self.composed = 0
        self.work_ms = 0.0

    @property
    def dropped(self) -> int:
        return self._bridge.dropped

    def show(self, line_up: Sequence[TileSource]) -> None:
        """Who stands on the wall, in this order, from the next picture on."""
        with self._changed:
            self._line_up = tuple(line_up)
            self._fresh = True
            self._changed.notify()

    def watch(self, *, on: bool) -> None:
        """Whether anybody sees the wall. Nothing is composed for nobody."""
        with self._changed:
            self._watched = on
            self._changed.notify()

    def wake(self) -> None:
        """A participant has a new picture."""
        with self._changed:
            self._fresh = True
            self._changed.notify()

    def request_keyframe(self) -> None:
        """A listener cannot decode: the next wall is a keyframe, at most two a second."""
        self._keyframe = True

    def limit(self, bps: int | None) -> None:
        """What the slowest listener's line carries; None: nothing is known of any."""
        most = self._settings.bitrate_bps
        self.wanted_bps = most if bps is None else max(min(bps, most), min(_LEAST_BPS, most))

    def set_lead(self, lead_ns: int) -> None:
        """How much younger than the sound mixed at the same moment the pictures composed now are."""
        self._lead_ns = lead_ns

    async def run(self, deliver: Callable[[EncodedFrame], None]) -> None:
        """Compose until cancelled; `deliver` gets every wall in the loop."""
        self._bridge.start()
        dropped = 0
        try:
            async for frame in self._bridge:
                if self._bridge.dropped != dropped:
                    # The loop lagged and walls are missing: what follows cannot be decoded.
                    dropped = self._bridge.dropped
                    self.request_keyframe()
                deliver(frame)
        finally:
            await self._bridge.stop()

    def _wait(self, gate: TickGate) -> bool:
        """Wait for at most a moment; True when a wall is due."""
        with self._changed:
            if not self._watched:
                self._changed.wait(_POLL_S)
                return False
            left_s = (gate.due_ns(fresh=self._fresh) - self._clock.now_ns()) / NS_PER_S
            if left_s > 0:
                self._changed.wait(min(left_s, _POLL_S))
                return False
            self._fresh = False
            return True

    def _body(self, put: Callable[[EncodedFrame], None], stopping: threading.Event) -> None:
        settings = self._settings
        wall = Wall(settings.width, settings.height, self._title)
        opened_bps, opened_ns = self.wanted_bps, self._clock.now_ns()
        encoder = WallEncoder(settings.width, settings.height, settings.fps, opened_bps)
        gate = TickGate(settings.fps)
        keyframe_ns = -_KEYFRAME_EVERY_NS
        pts_ns = 0
        try:
            while not stopping.is_set():
                if not self._wait(gate):
                    continue
                now_ns = self._clock.now_ns()
                gate.ticked(now_ns)
                wanted_bps = self.wanted_bps
                if abs(wanted_bps - opened_bps) > _NOTABLE * opened_bps and (
                    wanted_bps < opened_bps or now_ns - opened_ns > _RAISE_EVERY_NS
                ):
                    opened_bps, opened_ns = wanted_bps, now_ns
                    encoder.close()
                    encoder = WallEncoder(settings.width, settings.height, settings.fps, opened_bps)
                picture = wall.compose(self._line_up, self._clock.now_ns)
                # See docs/lab-mcu.md, "Lip sync". The time line never runs backwards.
                pts_ns = max(pts_ns + 1_000_000, now_ns + self._lead_ns)
                keyframe = self._keyframe and now_ns - keyframe_ns >= _KEYFRAME_EVERY_NS
                if keyframe:
                    self._keyframe, keyframe_ns = False, now_ns
                encoded = encoder.encode(picture, pts_ns, keyframe=keyframe)
                self.composed += 1
                self.work_ms += _SMOOTHING * ((self._clock.now_ns() - now_ns) / 1e6 - self.work_ms)
                if encoded is not None:
                    put(EncodedFrame(encoded[0], pts_ns, encoded[1]))
        finally:
            encoder.close()
