"""Send a stream as RTP and tell its capture times by RTCP: what sound and picture share, and the sender of sound.

Nothing here is a coroutine or a task: the media that come drive everything, sender reports included.
"""

import struct
from collections.abc import Callable
from typing import Any

from appliance.media.clock import NS_PER_S, Clock, MediaClock, ns_to_48k
from appliance.media.values import BLOCK_SAMPLES

from . import rtcp
from .congestion import CongestionControl
from .plane import RtpTransport, StreamParameters
from .red import Redundancy
from .sdp import ABS_SEND_TIME_URI, AUDIO_LEVEL_URI, MID_URI, TRANSPORT_CC_URI
from .session_clock import SessionClock, random_sequence, random_ssrc

REPORT_EVERY_NS = NS_PER_S
# Three quarters of a block: more than jitter, less than a missing block.
_GAP_SAMPLES = BLOCK_SAMPLES * 3 // 4
_LEAST_FOR_REDUNDANCY_BPS = 400_000
HEADER = struct.Struct("!BBHII")
_EXTENSIONS = struct.Struct("!HH")


def _send_time(now_ns: int) -> bytes:
    """24 bits of seconds in 6.18 fixed point; the far end only uses differences."""
    return ((now_ns << 18) // NS_PER_S & 0xFFFFFF).to_bytes(3, "big")


class RtpSender:
    """What sound and picture share: headers, reports, and the numbers of the far end's reports."""

    def __init__(
        self, session_clock: SessionClock, clock: Clock | None = None, congestion: CongestionControl | None = None
    ) -> None:
        """`congestion`: the transport's, shared by its streams."""
        self.ssrc = random_ssrc()
        self.rtx_ssrc = random_ssrc()
        self._clock = clock or MediaClock()
        self._session_clock = session_clock
        self._congestion = congestion or CongestionControl(self._clock)
        self._transport: RtpTransport | None = None
        self._sequence = random_sequence()
        self._timestamp_origin = random_ssrc()
        self._payload_type = 0
        self._cname = ""
        self._first_byte = 0x80
        self._extension_head = b""
        self._abs_send_time = False
        self._transport_cc_head = b""
        self._extension_tail = b""
        self._extension_length = 0
        self._reported_ns: int | None = None
        self._packets = 0
        self._bytes = 0
        self._unsent = 0  # packets the transport refused
        self._not_connected = 0  # pictures or blocks given before the connection or after its end
        self._malformed_rtcp = 0
        self._far_lost = 0
        self._acknowledged: int | None = None
        self._far_fraction_lost = 0.0
        self._far_jitter_ms = 0.0
        self._rtt_ms: float | None = None
        self._clock_rate = 1

    def start(self, transport: RtpTransport, parameters: StreamParameters) -> None:
        """The connection stands: what is given from now on is sent."""
        self._payload_type = parameters.payload_type
        self._clock_rate = parameters.clock_rate
        self._cname = parameters.cname
        self._prepare_extensions(parameters)
        self._transport = transport

    def stop(self) -> None:
        """Say goodbye to the far end (BYE) and send no more."""
        transport, self._transport = self._transport, None
        if transport is not None and self._reported_ns is not None:
            self._send_report(transport, self._clock.now_ns(), rtcp.bye([self.ssrc]))

    def _prepare_extensions(self, parameters: StreamParameters) -> None:
        """One-byte header extensions (RFC 8285) around send time and transport-wide number, which change."""
        head = b""
        mid = parameters.mid.encode()
        number = parameters.extensions.get(MID_URI, 0)
        if 0 < number < 15 and 0 < len(mid) <= 16:
            head += bytes((number << 4 | len(mid) - 1,)) + mid
        number = parameters.extensions.get(ABS_SEND_TIME_URI, 0)
        self._abs_send_time = 0 < number < 15
        if self._abs_send_time:
            head += bytes((number << 4 | 2,))
        number = parameters.extensions.get(TRANSPORT_CC_URI, 0)
        if 0 < number < 15 and "transport-cc" in parameters.feedback:
            self._transport_cc_head = bytes((number << 4 | 1,))
            self._congestion.use_transport_cc()
        length = len(head) + (3 if self._abs_send_time else 0) + (3 if self._transport_cc_head else 0)
        if not length:
            return
        self._first_byte = 0x90
        self._extension_length = _EXTENSIONS.size + -(-length // 4) * 4
        self._extension_tail = bytes(-length % 4)
        self._extension_head = _EXTENSIONS.pack(0xBEDE, -(-length // 4)) + head

    def _extensions(self, now_ns: int, transport_sequence: int) -> bytes:
        extensions = self._extension_head
        if self._abs_send_time:
            extensions += _send_time(now_ns)
        if self._transport_cc_head:
            extensions += self._transport_cc_head + transport_sequence.to_bytes(2, "big")
        return extensions + self._extension_tail

    def _count_on_line(self, payload: bytes, now_ns: int, ssrc: int, probe: int = 0) -> int:
        """Tell congestion control of a packet that leaves; its transport-wide sequence number."""
        size = HEADER.size + self._extension_length + len(payload)
        return self._congestion.packet(now_ns, size, ssrc, probe)

    def _send_packet(self, payload: bytes, marker: bool, timestamp: int, now_ns: int) -> bytes:
        sequence = self._sequence
        self._sequence = (sequence + 1) & 0xFFFF
        second = self._payload_type | 0x80 if marker else self._payload_type
        extensions = self._extensions(now_ns, self._count_on_line(payload, now_ns, self.ssrc))
        header = HEADER.pack(self._first_byte, second, sequence, timestamp, self.ssrc)
        packet = b"".join((header, extensions, payload))
        transport = self._transport
        if transport is None or not transport.send_rtp(packet):
            self._unsent += 1
        else:
            self._packets += 1
            self._bytes += len(payload)
        return packet

    # reports

    def _rtp_time(self, media_ns: int) -> int:
        """The RTP timestamp of what is captured at `media_ns`."""
        raise NotImplementedError

    def _report_when_due(self, now_ns: int) -> None:
        """A sender report with the first packet, so that the receiver can sync at once, and then each second."""
        if self._reported_ns is not None and now_ns - self._reported_ns < REPORT_EVERY_NS:
            return
        if self._transport is not None:
            self._reported_ns = now_ns
            self._send_report(self._transport, now_ns)

    def _send_report(self, transport: RtpTransport, now_ns: int, more: bytes = b"") -> None:
        # Both times are those of the capture clock, so the pair holds for every picture and every sample.
        report = rtcp.sender_report(
            self.ssrc, self._session_clock.ntp(now_ns), self._rtp_time(now_ns), self._packets, self._bytes
        )
        transport.send_rtcp(report + rtcp.source_description(self.ssrc, self._cname) + more)

    def handle_rtcp(self, packet_type: int, count: int, body: bytes, arrival_ns: int) -> None:
        """One RTCP packet of the far end; garbage is counted."""
        try:
            if packet_type in (rtcp.SR, rtcp.RR):
                for block in rtcp.report_blocks(packet_type, count, body):
                    if block.ssrc == self.ssrc:
                        self._take_report(block, arrival_ns)
            elif packet_type in (rtcp.RTPFB, rtcp.PSFB):
                self._take_feedback(packet_type, count, body, arrival_ns)
        except (ValueError, struct.error):
            self._malformed_rtcp += 1

    def _take_report(self, block: rtcp.ReportBlock, arrival_ns: int) -> None:
        self._far_lost = block.packets_lost
        self._acknowledged = block.highest_sequence
        self._far_fraction_lost = block.fraction_lost / 256
        self._far_jitter_ms = block.jitter * 1000 / self._clock_rate
        if block.lsr:
            # Our own clock on both ends of the subtraction: wall clock steps and the far end's clock do not matter.
            now = self._session_clock.ntp(arrival_ns) >> 16 & 0xFFFFFFFF
            delay = (now - block.lsr - block.dlsr) & 0xFFFFFFFF
            if delay < 1 << 31:
                rtt_ms = delay * 1000 / 65536
                self._rtt_ms = rtt_ms if self._rtt_ms is None else self._rtt_ms + (rtt_ms - self._rtt_ms) / 4

    def _take_feedback(self, packet_type: int, fmt: int, body: bytes, arrival_ns: int) -> None:
        """Sound has no feedback."""

    def numbers(self) -> dict[str, Any]:
        return {
            "packets_sent": self._packets,
            "bytes_sent": self._bytes,
            "packets_unsent": self._unsent,
            "not_connected": self._not_connected,
            "malformed_rtcp": self._malformed_rtcp,
            "packets_lost": self._far_lost,
            "acknowledged": self._acknowledged,
            "fraction_lost": round(self._far_fraction_lost, 4),
            "jitter_ms": round(self._far_jitter_ms, 2),
            "rtt_ms": None if self._rtt_ms is None else round(self._rtt_ms, 2),
        }


class AudioSender(RtpSender):
    """Sends Opus packets of 20 ms each."""

    def __init__(
        self,
        session_clock: SessionClock | None = None,
        clock: Clock | None = None,
        congestion: CongestionControl | None = None,
    ) -> None:
        super().__init__(session_clock or SessionClock(), clock, congestion)
        self._level_id = 0
        self._level: int | None = None
        self._count: int | None = None  # samples since the stream's origin, of the packet that comes next
        self._skew = 0.0  # capture clock minus sample count, in samples: the microphone's drift
        self._blocks = 0
        self._jumps = 0
        self._opus_payload_type = 0
        self._red_payload_type: int | None = None
        self._redundancy = Redundancy()
        self._redundant = 0

    def start(self, transport: RtpTransport, parameters: StreamParameters) -> None:
        self._opus_payload_type = parameters.payload_type
        self._red_payload_type = parameters.red_payload_type
        super().start(transport, parameters)

    def _take_report(self, block: rtcp.ReportBlock, arrival_ns: int) -> None:
        super()._take_report(block, arrival_ns)
        self._redundancy.reported(self._far_fraction_lost)

    def _prepare_extensions(self, parameters: StreamParameters) -> None:
        number = parameters.extensions.get(AUDIO_LEVEL_URI, 0)
        if 0 < number < 15:
            self._level_id = number
        super()._prepare_extensions(parameters)

    def _extensions(self, now_ns: int, transport_sequence: int) -> bytes:
        plain = super()._extensions(now_ns, transport_sequence)
        if self._level is None:
            return plain
        # RFC 6464, without the voice activity bit, behind what every packet has (zeros between elements are padding).
        elements = plain[_EXTENSIONS.size :] + bytes((self._level_id << 4, self._level))
        elements += bytes(-len(elements) % 4)
        return _EXTENSIONS.pack(0xBEDE, len(elements) // 4) + elements

    def on_bitrate(self, callback: Callable[[int], None]) -> None:
        """Call with the bits a second that the Opus encoder may make; hardly ever, for the sound yields last."""
        self._congestion.on_audio(callback)

    def send(self, packet: bytes, pts_ns: int, level_dbov: int | None = None) -> None:
        """Send one Opus packet whose first sample was captured at `pts_ns`; `level_dbov`: its loudness, 0 to -127."""
        if self._transport is None:
            self._not_connected += 1
            return
        now_ns = self._clock.now_ns()
        count = self._place(ns_to_48k(pts_ns))
        self._count = count + BLOCK_SAMPLES
        self._blocks += 1
        first = self._blocks == 1
        self._level = None if level_dbov is None or not self._level_id else min(max(-level_dbov, 0), 127)
        timestamp = (count + self._timestamp_origin) & 0xFFFFFFFF
        # The marker starts a talk spurt (RFC 3551 section 4.1); there is one, for silence is sent as well.
        self._send_packet(self._redundantly(packet, timestamp), first, timestamp, now_ns)
        self._report_when_due(now_ns)
        self._congestion.tick(now_ns)

    def _redundantly(self, packet: bytes, timestamp: int) -> bytes:
        """With the packets before it (RED), while the far end reports losses and knows RED."""
        wrapped = self._redundancy.wrap(self._opus_payload_type, timestamp, packet)
        # On a narrow line losses come of its fullness, and more bits bring more of them.
        narrow = self._congestion.controller.target_bps < _LEAST_FOR_REDUNDANCY_BPS
        if wrapped is None or narrow or self._red_payload_type is None:
            self._payload_type = self._opus_payload_type
            return packet
        self._payload_type = self._red_payload_type
        self._redundant += 1
        return wrapped

    def _place(self, captured: int) -> int:
        """The stream position of a block captured at sample `captured` of the capture clock.

        Blocks follow each other without a seam, whatever the jitter of their times; a missing block leaves a gap of
        its size. The difference of the two clocks is followed slowly and told in the sender reports.
        """
        expected = self._count
        if expected is None:
            return captured
        deviation = captured - expected - self._skew
        if deviation >= _GAP_SAMPLES:
            self._jumps += 1
            return expected + round(deviation / BLOCK_SAMPLES) * BLOCK_SAMPLES
        if deviation <= -_GAP_SAMPLES:
            # The source's time went back: a stream cannot. Only the relation of the clocks changes.
            self._jumps += 1
            self._skew += deviation
        else:
            self._skew += deviation / 64
        return expected

    def _rtp_time(self, media_ns: int) -> int:
        return (ns_to_48k(media_ns) - round(self._skew) + self._timestamp_origin) & 0xFFFFFFFF

    def numbers(self) -> dict[str, Any]:
        return super().numbers() | {
            "blocks_sent": self._blocks,
            "blocks_redundant": self._redundant,
            "jumps": self._jumps,
        }
