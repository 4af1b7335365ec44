"""What receiver reports alone tell of the line, a second apart: the queue, as far as the round trip shows it."""

from appliance.media.clock import NS_PER_S

# Both ways' queues, ours and the far end's, and the far end's own delays are in the round trip.
HIGH_NS = 150_000_000
LOW_NS = 50_000_000
_LEAST_SHARE = 0.45


class ReportedLine:
    """Pure."""

    def __init__(self) -> None:
        self._least_rtt_ns: int | None = None
        self.queue_ns = 0

    def round_trip(self, rtt_ns: int) -> None:
        if self._least_rtt_ns is None or rtt_ns < self._least_rtt_ns:
            self._least_rtt_ns = rtt_ns
        else:
            # The path may have become longer: forget the least slowly.
            self._least_rtt_ns += (rtt_ns - self._least_rtt_ns) // 64
        self.queue_ns = rtt_ns - self._least_rtt_ns

    @property
    def share(self) -> float:
        """Of what the line carries: so much lets the queue leave within about two seconds."""
        return max(_LEAST_SHARE, 1 - self.queue_ns / (2 * NS_PER_S))
