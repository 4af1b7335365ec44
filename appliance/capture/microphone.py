"""The microphone as the far end gets it: 20 ms after 20 ms without an end, silent while muted or without a card."""

import asyncio
from collections.abc import Callable
from typing import Protocol

from appliance.errors import DeviceError
from appliance.media.clock import Clock
from appliance.media.pcm import mean_square
from appliance.media.protocols import AudioSource
from appliance.media.values import BLOCK_NS, SILENCE

# A block that is this late is replaced by silence; less is the jitter of a busy machine.
GRACE_NS = 3 * BLOCK_NS
# A hole up to this length is filled so that the stream keeps its blocks; a longer one (a frozen process) is left out.
FILL_LIMIT_NS = 500_000_000
REOPEN_S = 1.0


class CountedSource(AudioSource, Protocol):
    """A source that counts what it lost: overruns of the card, blocks that nobody took in time."""

    @property
    def xruns(self) -> int: ...


class Microphone:
    """Runs one source, opens it again when it is lost, and hands on one block each 20 ms."""

    def __init__(
        self,
        open_source: Callable[[], CountedSource],
        send: Callable[[bytes, int], None],
        clock: Clock,
        *,
        muted: bool,
        on_problem: Callable[[], None],
    ) -> None:
        """`send(samples, pts_ns)` gets every block; `on_problem` is called when `problem` has changed."""
        self._open_source = open_source
        self._send = send
        self._clock = clock
        self._on_problem = on_problem
        self._source: CountedSource | None = None
        self._lost_before = 0
        self._next_ns = clock.now_ns()
        self._power = 0.0
        self.alive_ns = clock.now_ns()
        self.muted = muted
        self.captured = 0
        self.problem: DeviceError | None = None

    @property
    def xruns(self) -> int:
        return self._lost_before + (self._source.xruns if self._source else 0)

    def take_power(self) -> float:
        """The loudest block's mean square since the last call.

        Measured before muting, so that a room can see whether its microphone works; a number is no sound.
        """
        power, self._power = self._power, 0.0
        return power

    async def run(self) -> None:
        """Job: until cancelled."""
        async with asyncio.TaskGroup() as jobs:
            jobs.create_task(self._record())
            jobs.create_task(self._fill_in())

    async def _record(self) -> None:
        while True:
            self._source = self._open_source()
            try:
                async with self._source as source:
                    async for block in source:
                        self.alive_ns = self._clock.now_ns()
                        self._set_problem(None)
                        self._take(block.samples, block.pts_ns)
            except DeviceError as error:
                self.alive_ns = self._clock.now_ns()
                self._set_problem(error)
            finally:
                self._lost_before += self._source.xruns
                self._source = None
            await asyncio.sleep(REOPEN_S)

    def _take(self, samples: bytes, pts_ns: int) -> None:
        # Where the card was late, silence has gone out in this block's place.
        if pts_ns < self._next_ns - BLOCK_NS // 2:
            return
        if pts_ns - self._next_ns <= FILL_LIMIT_NS:
            while pts_ns - self._next_ns >= BLOCK_NS // 2:
                self._emit(SILENCE, self._next_ns)
        self.captured += 1
        self._power = max(self._power, mean_square(samples))
        self._emit(SILENCE if self.muted else samples, pts_ns)

    def _emit(self, samples: bytes, pts_ns: int) -> None:
        self._next_ns = pts_ns + BLOCK_NS
        self._send(samples, pts_ns)

    async def _fill_in(self) -> None:
        while True:
            late_ns = self._clock.now_ns() - self._next_ns - GRACE_NS
            if late_ns > FILL_LIMIT_NS:
                self._next_ns += late_ns
            elif late_ns >= 0:
                self._emit(SILENCE, self._next_ns)
            else:
                await asyncio.sleep(-late_ns / 1e9)

    def _set_problem(self, problem: DeviceError | None) -> None:
        before, self.problem = self.problem, problem
        if before is not problem and str(before) != str(problem):
            self._on_problem()
