"""Share one rate between sound and picture: the sound keeps its own, the picture has the rest."""

from dataclasses import dataclass

from .pacer import OVERHEAD_BITS

SOUND_OVERHEAD_BPS = 50 * OVERHEAD_BITS  # a block each 20 ms
# The encoder makes no less; on a line that carries less still, pictures are skipped.
LEAST_VIDEO_BPS = 32_000
# (sound, from this total on when the rate rises, down to this total when it falls)
_STEPS = ((32_000, 280_000, 220_000), (24_000, 170_000, 130_000), (16_000, 0, 0))


@dataclass(frozen=True, slots=True)
class Shares:
    """Bits a second for the two encoders: without headers."""

    audio_bps: int
    video_bps: int


class RateShare:
    """Keeps the sound's step until the rate has clearly left it."""

    def __init__(self) -> None:
        self._step = 0

    def of(self, total_bps: int, repeated_bps: int) -> Shares:
        """`repeated_bps`: what repetitions of lost packets take of the line now."""
        while self._step < len(_STEPS) - 1 and total_bps < _STEPS[self._step][2]:
            self._step += 1
        while self._step > 0 and total_bps >= _STEPS[self._step - 1][1]:
            self._step -= 1
        audio_bps = _STEPS[self._step][0]
        # Repetitions may not starve what they repair.
        wire = total_bps - audio_bps - SOUND_OVERHEAD_BPS
        wire -= min(repeated_bps, wire // 3) if wire > 0 else 0
        # A packet for each 1200 bytes, and one for each picture of 15 a second.
        return Shares(audio_bps, max(int(wire - OVERHEAD_BITS * max(wire / 9_600, 15)), LEAST_VIDEO_BPS))
