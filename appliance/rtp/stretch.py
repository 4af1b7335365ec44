"""Make sound a few milliseconds longer or shorter without a click: repeat or leave out a period of it, cross-faded."""

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.int16]

# 2.5 to 10 ms at 48 kHz: a period of a voice above 100 Hz, or several of it.
LEAST_PERIOD = 120
MOST_PERIOD = 480
_STEP = 4  # the search runs at 12 kHz
_LAGS = range(LEAST_PERIOD // _STEP, MOST_PERIOD // _STEP + 1)
# Below about -60 dBFS any cut is inaudible.
_QUIET = 30.0


def cross_fade(before: Samples, after: Samples) -> Samples:
    """From `before` to `after`, which are equally long."""
    weight = np.linspace(0.0, 1.0, len(before), dtype=np.float32)
    mixed: Samples = (before * (1.0 - weight) + after * weight).astype(np.int16)
    return mixed


def find_period(samples: Samples, most: int) -> tuple[int, float]:
    """The length (at most `most`) after which the beginning of `samples` repeats itself best, and how well: 0 to 1.

    `samples` holds at least 2 * `most`. A rest of `most` that would be too short for another period is never left.
    """
    short = samples[: 2 * MOST_PERIOD].reshape(-1, _STEP).mean(axis=1, dtype=np.float32)
    if float(np.abs(short).max()) < _QUIET:
        return _lengths(most)[-1], 1.0
    best, best_match = 0, -1.0
    for lag in _lengths(most):
        count = lag // _STEP
        first, second = short[:count], short[count : 2 * count]
        energy = float(first @ first) + float(second @ second) + 1.0
        match = 2.0 * float(first @ second) / energy
        if match > best_match:
            best, best_match = lag, match
    return best, max(best_match, 0.0)


def _lengths(most: int) -> list[int]:
    lengths = [lag * _STEP for lag in _LAGS if lag * _STEP <= most]
    return [length for length in lengths if most - length == 0 or most - length >= LEAST_PERIOD]


def shorten(samples: Samples, period: int) -> Samples:
    """Without one period at its beginning."""
    blend = cross_fade(samples[:period], samples[period : 2 * period])
    return np.concatenate((blend, samples[2 * period :]))


def lengthen(samples: Samples, period: int) -> Samples:
    """With the first period twice."""
    blend = cross_fade(samples[period : 2 * period], samples[:period])
    return np.concatenate((samples[:period], blend, samples[period:]))
