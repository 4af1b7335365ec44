"""Send H.264 as RTP: packets paced, losses repaired, and the far end's and the line's wishes passed to the encoder.

Nothing here is a coroutine or a task but one timer while packets wait in the pacer: the pictures that come drive the
rest.
"""

from collections import Counter
from collections.abc import Callable
from typing import Any

from appliance.media.clock import NS_PER_S, Clock, ns_to_90k
from appliance.media.values import EncodedFrame

from . import rtcp
from .congestion import IP_UDP_SRTP_BITS, CongestionControl
from .pacer import CallLater, Pacer
from .packetize import payloads
from .plane import RtpTransport, StreamParameters
from .probing import BURST_NS
from .repair import ResendHistory, Verdict
from .sender import HEADER, RtpSender
from .session_clock import SessionClock, random_sequence

KEYFRAME_GAP_NS = NS_PER_S // 2
# What waits in the pacer is late by so much. First the encoder is told to leave pictures out, which breaks nothing;
# then those that a new keyframe makes needless are dropped; in the end, pictures up to the next keyframe.
HOLD_QUEUE_NS = 100_000_000
NEEDLESS_QUEUE_NS = 200_000_000
DROP_QUEUE_NS = 600_000_000
_HOLD_EVERY_NS = 50_000_000


class VideoSender(RtpSender):
    """Sends H.264 access units; repairs losses, paces keyframes, passes on what the far end wants of the encoder."""

    def __init__(
        self,
        session_clock: SessionClock | None = None,
        clock: Clock | None = None,
        congestion: CongestionControl | None = None,
        call_later: CallLater | None = None,
    ) -> None:
        super().__init__(session_clock or SessionClock(), clock, congestion)
        self._pacer = Pacer(self._clock, self._send_paced, self._send_again, self._send_probe, call_later)
        self._history = ResendHistory()
        self._rtx_payload_type: int | None = None
        self._rtx_sequence = random_sequence()
        self._may_resend = False
        self._keyframe_callback: Callable[[], None] | None = None
        self._hold_callback: Callable[[int], None] | None = None
        self._keyframe_asked_ns: int | None = None
        self._held_ns = 0
        self._skipping = False
        self._last_pts_ns: int | None = None
        self._frame_s = 1 / 30
        self._frames = 0
        self._dropped = 0
        self._malformed_frames = 0
        self._nacks = 0
        self._resent = 0
        self._verdicts: Counter[Verdict] = Counter()
        self._keyframe_requests = 0
        self._holds = 0
        self._probe_packets = 0
        self._packets_before_report = 0

    def on_keyframe(self, callback: Callable[[], None]) -> None:
        """Call when a keyframe is wanted (PLI, FIR, or pictures we had to drop); at most once per 0.5 s."""
        self._keyframe_callback = callback

    def on_bandwidth(self, callback: Callable[[int], None]) -> None:
        """Call with the bits per second that the encoder may make: what the line leaves for the picture."""
        self._congestion.on_video(callback)

    def on_hold(self, callback: Callable[[int], None]) -> None:
        """Call with a time (ms) for which the encoder shall make no picture: what it made still waits to leave."""
        self._hold_callback = callback

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
        self._adjust(now_ns)
        queue_ns = self._pacer.queue_ns
        if self._skipping and not frame.is_keyframe:
            self._dropped += 1
            if queue_ns < NEEDLESS_QUEUE_NS:
                self._want_keyframe(now_ns)  # in case the first request was lost
            return
        parts = payloads(frame.data)
        if not parts:
            self._malformed_frames += 1
            return
        if frame.is_keyframe and queue_ns > NEEDLESS_QUEUE_NS:
            # What waits will not be missed: nothing after the keyframe refers to it.
            self._dropped += self._pacer.drop_waiting()
            queue_ns = 0
        if transport.congested or queue_ns > DROP_QUEUE_NS or not self._pacer.accepts(len(parts)):
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
        self._pacer.put([(timestamp, part, index == last) for index, part in enumerate(parts)], frame_s=self._frame_s)
        self._hold_if_late(now_ns)
        self._report_when_due(now_ns)

    def _adjust(self, now_ns: int) -> None:
        """Let pacer and prober follow the rate of now."""
        congestion = self._congestion
        congestion.tick(now_ns)
        self._pacer.target_bps = congestion.picture_bps
        self._pacer.factor = congestion.pace(now_ns)
        if self._rtx_payload_type is not None and self._history.newest is not None:
            probe_bps = congestion.wants_probe(now_ns)
            if probe_bps is not None:
                self._pacer.probe(probe_bps, probe_bps * BURST_NS / NS_PER_S)

    def _hold_if_late(self, now_ns: int) -> None:
        queue_ns = self._pacer.queue_ns
        if queue_ns > HOLD_QUEUE_NS and now_ns - self._held_ns >= _HOLD_EVERY_NS:
            self._held_ns = now_ns
            self._holds += 1
            if self._hold_callback is not None:
                self._hold_callback((queue_ns - HOLD_QUEUE_NS // 3) // 1_000_000)

    def _measure(self, frame: EncodedFrame) -> None:
        if self._last_pts_ns is not None:
            gap_s = (frame.pts_ns - self._last_pts_ns) / NS_PER_S
            if 0.005 < gap_s < 1:
                # A card's slow pictures must not slow the keyframe that starts the camera's.
                self._frame_s = min(gap_s, 1 / 25)
        self._last_pts_ns = frame.pts_ns

    def _rtp_time(self, media_ns: int) -> int:
        return (ns_to_90k(media_ns) + self._timestamp_origin) & 0xFFFFFFFF

    # what the pacer lets go; each returns the bits on the wire

    def _send_paced(self, timestamp: int, payload: bytes, last: bool) -> int:
        sequence = self._sequence
        now_ns = self._clock.now_ns()
        packet = self._send_packet(payload, last, timestamp, now_ns)
        self._history.keep(sequence, packet, now_ns)
        return _wire_bits(packet)

    def _send_again(self, sequence: int) -> int:
        packet, transport = self._history.get(sequence), self._transport
        if packet is None or transport is None:
            return 0
        again = self._renumbered if self._rtx_payload_type is None else self._rtx
        bits = 0
        for _ in range(self._history.copies(sequence)):
            now_ns = self._clock.now_ns()
            repeated = again(packet, now_ns)
            self._congestion.repeated(now_ns, _wire_bits(repeated))
            self._resent += transport.send_rtp(repeated)
            bits += _wire_bits(repeated)
        return bits

    def _send_probe(self) -> int:
        """The newest packet once more, for its bits alone: in the repair stream the far end knows and drops it."""
        packet, transport = self._history.newest, self._transport
        if packet is None or transport is None or self._rtx_payload_type is None:
            return 0
        repeated = self._rtx(packet, self._clock.now_ns(), probe=self._congestion.controller.prober.number)
        self._probe_packets += transport.send_rtp(repeated)
        return _wire_bits(repeated)

    def _rtx(self, packet: bytes, now_ns: int, probe: int = 0) -> bytes:
        """The packet in a stream of its own for repairs (RFC 4588), so that losses stay measurable."""
        assert self._rtx_payload_type is not None
        sequence = self._rtx_sequence
        self._rtx_sequence = (sequence + 1) & 0xFFFF
        first, second, original, timestamp, _ = HEADER.unpack_from(packet)
        payload = original.to_bytes(2, "big") + packet[HEADER.size + self._extension_length :]
        extensions = self._extensions(now_ns, self._count_on_line(payload, now_ns, self.rtx_ssrc, probe))
        header = HEADER.pack(first, second & 0x80 | self._rtx_payload_type, sequence, timestamp, self.rtx_ssrc)
        return b"".join((header, extensions, payload))

    def _renumbered(self, packet: bytes, now_ns: int) -> bytes:
        """The packet itself once more; only its transport-wide number is new, for its arrival is another event."""
        payload = packet[HEADER.size + self._extension_length :]
        number = self._count_on_line(payload, now_ns, self.ssrc)
        if not self._transport_cc_head:
            return packet
        return b"".join((packet[: HEADER.size], self._extensions(now_ns, number), payload))

    # what the far end asks

    def _want_keyframe(self, now_ns: int) -> None:
        if self._keyframe_asked_ns is not None and now_ns - self._keyframe_asked_ns < KEYFRAME_GAP_NS:
            return
        self._keyframe_asked_ns = now_ns
        if self._keyframe_callback is not None:
            self._keyframe_callback()

    def _take_report(self, block: rtcp.ReportBlock, arrival_ns: int) -> None:
        super()._take_report(block, arrival_ns)
        packets, self._packets_before_report = self._packets - self._packets_before_report, self._packets
        rtt_ns = None if self._rtt_ms is None else int(self._rtt_ms * 1e6)
        self._congestion.receiver_report(self._far_fraction_lost, rtt_ns, arrival_ns, packets)

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
                self._congestion.remb(estimate[0], arrival_ns)

    def _resend(self, body: bytes, now_ns: int) -> None:
        if self._transport is None or not self._may_resend:
            return
        controller = self._congestion.controller
        rtt_ns = controller.rtt_ns if self._congestion.is_measured else 0
        self._adjust(now_ns)
        for sequence in rtcp.parse_nack(body):
            verdict = self._history.requested(sequence, now_ns, rtt_ns=rtt_ns, target_bps=controller.target_bps)
            self._verdicts[verdict] += 1
            if verdict is Verdict.SEND:
                self._pacer.repeat(sequence)

    def numbers(self) -> dict[str, Any]:
        verdicts = self._verdicts
        return super().numbers() | {
            "frames_sent": self._frames,
            "frames_dropped": self._dropped,
            "malformed_frames": self._malformed_frames,
            "paced": len(self._pacer),
            "pacer_ms": round(self._pacer.queue_ns / 1e6, 1),
            "holds": self._holds,
            "nacks": self._nacks,
            "packets_resent": self._resent,
            "packets_unrepairable": verdicts[Verdict.UNKNOWN],
            "packets_hopeless": verdicts[Verdict.HOPELESS],
            "packets_not_repeated": verdicts[Verdict.TOO_DEAR],
            "probe_packets": self._probe_packets,
            "keyframe_requests": self._keyframe_requests,
            **self._congestion.numbers(),
        }


def _wire_bits(packet: bytes) -> int:
    return 8 * len(packet) + IP_UDP_SRTP_BITS
