"""Send H.264 as RTP: packets paced, losses repaired, and the far end's wishes passed to the encoder.

Nothing here is a coroutine or a task but one timer while a large picture leaves: the pictures that come drive the rest.
"""

from collections.abc import Callable
from typing import Any

from appliance.media.clock import NS_PER_S, Clock, ns_to_90k
from appliance.media.values import EncodedFrame

from . import rtcp
from .pacer import Pacer
from .packetize import payloads
from .plane import RtpTransport, StreamParameters
from .sender import HEADER, RtpSender
from .session_clock import SessionClock, random_sequence

HISTORY = 1024  # a large keyframe has some hundred packets; fewer could not repair it
KEYFRAME_GAP_NS = NS_PER_S // 2
# A receiver repeats its request until the packet is there; what is on its way is not sent again.
RESEND_GAP_NS = 15_000_000
MAX_RESENT_PER_REQUEST = 256


class VideoSender(RtpSender):
    """Sends H.264 access units; repairs losses, paces keyframes, passes on what the far end wants of the encoder."""

    def __init__(self, session_clock: SessionClock | None = None, clock: Clock | None = None) -> None:
        super().__init__(session_clock or SessionClock(), clock)
        self._pacer = Pacer(self._send_paced)
        self._history: list[bytes | None] = [None] * HISTORY
        self._resent_ns = [0] * HISTORY
        self._rtx_payload_type: int | None = None
        self._rtx_sequence = random_sequence()
        self._may_resend = False
        self._keyframe_callback: Callable[[], None] | None = None
        self._bandwidth_callback: Callable[[int], None] | None = None
        self._keyframe_asked_ns: int | None = None
        self._skipping = False
        self._last_pts_ns: int | None = None
        self._frame_s = 1 / 30
        self._bytes_per_s = 250_000.0
        self._frames = 0
        self._dropped = 0
        self._malformed_frames = 0
        self._nacks = 0
        self._resent = 0
        self._unrepairable = 0
        self._keyframe_requests = 0
        self._remb_bps: int | None = None

    def on_keyframe(self, callback: Callable[[], None]) -> None:
        """Call when a keyframe is wanted (PLI, FIR, or pictures we had to drop); at most once per 0.5 s."""
        self._keyframe_callback = callback

    def on_bandwidth(self, callback: Callable[[int], None]) -> None:
        """Call with the bits per second that the far end believes the line carries (REMB)."""
        self._bandwidth_callback = callback

    def start(self, transport: RtpTransport, parameters: StreamParameters) -> None:
        self._rtx_payload_type = parameters.rtx_payload_type
        self._may_resend = "nack" in parameters.feedback or parameters.rtx_payload_type is not None
        super().start(transport, parameters)

    def stop(self) -> None:
        self._pacer.clear()
        super().stop()

    def send(self, frame: EncodedFrame) -> None:
        """Send one access unit now; never waits. What cannot be sent is dropped whole and counted."""
        transport = self._transport
        if transport is None:
            self._not_connected += 1
            return
        now_ns = self._clock.now_ns()
        if self._skipping and not frame.is_keyframe:
            self._dropped += 1
            self._want_keyframe(now_ns)  # in case the first request was lost
            return
        parts = payloads(frame.data)
        if not parts:
            self._malformed_frames += 1
            return
        if transport.congested or not self._pacer.accepts(len(parts)):
            # The pictures that follow refer to this one: none of them is worth its packets before a keyframe.
            self._dropped += 1
            self._skipping = True
            self._want_keyframe(now_ns)
            return
        self._skipping = False
        self._measure(frame)
        self._frames += 1
        timestamp = self._rtp_time(frame.pts_ns)
        last = len(parts) - 1
        self._pacer.put(
            [(timestamp, part, index == last) for index, part in enumerate(parts)],
            frame_s=self._frame_s,
            bytes_per_s=self._bytes_per_s,
        )
        self._report_when_due(now_ns)

    def _measure(self, frame: EncodedFrame) -> None:
        if self._last_pts_ns is not None:
            gap_s = (frame.pts_ns - self._last_pts_ns) / NS_PER_S
            if 0.005 < gap_s < 1:
                # A card's slow pictures must not slow the keyframe that starts the camera's.
                self._frame_s = min(gap_s, 1 / 25)
                self._bytes_per_s += (len(frame.data) / gap_s - self._bytes_per_s) / 16
        self._last_pts_ns = frame.pts_ns

    def _rtp_time(self, media_ns: int) -> int:
        return (ns_to_90k(media_ns) + self._timestamp_origin) & 0xFFFFFFFF

    def _send_paced(self, timestamp: int, payload: bytes, last: bool) -> None:
        sequence = self._sequence
        packet = self._send_packet(payload, last, timestamp, self._clock.now_ns())
        slot = sequence % HISTORY
        self._history[slot] = packet
        self._resent_ns[slot] = 0

    # what the far end asks

    def _want_keyframe(self, now_ns: int) -> None:
        if self._keyframe_asked_ns is not None and now_ns - self._keyframe_asked_ns < KEYFRAME_GAP_NS:
            return
        self._keyframe_asked_ns = now_ns
        if self._keyframe_callback is not None:
            self._keyframe_callback()

    def _take_feedback(self, packet_type: int, fmt: int, body: bytes, arrival_ns: int) -> None:
        _, media = rtcp.feedback_ssrcs(body)
        if packet_type == rtcp.RTPFB:
            if fmt == rtcp.NACK and media == self.ssrc:
                self._nacks += 1
                self._resend(body, arrival_ns)
        elif (fmt == rtcp.PLI and media == self.ssrc) or (fmt == rtcp.FIR and self.ssrc in rtcp.parse_fir(body)):
            self._keyframe_requests += 1
            self._want_keyframe(arrival_ns)
        elif fmt == rtcp.ALFB:
            estimate = rtcp.parse_remb(body)
            if estimate is not None and (self.ssrc in estimate[1] or media == self.ssrc):
                self._remb_bps = estimate[0]
                if self._bandwidth_callback is not None:
                    self._bandwidth_callback(estimate[0])

    def _resend(self, body: bytes, now_ns: int) -> None:
        transport = self._transport
        if transport is None or not self._may_resend:
            return
        budget = MAX_RESENT_PER_REQUEST
        for sequence in rtcp.parse_nack(body):
            slot = sequence % HISTORY
            packet = self._history[slot]
            if packet is None or int.from_bytes(packet[2:4], "big") != sequence:
                self._unrepairable += 1
            elif now_ns - self._resent_ns[slot] >= RESEND_GAP_NS:
                if budget == 0:
                    break
                budget -= 1
                self._resent_ns[slot] = now_ns
                if transport.send_rtp(packet if self._rtx_payload_type is None else self._rtx(packet, now_ns)):
                    self._resent += 1

    def _rtx(self, packet: bytes, now_ns: int) -> bytes:
        """The packet in a stream of its own for repairs (RFC 4588), so that losses stay measurable."""
        assert self._rtx_payload_type is not None
        sequence = self._rtx_sequence
        self._rtx_sequence = (sequence + 1) & 0xFFFF
        first, second, original, timestamp, _ = HEADER.unpack_from(packet)
        extensions = self._extensions(now_ns)
        header = HEADER.pack(first, second & 0x80 | self._rtx_payload_type, sequence, timestamp, self.rtx_ssrc)
        payload = packet[HEADER.size + len(extensions) :]
        return b"".join((header, extensions, original.to_bytes(2, "big"), payload))

    def numbers(self) -> dict[str, Any]:
        return super().numbers() | {
            "frames_sent": self._frames,
            "frames_dropped": self._dropped,
            "malformed_frames": self._malformed_frames,
            "paced": len(self._pacer),
            "nacks": self._nacks,
            "packets_resent": self._resent,
            "packets_unrepairable": self._unrepairable,
            "keyframe_requests": self._keyframe_requests,
            "remb_bps": self._remb_bps,
        }
