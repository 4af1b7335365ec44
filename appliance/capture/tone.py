"""A microphone that beeps at each whole second of the MediaClock, in step with the test card's flash."""

import asyncio
import math
from array import array
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Self

from appliance.media.clock import NS_PER_S, Clock
from appliance.media.values import BLOCK_SAMPLES, SAMPLE_RATE, AudioBlock

from .pace import BlockPace

FREQUENCY_HZ = 1000
BEEP_SAMPLES = SAMPLE_RATE // 10
RAMP_SAMPLES = SAMPLE_RATE // 500
_AMPLITUDE = 16_384


def _one_second() -> bytes:
    """A second that begins with the beep, and the first block of the next, so that a block may lie anywhere."""
    beep = array("h")
    for index in range(BEEP_SAMPLES):
        edge = min(1.0, index / RAMP_SAMPLES, (BEEP_SAMPLES - index) / RAMP_SAMPLES)
        beep.append(round(_AMPLITUDE * edge * math.sin(2 * math.pi * FREQUENCY_HZ * index / SAMPLE_RATE)))
    silence = array("h", bytes(2 * (SAMPLE_RATE - BEEP_SAMPLES)))
    return (beep + silence + beep[:BLOCK_SAMPLES]).tobytes()


class ToneSource:
    """1 kHz for 100 ms, with ramps of 2 ms, from the sample on whose time is a whole second."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._second = _one_second()
        self._pace: BlockPace | None = None

    @property
    def xruns(self) -> int:
        return self._pace.skipped if self._pace else 0

    def block_at(self, pts_ns: int) -> bytes:
        """The 20 ms whose first sample is at `pts_ns`."""
        # Rounded up: a sample before the whole second is silent.
        first = -(-(pts_ns % NS_PER_S) * SAMPLE_RATE // NS_PER_S)
        return self._second[2 * first : 2 * (first + BLOCK_SAMPLES)]

    async def __aenter__(self) -> Self:
        self._pace = BlockPace(self._clock)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    async def __aiter__(self) -> AsyncIterator[AudioBlock]:
        pace = self._pace or BlockPace(self._clock)
        while True:
            pts_ns, wait_s = pace.next()
            await asyncio.sleep(wait_s)
            yield AudioBlock(self.block_at(pts_ns), pts_ns)
