"""Find sound again: beeps, the delay of a copy, and what is missing in it. A call is measured by what arrived."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .values import SAMPLE_RATE

Samples = npt.NDArray[np.int16]
Floats = npt.NDArray[np.float64]

# The test beep.
_BEEP_HZ = 1000
_BEEP_S = 0.1
_RAMP_S = 0.002
# A whole number of periods: the envelope of the beep then has no ripple.
_ENVELOPE_S = 0.005
# The beep holds at least this part of the power around it; speech and noise do not, for so long.
_TONAL = 0.35
# Below this (about -60 dBFS) nothing is a beep, and nothing is sound.
_LEAST_AMPLITUDE = 30.0
# A correlation below this is chance.
_LEAST_LIKENESS = 0.35
# The next best place, further off than a pitch period, must be clearly worse.
_CLEARLY = 1.15
_NEIGHBOURHOOD_S = 0.025


def find_beeps(samples: Samples, rate: int = SAMPLE_RATE) -> list[int]:
    """The index at which each 1 kHz beep of 100 ms begins, within a millisecond."""
    width = int(_ENVELOPE_S * rate)
    if len(samples) < 4 * width:
        return []
    values = samples.astype(np.float64)
    turn = np.exp(-2j * np.pi * _BEEP_HZ / rate * np.arange(len(values)))
    envelope = 2 * np.abs(_moving_mean(values * turn, width))
    power = _moving_mean(values * values, width).real
    # A sine of amplitude a has the power a²/2.
    is_tone = (envelope > _LEAST_AMPLITUDE) & (envelope**2 / 2 > _TONAL * power)
    onsets = []
    for begin, end in _runs(is_tone, join=int(0.01 * rate)):
        if not 0.7 * _BEEP_S * rate < end - begin < 1.5 * _BEEP_S * rate:
            continue
        height = float(np.median(envelope[begin:end]))
        # Half the height is reached in the middle of the ramp, for the window is centred.
        search = max(0, begin - 2 * width)
        above = np.flatnonzero(envelope[search:end] > height / 2)
        onsets.append(max(0, search + int(above[0]) - int(_RAMP_S * rate / 2)))
    return onsets


def delay_by_correlation(
    sent: Samples, heard: Samples, rate: int = SAMPLE_RATE, window_s: float = 2.0, max_delay_s: float = 1.0
) -> list[tuple[int, int]]:
    """Where `sent` is found again in `heard`: (index in `sent`, delay in samples), twice a window.

    Only windows with sound in them and one clearly best place are answered; delays reach from 0 to `max_delay_s`.
    """
    window, reach = int(window_s * rate), int(max_delay_s * rate)
    found = []
    for begin in range(0, len(sent) - window + 1, window // 2):
        best = _best_delay(_centred(sent[begin : begin + window]), heard[begin : begin + window + reach], rate)
        if best is not None:
            found.append((begin, best))
    return found


def gaps(sent: Samples, heard: Samples, delay: int, rate: int = SAMPLE_RATE, least_ms: float = 10.0) -> list[int]:
    """The lengths (samples) of the drop-outs in `heard`: silence where `sent`, `delay` samples before, was sound.

    A drop-out counts from `least_ms` on, as far as the sent sound reaches at both of its sides.
    """
    return [end - begin for begin, end in find_gaps(sent, heard, delay, rate, least_ms)]


def find_gaps(
    sent: Samples, heard: Samples, delay: int, rate: int = SAMPLE_RATE, least_ms: float = 10.0
) -> list[tuple[int, int]]:
    """As `gaps`: begin and end of each drop-out in `heard`."""
    # Codecs ring and buffers stretch: what is near the edge of the sound proves nothing.
    margin = int(0.03 * rate)
    begin, end = max(0, delay), min(len(heard), len(sent) + delay)
    if end - begin < rate // 10:
        return []
    step = rate // 1000
    count = (end - begin) // step
    original = _power_per_ms(sent[begin - delay :], step, count)
    copy = _power_per_ms(heard[begin:], step, count)
    gain = np.sqrt(np.sum(copy) / max(1.0, float(np.sum(original))))
    # Sounding throughout: no quiet millisecond of the original within the margin. Pauses of speech are no drop-outs.
    loud = _moving_minimum(_smooth(original, 5), 2 * margin // step + 1) > _LEAST_AMPLITUDE**2
    silent = copy * 1000 < np.maximum(_smooth(original, 5) * gain**2, 1.0)
    return [
        (begin + first * step, begin + last * step)
        for first, last in _runs(silent, join=1)
        if (last - first) >= least_ms and loud[first:last].mean() > 0.5
    ]


@dataclass(frozen=True, slots=True)
class _Peak:
    at: int
    likeness: float


def _best_delay(part: Floats, heard: Samples, rate: int) -> int | None:
    energy = float(part @ part)
    if len(heard) < len(part) or energy < len(part) * _LEAST_AMPLITUDE**2:
        return None
    values = _centred(heard)
    size = 1 << (len(values) + len(part) - 1).bit_length()
    product = np.fft.rfft(values, size) * np.conj(np.fft.rfft(part, size))
    places = len(values) - len(part) + 1
    scores = np.fft.irfft(product, size)[:places]
    squares = np.concatenate(((0.0,), np.cumsum(values * values)))
    local = squares[len(part) :] - squares[:places]
    likeness = scores / np.sqrt(np.maximum(local, energy * 1e-6) * energy)
    best = _Peak(at := int(np.argmax(likeness)), float(likeness[at]))
    near = int(_NEIGHBOURHOOD_S * rate)
    rest = np.concatenate((likeness[: max(0, at - near)], likeness[at + near :]))
    second = float(rest.max()) if len(rest) else 0.0
    return best.at if best.likeness > _LEAST_LIKENESS and best.likeness > _CLEARLY * second else None


def _centred(samples: Samples) -> Floats:
    values = samples.astype(np.float64)
    return values - values.mean() if len(values) else values


def _moving_mean(values: npt.NDArray[np.complex128] | Floats, width: int) -> npt.NDArray[np.complex128]:
    """The mean of `width` values around each, as long as `values`."""
    before = width // 2
    padded = np.concatenate((np.zeros(before), values, np.zeros(width - before)))
    sums = np.concatenate(((0,), np.cumsum(padded)))
    return np.asarray((sums[width:] - sums[:-width])[: len(values)] / width, np.complex128)


def _power_per_ms(samples: Samples, step: int, count: int) -> Floats:
    part = samples[: count * step].astype(np.float64).reshape(count, step)
    return np.asarray((part * part).mean(axis=1), np.float64)


def _smooth(values: Floats, width: int) -> Floats:
    return np.convolve(values, np.full(width, 1 / width), "same")


def _moving_minimum(values: Floats, width: int) -> Floats:
    before = width // 2
    padded = np.pad(values, (before, width - 1 - before), mode="edge")
    return np.asarray(np.lib.stride_tricks.sliding_window_view(padded, width).min(axis=1), np.float64)


def _runs(flags: npt.NDArray[np.bool_], join: int) -> list[tuple[int, int]]:
    """(begin, end) of each stretch of True; stretches less than `join` apart are one."""
    edges = np.flatnonzero(np.diff(np.concatenate(((0,), flags.astype(np.int8), (0,)))))
    runs: list[tuple[int, int]] = []
    for begin, end in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        if runs and begin - runs[-1][1] < join:
            runs[-1] = (runs[-1][0], end)
        else:
            runs.append((begin, end))
    return runs
