"""Mix a room's sound: every listener hears the others and never itself (N-1), at an exact pace of 20 ms."""

from collections.abc import Iterable, Mapping

import numpy as np
import numpy.typing as npt

from appliance.media.values import BLOCK_NS, BLOCK_SAMPLES

Samples = npt.NDArray[np.int16]

# Below this the sum passes untouched (-2.5 dBFS); above it is bent towards full scale, so that nothing ever clips.
_KNEE = 24_576
_HEADROOM = 32_767 - _KNEE
# After a stall the missed ticks are made up at double speed, so that listeners get no burst; what is older than this
# is skipped, because it would only be late sound.
_CATCH_UP_NS = BLOCK_NS // 2
_MAX_BEHIND_NS = 5 * BLOCK_NS


def limit(mixed: npt.NDArray[np.int32]) -> Samples:
    """Bring a sum of sounds into 16 bits: exact while it is quiet enough, softly bent where it is too loud."""
    magnitude = np.abs(mixed)
    loud = magnitude > _KNEE
    if loud.any():
        excess = (magnitude[loud] - _KNEE) / _HEADROOM
        bent = _KNEE + _HEADROOM * (1.0 - np.exp(-excess))
        mixed = mixed.copy()
        mixed[loud] = np.sign(mixed[loud]) * bent.astype(np.int32)
    return mixed.astype(np.int16)


def mix(heard: Mapping[str, Samples], listeners: Iterable[str], *, echo: bool = False) -> dict[str, Samples]:
    """What each listener hears of one 20 ms block per participant.

    `echo` adds a participant that repeats what it hears (all the others) within the same block, so that a unit's own
    sound comes back to it without further delay.
    """
    total = np.zeros(BLOCK_SAMPLES, np.int32)
    for samples in heard.values():
        total += samples
    mirrored = limit(total).astype(np.int32) if echo else None
    mixes: dict[str, Samples] = {}
    everybody: Samples | None = None
    for name in listeners:
        own = heard.get(name)
        if own is None and everybody is not None:
            mixes[name] = everybody
            continue
        others = total if own is None else total - own
        mixes[name] = limit(others if mirrored is None else others + mirrored)
        if own is None:
            everybody = mixes[name]
    return mixes


def level_dbfs(samples: Samples) -> float:
    """Root mean square of a block relative to full scale; silence is -100."""
    power = float(np.mean(np.square(samples, dtype=np.float64))) / 32_768.0**2
    return max(-100.0, 10.0 * float(np.log10(power))) if power > 0 else -100.0


class Pace:
    """When the next block is due. Ticks lie exactly 20 ms apart on the MediaClock, however late they are run."""

    def __init__(self, now_ns: int) -> None:
        self._next_ns = now_ns
        self._earliest_ns = now_ns
        self.skipped = 0

    def wait_ns(self, now_ns: int) -> int:
        """How long to wait before `take`."""
        return max(0, max(self._next_ns, self._earliest_ns) - now_ns)

    def take(self, now_ns: int) -> int:
        """The MediaClock time of the block that is due; the time line jumps when it is hopelessly behind."""
        behind_ns = now_ns - self._next_ns
        if behind_ns > _MAX_BEHIND_NS:
            missed = behind_ns // BLOCK_NS
            self.skipped += missed
            self._next_ns += missed * BLOCK_NS
        tick_ns = self._next_ns
        self._next_ns += BLOCK_NS
        self._earliest_ns = now_ns + _CATCH_UP_NS
        return tick_ns
