"""The jitter buffer of the sound: Opus packets in whenever they come, 20 ms of sound out whenever the speaker asks.

The delay is as small as the line allows: `playout_delay.py` watches how early packets are when they are needed and says
when to play slower or faster. What is missing is hidden: from the next packet's redundancy, else by concealment, which
fades to silence. Pure: the caller has the clock.
"""

from typing import Any, NamedTuple, Protocol

import numpy as np

from appliance.media.clock import NS_PER_S
from appliance.media.values import BLOCK_BYTES, BLOCK_SAMPLES, SAMPLE_RATE, SILENCE

from . import opus_packet, stretch
from .fade import FADE_AFTER, Fade
from .header import signed32
from .opus import OpusError
from .playout_delay import SAFETY_NS, PlayoutDelay

MAX_PACKETS = 64
# More than this is not played late but left out.
MAX_SPAN = SAMPLE_RATE * 240 // 1000
_KEPT_SPAN = 2 * BLOCK_SAMPLES
# Longer holes are a new start, not a loss.
_MAX_HOLE = SAMPLE_RATE
_MAX_JUMP = 10 * SAMPLE_RATE
# For the picture, at most one period in 60 or 80 ms: a sixth slower or an eighth faster, which nobody notices.
_GENTLE_SLOWER, _GENTLE_FASTER = 3, 4
# A period that matches less well is waited for, unless the correction becomes urgent.
_GOOD_MATCH = 0.5
_PATIENCE = 15
_COUNTED = (
    "concealed", "fec_used", "red_used", "late", "duplicate", "discarded", "underruns", "malformed", "decode_errors",
)  # fmt: skip


class Decoder(Protocol):
    """`opus.OpusDecoder`."""

    def decode(self, packet: bytes | None, *, fec: bool = False) -> bytes: ...


class Pulled(NamedTuple):
    """`timestamp`: the RTP time of the first sample."""

    samples: bytes
    timestamp: int


class _Packet(NamedTuple):
    payload: bytes
    sequence: int
    samples: int
    arrival_ns: int


class AudioBuffer:
    """One stream (SSRC) at a time."""

    def __init__(self, decoder: Decoder) -> None:
        self._decoder = decoder
        self._counts = dict.fromkeys(
            (
                "concealed",
                "fec_used",
                "late",
                "duplicate",
                "discarded",
                "underruns",
                "malformed",
                "decode_errors",
                "red_used",
            ),
            0,
        )
        self._inserted = 0
        self._removed = 0
        self._wanted_ns = 0
        self.restart()

    def restart(self) -> None:
        """Another stream follows."""
        self._packets: dict[int, _Packet] = {}
        self._newest: int | None = None
        self._delay = PlayoutDelay()
        self._sequence = -1  # of the packet played last
        self._stop_playing()

    def _stop_playing(self) -> None:
        self._position: int | None = None  # extended RTP time of what is decoded next
        self._pcm = b""
        self._starved = 0  # samples concealed in place of packets that may still come
        self._arrival_ns = 0
        self._fade = Fade()
        self._tries = 0
        self._uncorrected = 0  # blocks since the last correction

    def follow(self, wanted_ns: int | None, delay_ns: int) -> None:
        """Sound is heard `delay_ns` after its capture; the picture wants `wanted_ns`. None: no picture comes."""
        self._wanted_ns = wanted_ns or 0
        self._delay.follow(None if wanted_ns is None else wanted_ns - delay_ns)

    # packets in

    def insert(
        self, sequence: int, timestamp: int, payload: bytes, arrival_ns: int, *, redundant: bool = False
    ) -> None:
        """Take a packet; `redundant`: a copy that came with a later one."""
        samples = opus_packet.duration(payload)
        if not samples:
            self._counts["malformed"] += 1
            return
        if self._newest is None:
            self._newest = timestamp + (1 << 32)
        ahead = signed32(timestamp - self._newest)
        if abs(ahead) > _MAX_JUMP:
            self.restart()
            self.insert(sequence, timestamp, payload, arrival_ns)
            return
        time = self._newest + ahead
        if redundant and (self._position is None or time < self._position or time in self._packets):
            return
        if self._position is not None and time < self._position:
            self._counts["late"] += 1
            return
        if time in self._packets:
            self._counts["duplicate"] += 1
            return
        if redundant:
            self._counts["red_used"] += 1
            self._delay.lost()
        self._packets[time] = _Packet(payload, sequence, samples, arrival_ns)
        self._newest = max(self._newest, time)
        if len(self._packets) > MAX_PACKETS:
            del self._packets[min(self._packets)]
            self._counts["discarded"] += 1

    # sound out

    def pull(self, now_ns: int) -> Pulled | None:
        """The next 20 ms; None: there is nothing to play."""
        if self._position is None and not self._begin(now_ns):
            return None
        if self._starved >= _MAX_HOLE:
            # The stream has ended or pauses; it is begun anew when it returns.
            self._stop_playing()
            return None
        self._skip_backlog()
        assert self._position is not None
        timestamp = self._position - len(self._pcm) // 2
        self._fill(BLOCK_SAMPLES)
        if self._fade.hidden == 0:
            self._delay.observe(now_ns, now_ns - self._arrival_ns, len(self._pcm) // 2 - BLOCK_SAMPLES)
            self._correct()
        block, self._pcm = self._pcm[:BLOCK_BYTES], self._pcm[BLOCK_BYTES:]
        return Pulled(block, timestamp & 0xFFFFFFFF)

    def _begin(self, now_ns: int) -> bool:
        if not self._packets:
            return False
        newest = max(self._packets)
        if now_ns - self._packets[newest].arrival_ns < SAFETY_NS and len(self._packets) == 1:
            # It has come this very moment: the ones after it would now and then come too late.
            return False
        # What has piled up before somebody listens is old.
        for time in [time for time in self._packets if time != newest]:
            del self._packets[time]
            self._counts["discarded"] += 1
        self._position = newest
        self._fade.from_silence()
        return True

    def _skip_backlog(self) -> None:
        """After a stall everything comes at once: leave out what is too late for a conversation."""
        if not self._packets:
            return
        newest = max(self._packets)
        end = newest + self._packets[newest].samples
        span = end - min(self._packets) + len(self._pcm) // 2
        # More may be meant to be there, for the picture.
        meant = int(max(self._wanted_ns, self._delay.wait_ns) * SAMPLE_RATE / NS_PER_S)
        if self._starved >= FADE_AFTER:
            most = max(3 * BLOCK_SAMPLES, meant + 2 * BLOCK_SAMPLES)
        else:
            most = max(MAX_SPAN, meant + 5 * BLOCK_SAMPLES)
        if span <= most:
            return
        kept = max(_KEPT_SPAN, meant - 2 * BLOCK_SAMPLES)
        old = [time for time, packet in self._packets.items() if time + packet.samples <= end - kept]
        for time in old:
            del self._packets[time]
            self._counts["discarded"] += 1
        self._fade.cut(self._decode(None))
        self._pcm = b""
        self._position = min(self._packets)
        self._starved = 0
        self._delay.restart()

    def _fill(self, samples: int) -> None:
        """Decode until the buffer holds so many."""
        while len(self._pcm) < 2 * samples:
            self._pcm += self._next_chunk()

    def _next_chunk(self) -> bytes:
        assert self._position is not None
        packet = self._packets.pop(self._position, None)
        if packet is not None:
            return self._play(packet)
        if not self._packets:
            if not self._fade.in_silence:
                self._counts["underruns"] += 1
                self._counts["concealed"] += 1
            self._starved += BLOCK_SAMPLES
            return self._fade.out(self._decode(None))
        first = min(self._packets)
        hole = first - self._position - self._starved
        if hole <= 0 or hole > _MAX_HOLE:
            # What has been concealed already stands for what is missing; an overlap of both only adds delay.
            self._position = first
            self._starved = 0
            if not self._sequence_follows(first) and opus_packet.has_redundancy(self._packets[first].payload):
                self._delay.lost()
            return b""
        self._position += self._starved
        self._starved = 0
        return self._hide(hole, self._packets[first])

    def _sequence_follows(self, time: int) -> bool:
        return self._packets[time].sequence == (self._sequence + 1) & 0xFFFF

    def _play(self, packet: _Packet) -> bytes:
        assert self._position is not None
        if self._starved:
            # Not lost but late: from now on everything is played that much later.
            self._delay.grown()
            self._starved = 0
        pcm = self._decode(packet.payload)
        self._position += packet.samples
        self._sequence = packet.sequence
        self._arrival_ns = packet.arrival_ns
        self._fade.in_silence = opus_packet.is_silence(packet.payload)
        return self._fade.back(pcm[: 2 * packet.samples].ljust(2 * packet.samples, b"\0"))

    def _hide(self, hole: int, successor: _Packet) -> bytes:
        """Sound for (a part of) a hole, the packet after which has come."""
        assert self._position is not None
        if hole <= BLOCK_SAMPLES and opus_packet.has_redundancy(successor.payload):
            pcm = self._decode(successor.payload, fec=True)[-2 * hole :]
            self._counts["fec_used"] += 1
            self._delay.lost()
            self._position += len(pcm) // 2
            return self._fade.back(pcm)
        pcm = self._decode(None)[: 2 * hole]
        self._position += len(pcm) // 2
        if not self._fade.in_silence:
            self._counts["concealed"] += 1
        return self._fade.out(pcm)

    def _decode(self, packet: bytes | None, *, fec: bool = False) -> bytes:
        try:
            return self._decoder.decode(packet, fec=fec) or SILENCE
        except OpusError:
            self._counts["decode_errors"] += 1
            return SILENCE

    def _correct(self) -> None:
        """Play slower or faster, a period at a time, where it is heard least."""
        wanted = self._delay.correction
        size = abs(wanted)
        self._uncorrected += 1
        if size < stretch.LEAST_PERIOD:
            return
        if self._delay.is_gentle and self._uncorrected < (_GENTLE_SLOWER if wanted > 0 else _GENTLE_FASTER):
            return
        if wanted < 0:
            # Only what is here already can be played faster.
            while len(self._pcm) < BLOCK_BYTES + 2 * min(size, stretch.MOST_PERIOD):
                if self._position not in self._packets:
                    return
                self._pcm += self._next_chunk()
        samples = np.frombuffer(self._pcm, np.int16)
        period, match = stretch.find_period(samples, size)
        if match < _GOOD_MATCH and self._tries < _PATIENCE:
            self._tries += 1
            return
        self._tries = self._uncorrected = 0
        if wanted < 0:
            self._pcm = stretch.shorten(samples, period).tobytes()
            self._removed += period
        else:
            self._pcm = stretch.lengthen(samples, period).tobytes()
            self._inserted += period
        self._delay.corrected(period if wanted > 0 else -period)

    def numbers(self) -> dict[str, Any]:
        return self._counts | {
            "queued": len(self._packets),
            "buffer_ms": round(self._delay.wait_ns / 1e6, 1),
            "target_ms": round(self._delay.target_ms, 1),
            "inserted_ms": self._inserted * 1000 // SAMPLE_RATE,
            "removed_ms": self._removed * 1000 // SAMPLE_RATE,
        }
