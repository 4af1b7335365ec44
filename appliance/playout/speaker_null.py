"""A speaker without a card: a queue that the MediaClock empties at 48 kHz."""

import asyncio
from types import TracebackType
from typing import Self

from appliance.media.clock import Clock
from appliance.media.values import BLOCK_NS, AudioBlock

# The next block is due when no more than this is left to play: 20 to 40 ms are queued, as on a card.
LOW_NS = BLOCK_NS


class NullSink:
    """Plays to nobody, at the pace and with the delay of a real card."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._end_ns: int | None = None
        self.xruns = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    async def play(self, block: AudioBlock) -> int:
        now_ns = self._clock.now_ns()
        heard_ns = self._end_ns
        if heard_ns is None or heard_ns < now_ns:
            self.xruns += heard_ns is not None
            # On the grid of a microphone without a card: one timer then serves both.
            heard_ns = -(-now_ns // BLOCK_NS) * BLOCK_NS
        self._end_ns = heard_ns + BLOCK_NS
        await asyncio.sleep(max(0, self._end_ns - LOW_NS - now_ns) / 1e9)
        return heard_ns
