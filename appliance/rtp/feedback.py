"""What every receiver tells the sender by RTCP: reports about each second, requests, and what the sender reports."""

import random
import struct
from typing import Any

from appliance.media.clock import NS_PER_S

from . import rtcp
from .clock_recovery import SessionTimeline, StreamClock
from .plane import RtpTransport, StreamParameters
from .stats import ReceptionStatistics

# Sender reports of streams that have no packet yet; more than a meeting has.
_MAX_EARLY_REPORTS = 4


class ReceiverFeedback:
    """The RTCP side of one incoming stream."""

    def __init__(self, timeline: SessionTimeline, transport: RtpTransport, parameters: StreamParameters) -> None:
        self.clock = StreamClock(timeline, parameters.clock_rate)
        self.statistics = ReceptionStatistics(parameters.ssrc, parameters.clock_rate)
        self.malformed = 0
        self.byes = 0
        self._transport = transport
        self._parameters = parameters
        self._local_ssrc = parameters.local_ssrc
        self._description = rtcp.source_description(parameters.local_ssrc, parameters.cname)
        self._early: dict[int, tuple[int, int, int]] = {}
        self._report_due_ns = 0

    @property
    def ssrc(self) -> int:
        return self.statistics.ssrc

    def follow(self, ssrc: int) -> None:
        """The stream comes from this SSRC from now on."""
        self.statistics = ReceptionStatistics(ssrc, self._parameters.clock_rate)
        self.clock.restart()
        early = self._early.pop(ssrc, None)
        if early is not None:
            self._take_report(*early)

    def handle_rtcp(self, packet_type: int, count: int, body: bytes, arrival_ns: int) -> None:
        try:
            if packet_type == rtcp.SR:
                ssrc, ntp, timestamp = rtcp.parse_sender_report(body)
                if ssrc == self.ssrc:
                    self._take_report(ntp, timestamp, arrival_ns)
                else:
                    self._early[ssrc] = (ntp, timestamp, arrival_ns)
                    if len(self._early) > _MAX_EARLY_REPORTS:
                        del self._early[next(iter(self._early))]
            elif packet_type == rtcp.BYE and len(body) >= 4 * count:
                self.byes += self.ssrc in struct.unpack_from(f"!{count}I", body)
        except ValueError:
            self.malformed += 1

    def _take_report(self, ntp: int, timestamp: int, arrival_ns: int) -> None:
        self.clock.sender_report(ntp, timestamp, arrival_ns)
        self.statistics.sender_report(ntp, arrival_ns)

    def report_when_due(self, now_ns: int) -> None:
        """A receiver report each 0.5 to 1.5 s (RFC 3550 section 6.2), while packets come."""
        if now_ns < self._report_due_ns:
            return
        first = not self._report_due_ns
        self._report_due_ns = now_ns + random.randrange(NS_PER_S // 2, NS_PER_S * 3 // 2)  # noqa: S311  no secret
        if not first:
            self._send(b"", now_ns)

    def ask_for(self, sequences: list[int], now_ns: int) -> None:
        self._send(rtcp.nack(self._local_ssrc, self.ssrc, sequences), now_ns)

    def ask_for_keyframe(self, number: int, now_ns: int) -> None:
        """PLI, or FIR where the far end knows only that."""
        feedback = self._parameters.feedback
        if "ccm fir" in feedback and "nack pli" not in feedback:
            self._send(rtcp.fir(self._local_ssrc, self.ssrc, number), now_ns)
        else:
            self._send(rtcp.pli(self._local_ssrc, self.ssrc), now_ns)

    def _send(self, request: bytes, now_ns: int) -> None:
        # Always a whole compound packet: reduced-size RTCP (RFC 5506) is not negotiated.
        blocks = []
        if not request and self.statistics.received:
            blocks.append(self.statistics.report(now_ns))
        self._transport.send_rtcp(rtcp.receiver_report(self._local_ssrc, blocks) + self._description + request)

    def numbers(self) -> dict[str, Any]:
        statistics = self.statistics
        return {
            "packets_received": statistics.received,
            "packets_lost": statistics.lost,
            "jitter_ms": round(statistics.jitter_ms, 2),
            "malformed_rtcp": self.malformed,
            "has_sender_report": self.clock.has_report,
        }
