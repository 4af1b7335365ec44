"""How long packets wait in the line's queue, and whether it grows: from the times at which they left and arrived.

The two clocks have no common zero, so that only differences count: a packet's one-way delay above the least of late
is its wait. Base and wait are minima, which bursts of our own and the jitter of radio do not lift (as in LEDBAT,
RFC 6817); the slope is that of draft-ietf-rmcat-gcc's trendline.
"""

from collections import deque

_MS = 1_000_000
# The base follows a drifting clock (100 ppm are 3 ms here) and, in the end, a longer route.
_BUCKET_NS = 2_500 * _MS
_BUCKETS = 12
# Of one report, the packets that left last: a burst that a stalled radio link hands over at once gets ever younger.
_LATEST_NS = 60 * _MS
_TREND_NS = 600 * _MS
_LEAST_POINTS = 4
# Further than any queue: the far end's clock has been set, or another receiver reports.
_JUMP_NS = 5_000 * _MS


class QueueDelay:
    """Pure: fed with packets, report by report."""

    def __init__(self) -> None:
        self._buckets: deque[list[int]] = deque(maxlen=_BUCKETS)
        self._points: deque[tuple[int, int]] = deque()
        self._pending: list[tuple[int, int]] = []
        self._last: int | None = None
        self.queue_ns = 0
        self.slope = 0.0  # seconds of queue that each second adds

    def packet(self, sent_ns: int, arrival_ns: int) -> None:
        self._pending.append((sent_ns, arrival_ns - sent_ns))

    def settle(self, *, keep_base: bool) -> None:
        """A report is complete. `keep_base`: the queue is another's for now, so its least says nothing of the line."""
        pending = self._pending
        if not pending:
            return
        newest_ns = max(sent_ns for sent_ns, _ in pending)
        delay_ns = min(delay for sent_ns, delay in pending if sent_ns >= newest_ns - _LATEST_NS)
        least_ns = min(delay for _, delay in pending)
        pending.clear()
        if self._last is not None and abs(delay_ns - self._last) > _JUMP_NS:
            self.restart()
        self._last = delay_ns
        self._note_base(newest_ns, least_ns, keep_base=keep_base)
        self.queue_ns = delay_ns - min(bucket[1] for bucket in self._buckets)
        self._note_trend(newest_ns, delay_ns)

    def restart(self) -> None:
        """Another path, another receiver: nothing of before holds."""
        self._buckets.clear()
        self._points.clear()
        self._last = None
        self.queue_ns, self.slope = 0, 0.0

    def accept_base(self) -> None:
        """The delay of now is the path's: it is longer than it was."""
        if self._last is not None and self._buckets:
            number = self._buckets[-1][0]
            self._buckets.clear()
            self._buckets.append([number, self._last])
            self.queue_ns = 0

    def _note_base(self, at_ns: int, delay_ns: int, *, keep_base: bool) -> None:
        buckets, number = self._buckets, at_ns // _BUCKET_NS
        if buckets and (number <= buckets[-1][0] or keep_base):
            buckets[-1][0] = max(buckets[-1][0], number)
            buckets[-1][1] = min(buckets[-1][1], delay_ns)
        else:
            buckets.append([number, delay_ns])

    def _note_trend(self, at_ns: int, delay_ns: int) -> None:
        points = self._points
        if points and at_ns <= points[-1][0]:
            return
        points.append((at_ns, delay_ns))
        while points[0][0] < at_ns - _TREND_NS:
            points.popleft()
        if len(points) < _LEAST_POINTS:
            self.slope = 0.0
            return
        mean_x = sum(x for x, _ in points) / len(points)
        mean_y = sum(y for _, y in points) / len(points)
        above = sum((x - mean_x) * (y - mean_y) for x, y in points)
        self.slope = above / sum((x - mean_x) ** 2 for x, _ in points)
