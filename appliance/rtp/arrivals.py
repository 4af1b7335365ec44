"""Tell the sender when each packet of the bundle arrived (transport-wide congestion control), driven by the packets."""

from typing import Any

from appliance.media.clock import NS_PER_S

from . import rtcp, transport_cc
from .header import find_extension, signed16
from .plane import RtpTransport

# As libwebrtc does: 5 % of what arrives, within these bounds.
LEAST_INTERVAL_NS = 50_000_000
MOST_INTERVAL_NS = 250_000_000
_SHARE = 0.05
_REPORT_BITS = 8 * 100
# A packet this far behind the newest is not told of any more; one this far ahead is of another stream.
_KEPT = 500
_MOST_JUMP = 3000


class ArrivalReporter:
    """One for each transport: the sequence runs over all its streams. No timer: the sound comes each 20 ms."""

    def __init__(self, transport: RtpTransport, extension: int, local_ssrc: int, media_ssrc: int) -> None:
        """`extension`: the negotiated id of the transport-wide sequence number."""
        self._transport = transport
        self._extension = extension
        self._local_ssrc = local_ssrc
        self._media_ssrc = media_ssrc
        self._arrivals: dict[int, int] = {}
        self._highest: int | None = None
        self._due_ns = 0
        self._first_untold = 0
        self._reported_ns: int | None = None
        self._bits = 0
        self._number = 0
        self._reports = 0
        self._missing = 0

    def packet(self, packet: bytes, arrival_ns: int) -> None:
        """A packet of the bundle, of whatever stream."""
        value = find_extension(packet, self._extension)
        if value is None or len(value) != 2:
            self._missing += 1
            return
        self._bits += 8 * len(packet)
        self._note(value[0] << 8 | value[1], arrival_ns)
        if self._reported_ns is None:
            self._reported_ns = arrival_ns
            self._due_ns = arrival_ns + LEAST_INTERVAL_NS
        elif arrival_ns >= self._due_ns:
            self._report(arrival_ns)

    def _note(self, sequence: int, arrival_ns: int) -> None:
        highest = self._highest
        if highest is None:
            highest = sequence - 1
            self._first_untold = sequence
        extended = highest + signed16(sequence - highest)
        if extended > highest + _MOST_JUMP or extended < highest - _MOST_JUMP:
            self._arrivals.clear()
            self._first_untold = extended
            highest = extended - 1
        if extended <= highest - _KEPT:
            return
        self._highest = max(highest, extended)
        if extended not in self._arrivals:
            self._arrivals[extended] = arrival_ns
            # One that was overtaken: told of late, with those after it once more.
            self._first_untold = min(self._first_untold, extended)

    def _report(self, now_ns: int) -> None:
        assert self._highest is not None
        assert self._reported_ns is not None
        rate = self._bits * NS_PER_S / max(now_ns - self._reported_ns, 1)
        interval_ns = int(_REPORT_BITS * NS_PER_S / (_SHARE * max(rate, 1)))
        self._reported_ns, self._bits = now_ns, 0
        self._due_ns = now_ns + min(max(interval_ns, LEAST_INTERVAL_NS), MOST_INTERVAL_NS)
        while self._first_untold <= self._highest:
            first = self._first_untold
            times = [self._arrivals.get(sequence) for sequence in range(first, self._highest + 1)]
            feedback, told = transport_cc.write(self._local_ssrc, self._media_ssrc, first, self._number, times)
            self._number = (self._number + 1) & 0xFF
            self._reports += 1
            # An empty receiver report first: a compound packet begins with a report (RFC 3550 section 6.1).
            self._transport.send_rtcp(rtcp.receiver_report(self._local_ssrc, []) + feedback)
            self._first_untold += told
        for sequence in [known for known in self._arrivals if known <= self._highest - _KEPT]:
            del self._arrivals[sequence]

    def numbers(self) -> dict[str, Any]:
        return {"transport_cc_sent": self._reports, "without_transport_cc": self._missing}
