"""Ask the engine for the far end's sound, block by block, and keep a late answer from shifting the stream."""

import asyncio
from collections.abc import Callable

from appliance.errors import PipeError
from appliance.media.clock import Clock
from appliance.media.values import BLOCK_BYTES, AudioBlock

# The engine answers within a millisecond or two. After this long the speaker needs something, and gets silence.
ANSWER_LIMIT_S = 0.008
# An answer that has not come after this long was dropped on the way.
FORGET_NS = 100_000_000


class FarSound:
    """The far end of a pull: `ask(heard_ns)` sends a request and says whether it went out.

    Answers do not say which request they belong to, so only one request is open at a time: while its answer is
    outstanding, silence is played and nothing is asked.
    """

    def __init__(self, ask: Callable[[int], bool], clock: Clock) -> None:
        self._ask = ask
        self._clock = clock
        self._open_since_ns: int | None = None
        self._waiting: asyncio.Future[AudioBlock | None] | None = None
        self.missed = 0
        self.late = 0

    async def block(self, heard_ns: int) -> AudioBlock | None:
        """The block to be heard at `heard_ns`, or None: the far end has nothing, or it did not come in time."""
        now_ns = self._clock.now_ns()
        if self._open_since_ns is not None and now_ns - self._open_since_ns < FORGET_NS:
            self.missed += 1
            return None
        self._open_since_ns = None
        if not self._ask(heard_ns):
            self.missed += 1
            return None
        self._open_since_ns = now_ns
        loop = asyncio.get_running_loop()
        waiting: asyncio.Future[AudioBlock | None] = loop.create_future()
        self._waiting = waiting
        timer = loop.call_later(ANSWER_LIMIT_S, self._give_up, waiting)
        try:
            return await waiting
        finally:
            timer.cancel()
            self._waiting = None

    def answer(self, samples: bytes, pts_ns: int) -> None:
        """Take an answer of the engine; empty means that there is nothing to play."""
        if len(samples) not in (0, BLOCK_BYTES):
            raise PipeError(f"the engine sent a block of {len(samples)} bytes of sound")
        self._open_since_ns = None
        if self._waiting is None or self._waiting.done():
            self.late += 1
            return
        self._waiting.set_result(AudioBlock(samples, pts_ns) if samples else None)

    def _give_up(self, waiting: asyncio.Future[AudioBlock | None]) -> None:
        if not waiting.done():
            self.missed += 1
            waiting.set_result(None)
