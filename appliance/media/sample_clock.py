"""Give the blocks of a sound card times without jitter: steps of 20 ms, drawn slowly to what was measured."""

from .clock import NS_PER_S
from .values import BLOCK_SAMPLES, SAMPLE_RATE

# A reading this far off is no jitter: sound is missing or was repeated.
JUMP_NS = 20_000_000
# Crystals are off by up to some 200 ppm; 20 us a block (1000 ppm) follows them and clears a bad start in seconds.
SLEW_NS = 20_000
_SMOOTHING = 32


class SampleClock:
    """Follows one device from block to block."""

    def __init__(self) -> None:
        self._next_ns: int | None = None

    def stamp(self, measured_ns: int, samples: int = BLOCK_SAMPLES) -> int:
        """The time of the first of the next `samples` samples, which was measured to be `measured_ns`."""
        expected = self._next_ns
        if expected is None or abs(measured_ns - expected) > JUMP_NS:
            at_ns = measured_ns
        else:
            at_ns = expected + max(-SLEW_NS, min(SLEW_NS, (measured_ns - expected) // _SMOOTHING))
        self._next_ns = at_ns + samples * NS_PER_S // SAMPLE_RATE
        return at_ns

    def restart(self) -> None:
        """The stream was broken: take the next reading as it is."""
        self._next_ns = None
