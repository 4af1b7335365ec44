"""Receive a stream: what sound and picture share, which packets are theirs and what is told to the sender by RTCP."""

from collections import deque
from typing import Any

from appliance.media.clock import Clock, MediaClock

from .clock_recovery import SessionTimeline
from .feedback import ReceiverFeedback
from .header import RtpHeader, parse_header
from .plane import RtpTransport, StreamParameters

# Former SSRCs of a stream: what still comes from them is old, unless the present one has fallen silent.
_RETIRED = 8
_SILENT_NS = 200_000_000


class StreamReceiver:
    """The base of both receivers."""

    def __init__(self, timeline: SessionTimeline | None, clock: Clock | None) -> None:
        self._timeline = timeline or SessionTimeline()
        self._clock = clock or MediaClock()
        self._feedback: ReceiverFeedback | None = None
        self._payload_type = -1
        self._rtx_payload_type = self._red_payload_type = -1
        self._ssrc = 0
        self._retired: deque[int] = deque(maxlen=_RETIRED)
        self._packets = 0
        self._bytes = 0
        self._malformed = 0
        self._stray = 0
        self.last_packet_ns = 0

    def start(self, transport: RtpTransport, parameters: StreamParameters) -> None:
        """The connection stands: packets follow, reports may be sent."""
        self._payload_type = parameters.payload_type
        self._rtx_payload_type = -1 if parameters.rtx_payload_type is None else parameters.rtx_payload_type
        self._red_payload_type = -1 if parameters.red_payload_type is None else parameters.red_payload_type
        self._feedback = ReceiverFeedback(self._timeline, transport, parameters)
        self._ssrc = parameters.ssrc

    def stop(self) -> None:
        """No more packets, no more reports."""
        self._feedback = None

    def handle_rtcp(self, packet_type: int, count: int, body: bytes, arrival_ns: int) -> None:
        if self._feedback is not None:
            self._feedback.handle_rtcp(packet_type, count, body, arrival_ns)

    def _accept(self, packet: bytes, arrival_ns: int) -> RtpHeader | None:
        """The header of a packet of this stream; None: it is not for us."""
        try:
            header = parse_header(packet)
        except ValueError:
            self._malformed += 1
            return None
        feedback = self._feedback
        if feedback is None:
            return None
        if header.payload_type in (self._payload_type, self._red_payload_type):
            if header.ssrc != self._ssrc and not self._follow(header.ssrc, feedback, arrival_ns):
                return None
            if not feedback.clock.has_origin:
                # Until a sender report comes, the first packet's arrival is the origin of the stream's time.
                feedback.clock.time_of(header.timestamp, arrival_ns)
            feedback.statistics.packet(header.sequence, header.timestamp, arrival_ns)
        elif header.payload_type != self._rtx_payload_type:
            self._stray += 1
            return None
        self._packets += 1
        self._bytes += len(packet)
        self.last_packet_ns = arrival_ns
        feedback.report_when_due(arrival_ns)
        return header

    def _follow(self, ssrc: int, feedback: ReceiverFeedback, now_ns: int) -> bool:
        """Follow the sender to another SSRC; never to and fro between two that send at once."""
        if ssrc in self._retired:
            if now_ns - self.last_packet_ns < _SILENT_NS:
                self._stray += 1
                return False
            self._retired.remove(ssrc)
        if self._packets:
            self._retired.append(self._ssrc)
        self._ssrc = ssrc
        feedback.follow(ssrc)
        self._restart()
        return True

    def _restart(self) -> None:
        """Forget the stream so far: another one follows."""
        raise NotImplementedError

    def numbers(self) -> dict[str, Any]:
        feedback = self._feedback
        return {
            "packets": self._packets,
            "bytes": self._bytes,
            "malformed": self._malformed,
            "stray": self._stray,
            **(feedback.numbers() if feedback is not None else {}),
        }
