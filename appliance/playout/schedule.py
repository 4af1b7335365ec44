"""When a picture is due, and how steadily pictures come: lip sync and freezes, without threads or devices."""

from collections import deque
from dataclasses import dataclass
from typing import Generic, TypeVar

from appliance.media.clock import NS_PER_S

MS = 1_000_000
LATE_NS = 20 * MS
# Nobody waits longer for sound: such a delay comes from a clock that jumped.
LONGEST_HOLD_NS = NS_PER_S
# When pictures cannot be decoded as fast as they come, some are shown all the same.
_LEAST_RATE_NS = 100 * MS
_FREEZE_NS = 200 * MS
_LONGEST_FREEZE_LIMIT_NS = 500 * MS

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Held(Generic[T]):
    """A decoded picture that waits for its moment."""

    picture: T
    pts_ns: int


class Schedule(Generic[T]):
    """Holds decoded pictures until the sound of the same moment is heard."""

    def __init__(self) -> None:
        self.delay_ns: int | None = None
        self.late = 0
        self.dropped = 0
        self._held: deque[Held[T]] = deque()
        self._shown_ns = -NS_PER_S

    def __len__(self) -> int:
        return len(self._held)

    def put(self, picture: T, pts_ns: int) -> None:
        self._held.append(Held(picture, pts_ns))

    def clear(self) -> None:
        self._held.clear()

    def due_ns(self, pts_ns: int, now_ns: int) -> int:
        """When a picture is to be shown; `now_ns` means at once."""
        if self.delay_ns is None or pts_ns + self.delay_ns - now_ns > LONGEST_HOLD_NS:
            return now_ns
        return pts_ns + self.delay_ns

    def next_due_ns(self, now_ns: int) -> int | None:
        """When the next picture is to be shown, None when none is held."""
        return min((self.due_ns(held.pts_ns, now_ns) for held in self._held), default=None)

    def take(self, now_ns: int, coming_pts_ns: int | None) -> Held[T] | None:
        """The picture to show now. `coming_pts_ns` is the next one's, when it has arrived and only waits for decoding.

        Of several that are due, only the newest is shown.
        """
        due = 0
        for place, held in enumerate(self._held, 1):
            if self.due_ns(held.pts_ns, now_ns) <= now_ns:
                due = place
        if due == 0:
            return None
        for _ in range(due - 1):
            self._held.popleft()
            self.dropped += 1
        newest = self._held.popleft()
        superseded = (
            not self._held and coming_pts_ns is not None and self.due_ns(coming_pts_ns, now_ns) <= now_ns
        )
        if superseded and now_ns - self._shown_ns < _LEAST_RATE_NS:
            self.dropped += 1
            return None
        if now_ns - self.due_ns(newest.pts_ns, now_ns) > LATE_NS:
            self.late += 1
        self._shown_ns = now_ns
        return newest


class Freezes:
    """Counts the times the far end's picture stood still, and for how long beyond the usual."""

    def __init__(self) -> None:
        self.count = 0
        self._total_ns = 0
        self._since_ns: int | None = None
        self._usual_ns = 0.0
        self._counted_ns = 0

    def total_ms(self) -> int:
        """How long pictures stood still so far, a freeze that goes on included."""
        return (self._total_ns + self._counted_ns) // MS

    def shown(self, now_ns: int) -> None:
        """A new picture is on screen."""
        self.check(now_ns)
        if self._since_ns is not None and not self._counted_ns:
            gap_ns = now_ns - self._since_ns
            self._usual_ns = gap_ns if not self._usual_ns else self._usual_ns + 0.1 * (gap_ns - self._usual_ns)
        self._end()
        self._since_ns = now_ns

    def check(self, now_ns: int) -> None:
        """Look at the time; to be called now and then."""
        if self._since_ns is None:
            return
        gap_ns = now_ns - self._since_ns
        # A far end that sends five pictures a second on purpose does not freeze with each.
        limit_ns = max(_FREEZE_NS, min(_LONGEST_FREEZE_LIMIT_NS, 2 * self._usual_ns))
        if gap_ns > limit_ns:
            if not self._counted_ns:
                self.count += 1
            self._counted_ns = max(1, gap_ns - int(self._usual_ns))

    def stop(self) -> None:
        """No picture is expected any more: the meeting is over, or the screen is gone."""
        self._end()
        self._since_ns = None
        self._usual_ns = 0.0

    def _end(self) -> None:
        self._total_ns += self._counted_ns
        self._counted_ns = 0
