"""The speaker: asks for each block just in time, and plays it."""

from collections.abc import Callable
from typing import Protocol

from appliance.errors import DeviceError
from appliance.media.clock import Clock
from appliance.media.pcm import Volume, fade_in, fade_out_from, last_sample, mean_square
from appliance.media.protocols import AudioSink
from appliance.media.values import BLOCK_MS, BLOCK_NS, SILENCE, AudioBlock

from .far_sound import FarSound
from .speaker_null import NullSink

REOPEN_BLOCKS = 1000 // BLOCK_MS


class CountedSink(AudioSink, Protocol):
    """A sink that counts its underruns."""

    xruns: int


class Speaker:
    """Runs one sink and opens it again when it is lost. Meanwhile the far end's sound goes on, unheard."""

    def __init__(
        self,
        open_sink: Callable[[], CountedSink],
        far: FarSound,
        clock: Clock,
        *,
        volume_percent: int,
        on_heard: Callable[[bytes, int], None],
        on_problem: Callable[[], None],
    ) -> None:
        """`on_heard(samples, heard_ns)` is called for each block."""
        self._open_sink = open_sink
        self._far = far
        self._clock = clock
        self._on_heard = on_heard
        self._on_problem = on_problem
        self._sink: CountedSink | None = None
        self._lost_before = 0
        self._last = 0  # the last sample played: silence after it must not click
        self._silent = True
        self._power = 0.0
        self.volume = Volume(volume_percent)
        self.alive_ns = clock.now_ns()
        self.played = 0
        self.delay_ns = 0
        self.problem: DeviceError | None = None

    @property
    def xruns(self) -> int:
        return self._lost_before + (self._sink.xruns if self._sink else 0)

    def take_power(self) -> float:
        """The loudest block's mean square since the last call."""
        power, self._power = self._power, 0.0
        return power

    async def run(self) -> None:
        """Job: until cancelled."""
        while True:
            self._sink = self._open_sink()
            try:
                async with self._sink as sink:
                    await self._play_on(sink)
            except DeviceError as error:
                self._set_problem(error)
            finally:
                self._lost_before += self._sink.xruns
                self._sink = None
            await self._play_unheard(REOPEN_BLOCKS)

    async def _play_on(self, sink: CountedSink) -> None:
        # The first block is silent: only the card can say when what it gets is heard.
        heard_ns = await sink.play(AudioBlock(SILENCE, self._clock.now_ns()))
        self._set_problem(None)
        self._on_heard(SILENCE, heard_ns)
        while True:
            due_ns = heard_ns + BLOCK_NS
            self.alive_ns = asked_ns = self._clock.now_ns()
            block = await self._far.block(due_ns)
            samples = self._shaped(block)
            heard_ns = await sink.play(AudioBlock(samples, due_ns))
            self.delay_ns = heard_ns - asked_ns
            self._on_heard(samples, heard_ns)
            if block is not None:
                self.played += 1

    async def _play_unheard(self, blocks: int) -> None:
        """Keep the far end's buffers at the present, so that a speaker that comes back plays no past."""
        async with NullSink(self._clock) as nobody:
            for _ in range(blocks):
                self.alive_ns = self._clock.now_ns()
                await self._far.block(self.alive_ns + BLOCK_NS)
                await nobody.play(AudioBlock(SILENCE, self.alive_ns))
        self._silent, self._last = True, 0

    def _shaped(self, block: AudioBlock | None) -> bytes:
        if block is None:
            self._silent = True
            samples = fade_out_from(self._last)
        else:
            samples = self.volume.apply(block.samples)
            self._power = max(self._power, mean_square(samples))
            if self._silent:
                samples = fade_in(samples)
                self._silent = False
        self._last = last_sample(samples)
        return samples

    def _set_problem(self, problem: DeviceError | None) -> None:
        before, self.problem = self.problem, problem
        if before is not problem and str(before) != str(problem):
            self._on_problem()
