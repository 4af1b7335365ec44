"""The streams on one bundled transport: which decrypted packet is whose (RFC 9143), and their common start and end."""

from typing import Any

from . import rtcp
from .arrivals import ArrivalReporter
from .plane import RtcpHandler, RtpReceiver, RtpTransport, StreamParameters
from .sdp import TRANSPORT_CC_URI
from .sender import RtpSender


class Streams:
    """Routes RTP by payload type, which a bundle keeps distinct, and hands RTCP to all, who know their SSRCs."""

    def __init__(self) -> None:
        self._senders: list[tuple[RtpSender, StreamParameters]] = []
        self._receivers: list[tuple[RtpReceiver, StreamParameters]] = []
        self._by_payload_type: dict[int, RtpReceiver] = {}
        self._rtcp_handlers: list[RtcpHandler] = []
        self._arrivals: ArrivalReporter | None = None
        self._packets = 0
        self._bytes = 0
        self._reports = 0
        self._unknown = 0
        self._malformed = 0

    def add_sender(self, sender: RtpSender, parameters: StreamParameters) -> None:
        self._senders.append((sender, parameters))
        self._rtcp_handlers.append(sender)

    def add_rtcp_handler(self, handler: RtcpHandler) -> None:
        """Who hears what is of the whole transport."""
        self._rtcp_handlers.append(handler)

    def add_receiver(self, receiver: RtpReceiver, parameters: StreamParameters) -> None:
        self._receivers.append((receiver, parameters))
        self._rtcp_handlers.append(receiver)
        self._by_payload_type[parameters.payload_type] = receiver
        for other in (parameters.rtx_payload_type, parameters.red_payload_type):
            if other is not None:
                self._by_payload_type[other] = receiver

    def start(self, transport: RtpTransport) -> None:
        for sender, parameters in self._senders:
            sender.start(transport, parameters)
        for receiver, parameters in self._receivers:
            receiver.start(transport, parameters)
            if "transport-cc" in parameters.feedback and (self._arrivals is None or parameters.kind == "video"):
                extension = parameters.extensions[TRANSPORT_CC_URI]
                self._arrivals = ArrivalReporter(transport, extension, parameters.local_ssrc, parameters.ssrc)

    def stop(self) -> None:
        for sender, _ in self._senders:
            sender.stop()
        for receiver, _ in self._receivers:
            receiver.stop()
        self._arrivals = None

    def take_rtp(self, packet: bytes, arrival_ns: int) -> None:
        receiver = self._by_payload_type.get(packet[1] & 0x7F)
        if receiver is None:
            self._unknown += 1
            return
        self._packets += 1
        self._bytes += len(packet)
        if self._arrivals is not None:
            self._arrivals.packet(packet, arrival_ns)
        receiver.handle_rtp(packet, arrival_ns)

    def take_rtcp(self, compound: bytes, arrival_ns: int) -> None:
        try:
            for packet_type, count, body in rtcp.split(compound):
                for handler in self._rtcp_handlers:
                    handler.handle_rtcp(packet_type, count, body, arrival_ns)
            self._reports += 1
        except ValueError:
            self._malformed += 1

    def numbers(self) -> dict[str, Any]:
        return {
            "packets_received": self._packets,
            "bytes_received": self._bytes,
            "rtcp_received": self._reports,
            "unknown_stream": self._unknown,
            "malformed_rtcp": self._malformed,
            **(self._arrivals.numbers() if self._arrivals is not None else {}),
        }
