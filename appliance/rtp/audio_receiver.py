"""Receive sound: RTP packets in whenever they come, 20 ms of sound out whenever the speaker asks."""

from collections.abc import Callable
from typing import Any

from appliance.media.clock import Clock
from appliance.media.values import AudioBlock

from . import opus_packet, red
from .audio_buffer import AudioBuffer
from .clock_recovery import SessionTimeline
from .header import RtpHeader
from .opus import OpusDecoder
from .receiver import StreamReceiver


class AudioReceiver(StreamReceiver):
    """The far end's sound."""

    def __init__(self, timeline: SessionTimeline | None = None, clock: Clock | None = None) -> None:
        """`timeline`: the session's, shared with its picture."""
        super().__init__(timeline, clock)
        self._buffer = AudioBuffer(OpusDecoder())
        self._picture_delay_ns: Callable[[], int | None] = lambda: None

    def wait_for_picture(self, wanted_delay_ns: Callable[[], int | None]) -> None:
        """Play no earlier after its capture than this says: the picture is shown together with the sound."""
        self._picture_delay_ns = wanted_delay_ns

    def _restart(self) -> None:
        self._buffer.restart()

    def handle_rtp(self, packet: bytes, arrival_ns: int) -> None:
        header = self._accept(packet, arrival_ns)
        if header is None or header.end <= header.start or header.payload_type == self._rtx_payload_type:
            return
        payload = packet[header.start : header.end]
        if header.payload_type == self._red_payload_type:
            self._take_redundant(header, payload, arrival_ns)
        else:
            self._buffer.insert(header.sequence, header.timestamp, payload, arrival_ns)

    def _take_redundant(self, header: RtpHeader, payload: bytes, arrival_ns: int) -> None:
        try:
            primary, earlier = red.unpack(payload, self._payload_type)
        except ValueError:
            self._malformed += 1
            return
        for offset, block in earlier:
            back = offset // max(opus_packet.duration(block), 1)
            timestamp = (header.timestamp - offset) & 0xFFFFFFFF
            self._buffer.insert((header.sequence - back) & 0xFFFF, timestamp, block, arrival_ns, redundant=True)
        if primary:
            self._buffer.insert(header.sequence, header.timestamp, primary, arrival_ns)

    def pull(self, heard_at_ns: int) -> AudioBlock | None:
        """The next 20 ms, at the pace of the speaker's clock. None: there is nothing to play."""
        feedback = self._feedback
        if feedback is None:
            return None
        now_ns = self._clock.now_ns()
        pulled = self._buffer.pull(now_ns)
        if pulled is None:
            return None
        captured_ns = feedback.clock.time_of(pulled.timestamp, now_ns)
        self._buffer.follow(self._picture_delay_ns(), heard_at_ns - captured_ns)
        return AudioBlock(pulled.samples, captured_ns)

    def numbers(self) -> dict[str, Any]:
        numbers, sound = super().numbers(), self._buffer.numbers()
        return numbers | sound | {"malformed": numbers["malformed"] + sound["malformed"]}
