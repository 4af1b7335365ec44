"""The ladder of picture sizes and frame rates: what a bit rate is best spent on, down to 320x180 at 64 kbit/s.

The encoder's bit rate falls first, then the frame rate, then the size. The step up needs clearly more than the step
down leaves, and time: a picture that changes its size all the time is worse than a small one.
"""

from dataclasses import dataclass, replace

from appliance.media.clock import NS_PER_S

# (height, part of the frame rate, bit rate at 16:9 from which on it is the better choice)
_STEPS = (
    (1080, (1, 1), 1_600_000),
    (1080, (2, 3), 1_200_000),
    (720, (1, 1), 750_000),
    (720, (2, 3), 550_000),
    (540, (2, 3), 340_000),
    (360, (2, 3), 220_000),
    (360, (1, 2), 150_000),
    (270, (1, 2), 95_000),
    (180, (1, 2), 0),
)
# Fewer pictures look like a fault.
_LEAST_FPS = 12
# What the whole frame rate takes more than two thirds of it.
_WHOLE_RATE = 1.3
# The configured bit rate is always enough for the configured picture, and this part of it too.
_OF_CONFIGURED = 0.6
_UP = 1.2
_UP_AFTER_NS = 3 * NS_PER_S
# The last rung's move may have been a mistake: it takes twice as long to be tried again, up to this.
_MOST_UP_AFTER_NS = 24 * NS_PER_S
_MISTAKE_NS = 15 * NS_PER_S
_DOWN_AFTER_NS = NS_PER_S // 2
# So far below, waiting would only fill the queue.
_DOWN_AT_ONCE = 0.75


@dataclass(frozen=True, slots=True)
class Rung:
    """`number` 0 is the configured picture."""

    number: int
    width: int
    height: int
    fps: int
    least_bps: int


def rungs(width: int, height: int, fps: int, configured_bps: int) -> tuple[Rung, ...]:
    """The ladder below a configured picture, whose shape is kept.

    A bit rate that is configured low is somebody's choice for this size: then each rung is content with less.
    """
    found: list[Rung] = [Rung(0, width, height, fps, _least_bps(width, height))]
    for step_height, (up, down), least_bps in _STEPS:
        if step_height > height:
            continue
        rung_width = round(width * step_height / height / 2) * 2
        rung_fps = max(fps * up // down, min(fps, _LEAST_FPS))
        # A picture of another shape has other than 16:9's pixels for its height.
        least_bps = int(least_bps * rung_width * 9 / (step_height * 16))
        if step_height == height and rung_fps == fps:
            found[0] = Rung(0, width, height, fps, least_bps)
            continue
        last = found[-1]
        if (rung_width, step_height, rung_fps) != (last.width, last.height, last.fps):
            found.append(Rung(len(found), rung_width, step_height, rung_fps, least_bps))
    content = min(_OF_CONFIGURED * configured_bps / found[0].least_bps, 1.0) if found[0].least_bps else 1.0
    scaled = [replace(rung, least_bps=int(rung.least_bps * content)) for rung in found]
    return (*scaled[:-1], replace(scaled[-1], least_bps=0))


def _least_bps(width: int, height: int) -> int:
    """For a configured picture that is no step itself: as the next step below, by its pixels and its frame rate."""
    for step_height, (up, down), least_bps in _STEPS:
        if step_height <= height:
            pixels = width * height / (step_height * step_height * 16 / 9)
            return int(least_bps * pixels * (1.0 if up == down else _WHOLE_RATE))
    return 0


class Ladder:
    """Chooses the rung for a bit rate. Pure: times are given."""

    def __init__(self, width: int, height: int, fps: int, bps: int) -> None:
        """`bps` is the configured bit rate, which the line has not bounded yet."""
        self._rungs = rungs(width, height, fps, bps)
        self._rung = self._rungs[0]
        self._below_since_ns: int | None = None
        self._above_since_ns: int | None = None
        self._up_after_ns = _UP_AFTER_NS
        self._raised_ns: int | None = None

    @property
    def rung(self) -> Rung:
        return self._rung

    def look(self, bps: int, now_ns: int) -> Rung:
        """The rung from now on; called with each picture."""
        rung = self._rung
        best = self._best(bps, 1.0)
        if best.number > rung.number:
            self._above_since_ns = None
            if self._below_since_ns is None:
                self._below_since_ns = now_ns
            if bps < _DOWN_AT_ONCE * rung.least_bps or now_ns - self._below_since_ns >= _DOWN_AFTER_NS:
                self._lower(best, now_ns)
            return self._rung
        self._below_since_ns = None
        higher = self._best(bps, _UP)
        if higher.number >= rung.number:
            self._above_since_ns = None
        elif self._above_since_ns is None:
            self._above_since_ns = now_ns
        elif now_ns - self._above_since_ns >= self._up_after_ns:
            self._rung = higher
            self._above_since_ns = None
            self._raised_ns = now_ns
        elif self._raised_ns is not None and now_ns - self._raised_ns > _MISTAKE_NS:
            self._up_after_ns = _UP_AFTER_NS
        return self._rung

    def _lower(self, rung: Rung, now_ns: int) -> None:
        if self._raised_ns is not None and now_ns - self._raised_ns < _MISTAKE_NS:
            self._up_after_ns = min(2 * self._up_after_ns, _MOST_UP_AFTER_NS)
        else:
            self._up_after_ns = _UP_AFTER_NS
        self._rung = rung
        self._below_since_ns = None

    def _best(self, bps: int, margin: float) -> Rung:
        return next((rung for rung in self._rungs if bps >= margin * rung.least_bps), self._rungs[-1])
