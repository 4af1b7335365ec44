"""Receive sound: RTP packets in whenever they come, 20 ms of sound out whenever the speaker asks."""

from typing import Any

from appliance.media.clock import Clock
from appliance.media.values import AudioBlock

from .audio_buffer import AudioBuffer
from .clock_recovery import SessionTimeline
from .opus import OpusDecoder
from .receiver import StreamReceiver


class AudioReceiver(StreamReceiver):
    """The far end's sound."""

    def __init__(self, timeline: SessionTimeline | None = None, clock: Clock | None = None) -> None:
        """`timeline`: the session's, shared with its picture."""
        super().__init__(timeline, clock)
        self._buffer = AudioBuffer(OpusDecoder())

    def _restart(self) -> None:
        self._buffer.restart()

    def handle_rtp(self, packet: bytes, arrival_ns: int) -> None:
        header = self._accept(packet, arrival_ns)
        if header is not None and header.payload_type == self._payload_type and header.end > header.start:
            self._buffer.insert(header.sequence, header.timestamp, packet[header.start : header.end], arrival_ns)

    def pull(self, heard_at_ns: int) -> AudioBlock | None:
        """The next 20 ms, at the pace of the speaker's clock. None: there is nothing to play."""
        feedback = self._feedback
        if feedback is None:
            return None
        now_ns = self._clock.now_ns()
        pulled = self._buffer.pull(now_ns)
        if pulled is None:
            return None
        return AudioBlock(pulled.samples, feedback.clock.time_of(pulled.timestamp, now_ns))

    def numbers(self) -> dict[str, Any]:
        return super().numbers() | self._buffer.numbers()
