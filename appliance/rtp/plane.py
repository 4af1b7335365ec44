"""The contract between a peer, which owns ICE, DTLS and SRTP, and the senders and receivers, which own RTP and RTCP.

Everything here is synchronous and per packet: no task, no queue and no coroutine stands between a socket and a stream.
"""

from dataclasses import dataclass, field
from typing import Any, Protocol


class RtpTransport(Protocol):
    """Protects and sends. False (counted by the transport): not connected, or the packet cannot be sent."""

    @property
    def congested(self) -> bool:
        """The operating system takes no more for now (a TURN connection over TCP on a slow line): start no picture."""

    def send_rtp(self, packet: bytes) -> bool: ...

    def send_rtcp(self, packet: bytes) -> bool: ...


@dataclass(frozen=True, slots=True)
class StreamParameters:
    """What was negotiated for one stream (one m= section), seen from the end that uses it.

    `ssrc` and `rtx_ssrc` are the media sender's: ours for a sender; for a receiver the far end's as its SDP announced
    them, 0 where it announced none (then they are learned from the packets: by payload type).
    """

    kind: str  # "audio" or "video"
    mid: str
    payload_type: int
    clock_rate: int
    ssrc: int = 0
    rtx_payload_type: int | None = None
    rtx_ssrc: int = 0
    red_payload_type: int | None = None
    local_ssrc: int = 0  # a receiver signs its reports and requests with this one
    cname: str = ""
    feedback: frozenset[str] = frozenset()  # as in a=rtcp-fb: "nack", "nack pli", "ccm fir", "goog-remb"
    extensions: dict[str, int] = field(default_factory=dict)  # header extension URI -> negotiated id
    parameters: dict[str, str] = field(default_factory=dict)  # the codec's fmtp


class RtcpHandler(Protocol):
    """Takes each RTCP packet of a compound one, already authenticated and cut apart; finds by SSRC if it is meant."""

    def handle_rtcp(self, packet_type: int, count: int, body: bytes, arrival_ns: int) -> None:
        """`count` is the 5-bit field of the header (report count or FMT), `body` what follows the 4-byte header."""


class RtpReceiver(RtcpHandler, Protocol):
    """One incoming stream. Garbage must be counted and dropped, never raised."""

    def start(self, transport: RtpTransport, parameters: StreamParameters) -> None:
        """The transport is up: packets follow, reports may be sent."""

    def handle_rtp(self, packet: bytes, arrival_ns: int) -> None:
        """A whole RTP packet, authenticated and decrypted, whose payload type is this stream's (or its RTX)."""

    def stop(self) -> None:
        """No more packets; end every timer."""

    def numbers(self) -> dict[str, Any]: ...
