"""Sound is made longer and shorter without a click, by whole periods where it has any."""

import numpy as np
import pytest

from appliance.rtp import stretch


def tone(hertz: float, samples: int = 1440) -> stretch.Samples:
    sound: stretch.Samples = (8000 * np.sin(2 * np.pi * hertz * np.arange(samples) / 48_000)).astype(np.int16)
    return sound


def largest_step(sound: stretch.Samples) -> int:
    return int(np.abs(np.diff(sound.astype(np.int32))).max())


@pytest.mark.parametrize("hertz", [110, 200, 333, 440, 1000])
def test_a_tone_stays_a_tone(hertz: float) -> None:
    sound = tone(hertz)
    period, match = stretch.find_period(sound, 960)
    assert match > 0.9
    for changed, length in (
        (stretch.shorten(sound, period), len(sound) - period),
        (stretch.lengthen(sound, period), len(sound) + period),
    ):
        assert len(changed) == length
        assert largest_step(changed) <= 1.2 * largest_step(sound) + 2


def test_noise_has_no_period_but_is_cut_without_a_click() -> None:
    noise = np.random.default_rng(1).normal(0, 1000, 1440).astype(np.int16)
    period, match = stretch.find_period(noise, 960)
    assert match < 0.7
    assert stretch.shorten(noise, period)[0] == noise[0]
    assert np.array_equal(stretch.lengthen(noise, period)[-480:], noise[-480:])


def test_in_silence_the_longest_cut_is_taken() -> None:
    assert stretch.find_period(np.zeros(1440, np.int16), 960) == (480, 1.0)


@pytest.mark.parametrize("most", range(120, 964, 4))
def test_no_rest_is_left_that_is_too_short_to_cut(most: int) -> None:
    sound = tone(440)
    while most:
        period, _ = stretch.find_period(sound, most)
        assert stretch.LEAST_PERIOD <= period <= stretch.MOST_PERIOD
        most -= period
        assert most == 0 or most >= stretch.LEAST_PERIOD
