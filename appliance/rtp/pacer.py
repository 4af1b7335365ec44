"""Spread a large picture's packets over a frame time, so that a keyframe does not overrun the line's short queues."""

import asyncio
from collections import deque
from collections.abc import Callable

TICK_S = 0.005
# What may leave at once: an ordinary picture of 2 Mb/s at 30 fps has 7 packets and is never delayed.
BURST = 12
MAX_QUEUED = 512
_HEADROOM = 2.5

Packet = tuple[int, bytes, bool]  # RTP timestamp, payload, last of its picture


class Pacer:
    """Sends what it is given in order: small pictures at once, large ones at 2.5 times the bit rate or faster.

    The queue is bounded by refusing a picture (`accepts`) that does not fit; the caller counts and asks for a keyframe.
    """

    def __init__(self, send: Callable[[int, bytes, bool], None]) -> None:
        self._send = send
        self._waiting: deque[Packet] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._per_tick = BURST

    def __len__(self) -> int:
        return len(self._waiting)

    def accepts(self, count: int) -> bool:
        # An empty queue takes any picture: a keyframe larger than the bound must be able to leave.
        return not self._waiting or len(self._waiting) + count <= MAX_QUEUED

    def put(self, packets: list[Packet], *, frame_s: float, bytes_per_s: float) -> None:
        """Send one picture. `frame_s`: time to the next one; `bytes_per_s`: the bit rate of late."""
        waiting = self._waiting
        if not waiting:
            send = self._send
            for packet in packets[:BURST]:
                send(*packet)
            packets = packets[BURST:]
            if not packets:
                return
        waiting.extend(packets)
        ticks = max(int(frame_s / TICK_S), 1)
        by_rate = int(_HEADROOM * bytes_per_s * TICK_S / 1200)
        self._per_tick = max(-(-len(waiting) // ticks), by_rate, 1)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(TICK_S, self._tick)

    def _tick(self) -> None:
        waiting = self._waiting
        for _ in range(min(self._per_tick, len(waiting))):
            self._send(*waiting.popleft())
        self._timer = asyncio.get_running_loop().call_later(TICK_S, self._tick) if waiting else None

    def clear(self) -> None:
        self._waiting.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
