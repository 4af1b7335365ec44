"""Know when the queue is kept full by another's traffic (a download over TCP), and how to share the line with it.

Draining shows it: a queue of our own empties when we send less; a rival's TCP fills at once what we leave.
"""

from collections import deque
from typing import ClassVar, Literal

from appliance.media.clock import NS_PER_S

_MS = 1_000_000
# Of the queue that was to be drained, so much is still there.
_STILL_THERE = 0.5
_NOTABLE_NS = 50 * _MS
_CALM_QUEUE_NS = 30 * _MS
_CALM_NS = 1_500 * _MS
_FLAT_WINDOW_NS = 6 * NS_PER_S
_FLAT_NS = 15 * _MS
_LEAST_PATIENCE_NS, _MOST_PATIENCE_NS = 8 * NS_PER_S, 30 * NS_PER_S


class Rival:
    """Pure."""

    # Against CUBIC, which rises for some seconds and falls by 0.7: about an even share. A second, of what the line
    # carried when we were alone on it.
    RISE: ClassVar[float] = 0.045
    # No less than this of it to begin with: a TCP that starts takes all for a moment.
    LEAST_SHARE: ClassVar[float] = 0.15
    CUT: ClassVar[float] = 0.85

    def __init__(self) -> None:
        self.line_bps = 0.0
        self._since_ns = 0
        self._patience_ns = _LEAST_PATIENCE_NS
        self._resume_bps: int | None = None
        self._calm_since_ns: int | None = None
        self._cut_ns = 0
        self._seen: deque[tuple[int, int]] = deque()

    def is_suspected(self, queue_before_ns: int, queue_ns: int) -> bool:
        """After a drain that had all the time it needed."""
        still = 0.0 if self._resume_bps is not None else _STILL_THERE
        return queue_ns > max(still * queue_before_ns, _NOTABLE_NS)

    def forget(self) -> None:
        """A drain emptied the queue: it was our own."""
        self._resume_bps = None

    def remember(self, bps: int) -> None:
        """The rate to go on with, should the drain that begins show the rival still there."""
        self._resume_bps = bps

    def begin(self, now_ns: int, queue_ns: int, line_bps: float) -> int | None:
        """There is a rival, or there still is one: then, the rate to go on with."""
        resume_bps, self._resume_bps = self._resume_bps, None
        if resume_bps is None:
            self.line_bps = line_bps
        # Each look costs some of our share: a rival that stays is looked for less often.
        self._patience_ns = _LEAST_PATIENCE_NS if resume_bps is None else min(2 * self._patience_ns, _MOST_PATIENCE_NS)
        self._since_ns = now_ns
        self._calm_since_ns = None
        self._cut_ns = now_ns
        self._seen.clear()
        self._seen.append((now_ns, queue_ns))
        return resume_bps

    def look(self, now_ns: int, queue_ns: int) -> Literal["gone", "longer path", "look again"] | None:
        """Whether the rival is gone, or was none: a path that has become longer has no ups and downs."""
        if queue_ns > _CALM_QUEUE_NS:
            self._calm_since_ns = None
        elif self._calm_since_ns is None:
            self._calm_since_ns = now_ns
        elif now_ns - self._calm_since_ns > _CALM_NS:
            return "gone"
        self._seen.append((now_ns, queue_ns))
        while self._seen[0][0] < now_ns - _FLAT_WINDOW_NS:
            self._seen.popleft()
        if now_ns - self._since_ns > _FLAT_WINDOW_NS:
            queues = [queue for _, queue in self._seen]
            if max(queues) - min(queues) < _FLAT_NS:
                return "longer path"
        return "look again" if now_ns - self._since_ns > self._patience_ns else None

    def may_cut(self, now_ns: int, rtt_ns: int) -> bool:
        """Once for each overflow of the queue, which takes a round trip to show its losses."""
        if now_ns - self._cut_ns < 2 * rtt_ns + 200 * _MS:
            return False
        self._cut_ns = now_ns
        return True
