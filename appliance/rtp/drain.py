"""Empty the line's queue: for about a second, send clearly less than the line carries."""

from enum import Enum, auto

_MS = 1_000_000
# The queue is gone in about this time; never below this part of what the line carries, and never so near to it that
# an error in the estimate would keep the queue.
_AIM_NS = 900 * _MS
_LEAST_SHARE, _MOST_SHARE = 0.45, 0.65
_AFTER = 0.92
_PATIENCE_NS = 300 * _MS
_SHRINKING, _LONGEST_NS = -0.08, 5_000 * _MS


class Outcome(Enum):
    EMPTY = auto()
    OVERDUE = auto()  # it had the time it takes, and the queue is still there
    LOWER = auto()  # the rate has to be lower than was thought


class Drain:
    """One after another. Pure."""

    def __init__(self) -> None:
        self.carried_bps = 0.0
        self.line_bps = 0.0  # what the line was believed to carry before the first one
        self.queue_ns = 0
        self.in_a_row = 0
        self._share = _MOST_SHARE
        self._begun_ns = self._until_ns = 0

    @property
    def rate_bps(self) -> float:
        return self.carried_bps * self._share

    @property
    def after_bps(self) -> float:
        """What to send once the queue is empty."""
        return self.carried_bps * _AFTER

    def begin(self, now_ns: int, queue_ns: int, carried_bps: float, rtt_ns: int) -> None:
        self.in_a_row += 1
        if self.in_a_row == 1:
            self.line_bps = carried_bps
        self._begun_ns = now_ns
        self._plan(now_ns, queue_ns, carried_bps, rtt_ns)

    def _plan(self, now_ns: int, queue_ns: int, carried_bps: float, rtt_ns: int) -> None:
        self.carried_bps, self.queue_ns = carried_bps, queue_ns
        self._share = min(max(1 - queue_ns / _AIM_NS, _LEAST_SHARE), _MOST_SHARE)
        # What is on its way has to pass first, then the queue at the difference of the rates; and some patience.
        passing_ns = int(1.3 * queue_ns / (1 - self._share))
        self._until_ns = now_ns + 2 * rtt_ns + passing_ns + _PATIENCE_NS

    def look(
        self,
        now_ns: int,
        queue_ns: int,
        *,
        slope: float,
        empty_ns: int,
        acked_bps: float,
        newest_sent_ns: int,
        rtt_ns: int,
    ) -> Outcome | None:
        """How it goes. `newest_sent_ns`: when the newest packet that has arrived was sent."""
        if queue_ns <= empty_ns:
            self.in_a_row = 0
            return Outcome.EMPTY
        if now_ns >= self._until_ns:
            # The line is slower than was believed, but the queue does get shorter: some more time.
            still_works = slope < _SHRINKING and now_ns - self._begun_ns < _LONGEST_NS
            return None if still_works else Outcome.OVERDUE
        if newest_sent_ns < self._begun_ns:
            # What was sent before the drain still comes, through a queue that is full: at the rate that the line
            # carries. That may be less than was believed, and the queue longer.
            lower = acked_bps < 0.9 * self.carried_bps or queue_ns > 1.1 * self.queue_ns
        else:
            # Even what is sent now does not get through.
            lower = acked_bps < 0.93 * self.rate_bps and queue_ns > 0.8 * self.queue_ns
        if lower:
            self._plan(now_ns, max(queue_ns, self.queue_ns), min(acked_bps, self.carried_bps), rtt_ns)
            return Outcome.LOWER
        return None
