"""Let packets leave at a multiple of the rate that the line is believed to carry, so that none of its queues overruns.

A keyframe sent at once would fill the line's buffer, and the sound would wait behind it. Sound itself never waits
here.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Protocol

from appliance.media.clock import NS_PER_S, Clock

TICK_NS = 5_000_000
_LATEST_NS = 60_000_000
# On a line that has shown no limit what is small may leave at once: an ordinary picture of 2 Mb/s has 7 packets.
BURST = 12
MAX_QUEUED = 512
MAX_REPEATS = 256
# Of the target: on a line without a limit in sight, near its limit, and while its queue is being drained.
FREE, CAREFUL, DRAINING = 4.0, 1.5, 1.05
OVERHEAD_BITS = 8 * 66  # IP, UDP, RTP with its extensions, SRTP's tag
_PACKET_BITS = 8 * 1200

Packet = tuple[int, bytes, bool]  # RTP timestamp, payload, last of its picture


class Timer(Protocol):
    def cancel(self) -> None: ...


CallLater = Callable[[float, Callable[[], None]], Timer]


class Pacer:
    """Repetitions first, then pictures in order, then what probes the line. Bounded: the caller asks `accepts`."""

    def __init__(
        self,
        clock: Clock,
        send: Callable[[int, bytes, bool], int],
        repeat: Callable[[int], int],
        probe: Callable[[], int],
        call_later: CallLater | None = None,
    ) -> None:
        """`send`, `repeat` (of a sequence number) and `probe` send one packet and return its bits on the wire."""
        self._clock = clock
        self._send, self._repeat, self._probe = send, repeat, probe
        self._call_later = call_later
        self._waiting: deque[Packet] = deque()
        self._waiting_bits = 0
        self._repeats: deque[int] = deque()
        self._repeats_known: set[int] = set()
        self._probe_bps = 0.0
        self._probe_bits = 0
        self._timer: Timer | None = None
        self._credit_bits = 2.0 * _PACKET_BITS
        self._paid_ns = clock.now_ns()
        self._frame_bps = 0.0
        self._begun = False  # whether the first that waits belongs to a picture of which a part has left
        self.target_bps = 2_000_000.0
        self.factor = FREE

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def queue_ns(self) -> int:
        """How long what waits will take to leave."""
        bits = self._waiting_bits + len(self._repeats) * _PACKET_BITS
        return int(bits * NS_PER_S / self._bps)

    @property
    def _bps(self) -> float:
        return max(self.factor * self.target_bps, self._frame_bps if self.factor == FREE else 0.0)

    def accepts(self, count: int) -> bool:
        # An empty queue takes any picture: a keyframe larger than the bound must be able to leave.
        return not self._waiting or len(self._waiting) + count <= MAX_QUEUED

    def put(self, packets: list[Packet], *, frame_s: float) -> None:
        """Send one picture; `frame_s` is the time to the next one."""
        self._pay()
        waiting = self._waiting
        if self.factor == FREE and not waiting and not self._repeats:
            for packet in packets[:BURST]:
                self._credit_bits -= self._send(*packet)
            packets = packets[BURST:]
        for packet in packets:
            self._waiting_bits += 8 * len(packet[1]) + OVERHEAD_BITS
        waiting.extend(packets)
        self._frame_bps = self._waiting_bits / frame_s
        self._run()

    def repeat(self, sequence: int) -> bool:
        """Send a packet again, soon. False: it waits already, or too many do."""
        if sequence in self._repeats_known or len(self._repeats) >= MAX_REPEATS:
            return False
        self._pay()
        self._repeats.append(sequence)
        self._repeats_known.add(sequence)
        self._run()
        return True

    def probe(self, bps: float, bits: float) -> None:
        """Fill up to `bps` with repetitions for as long as `bits` take."""
        self._pay()
        self._probe_bps, self._probe_bits = bps, int(bits)
        self._run()

    def drop_waiting(self) -> int:
        """Drop pictures of which nothing has left yet; how many. What has begun to leave is sent to its end."""
        kept: list[Packet] = []
        if self._waiting and self._begun:
            for packet in self._waiting:
                kept.append(packet)
                if packet[2]:
                    break
        dropped = sum(packet[2] for packet in self._waiting) - sum(packet[2] for packet in kept)
        self._waiting = deque(kept)
        self._waiting_bits = sum(8 * len(packet[1]) + OVERHEAD_BITS for packet in kept)
        return dropped

    def clear(self) -> None:
        self._waiting.clear()
        self._repeats.clear()
        self._repeats_known.clear()
        self._waiting_bits = self._probe_bits = 0
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _pay(self) -> None:
        """Credit for the time that has passed, as far as it counts."""
        now_ns = self._clock.now_ns()
        bps = max(self._bps, self._probe_bps if self._probe_bits > 0 else 0.0)
        # A busy machine's late timer must not slow what waits; time in which nothing waited is kept for a moment only.
        kept_ns = 2 * TICK_NS if self._timer is None else _LATEST_NS
        most = max(bps * kept_ns / NS_PER_S, 2 * _PACKET_BITS)
        self._credit_bits = min(self._credit_bits + bps * (now_ns - self._paid_ns) / NS_PER_S, most)
        self._paid_ns = now_ns

    def _run(self) -> None:
        while self._credit_bits > 0:
            if self._repeats:
                sequence = self._repeats.popleft()
                self._repeats_known.discard(sequence)
                bits = self._repeat(sequence)
            elif self._waiting:
                packet = self._waiting.popleft()
                self._waiting_bits -= 8 * len(packet[1]) + OVERHEAD_BITS
                self._begun = not packet[2]
                bits = self._send(*packet)
                self._probe_bits -= bits
            elif self._probe_bits > 0:
                bits = self._probe()
                # Nothing there to repeat: no probe.
                self._probe_bits = self._probe_bits - bits if bits else 0
            else:
                break
            self._credit_bits -= bits
        if self._timer is None and (self._waiting or self._repeats or self._probe_bits > 0):
            call_later = self._call_later or asyncio.get_running_loop().call_later
            self._timer = call_later(TICK_NS / NS_PER_S, self._tick)

    def _tick(self) -> None:
        self._pay()
        self._timer = None
        self._run()
