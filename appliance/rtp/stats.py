"""What a receiver tells the sender about one stream: losses, jitter, the echo of its reports (RFC 3550 section 6.4)."""

from .header import signed16, signed32
from .rtcp import ReportBlock

# RFC 3550 appendix A.1: a sequence number this far ahead or behind is another stream, if the next packet follows it.
_MAX_DROPOUT = 3000
_MAX_MISORDER = 100


class ReceptionStatistics:
    """Counts one SSRC."""

    def __init__(self, ssrc: int, clock_rate: int) -> None:
        self.ssrc = ssrc
        self.received = 0
        self._rate = clock_rate
        self._base: int | None = None
        self._highest = 0  # extended by the number of wraps
        self._far_off = -1
        self._transit = 0
        self._timestamp: int | None = None
        self._jitter_q4 = 0  # scaled by 16 as in RFC 3550 appendix A.8
        self._expected_before = 0
        self._received_before = 0
        self._report_ntp = 0
        self._report_ns: int | None = None

    def packet(self, sequence: int, timestamp: int, arrival_ns: int) -> None:
        """Count a packet as it arrives."""
        if self._base is None:
            self._start(sequence)
        ahead = signed16(sequence - self._highest)
        if not -_MAX_MISORDER < ahead < _MAX_DROPOUT:
            if sequence != self._far_off:
                self._far_off = (sequence + 1) & 0xFFFF
                return
            self._start(sequence)
            ahead = 1
        self.received += 1
        if ahead <= 0:
            return
        self._highest += ahead
        # A picture's packets share a timestamp and are sent one after another: only the first one tells of the line.
        if timestamp != self._timestamp:
            transit = arrival_ns * self._rate // 1_000_000_000 - timestamp
            if self._timestamp is not None:
                difference = abs(signed32(transit - self._transit))
                # A pause of the stream is no jitter.
                if difference < self._rate:
                    self._jitter_q4 += difference - ((self._jitter_q4 + 8) >> 4)
            self._transit = transit
            self._timestamp = timestamp

    def _start(self, sequence: int) -> None:
        self._base = sequence
        self._highest = sequence - 1
        self._far_off = -1
        self.received = 0
        self._timestamp = None
        self._expected_before = self._received_before = 0

    @property
    def expected(self) -> int:
        return 0 if self._base is None else self._highest - self._base + 1

    @property
    def lost(self) -> int:
        """May be negative: duplicates count as received."""
        return self.expected - self.received

    @property
    def jitter_ms(self) -> float:
        return (self._jitter_q4 >> 4) * 1000 / self._rate

    def sender_report(self, ntp: int, arrival_ns: int) -> None:
        self._report_ntp = ntp >> 16 & 0xFFFFFFFF
        self._report_ns = arrival_ns

    def report(self, now_ns: int) -> ReportBlock:
        """The block for a receiver report; the fraction lost counts since the last one."""
        expected = self.expected - self._expected_before
        lost = expected - (self.received - self._received_before)
        self._expected_before, self._received_before = self.expected, self.received
        fraction = min(lost * 256 // expected, 255) if expected > 0 and lost > 0 else 0
        lsr = dlsr = 0
        if self._report_ns is not None:
            lsr = self._report_ntp
            dlsr = min((now_ns - self._report_ns) * 65536 // 1_000_000_000, 0xFFFFFFFF)
        return ReportBlock(self.ssrc, fraction, self.lost, self._highest & 0xFFFFFFFF, self._jitter_q4 >> 4, lsr, dlsr)
