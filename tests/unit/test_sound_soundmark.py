"""What is measured of a call's sound: beeps, delays and drop-outs, found behind a codec and noise."""

import numpy as np
import pytest

from appliance.media.soundmark import delay_by_correlation, find_beeps, find_gaps, gaps
from appliance.media.values import SAMPLE_RATE

from .sound_makers import beeps, speech, through_opus

MS = SAMPLE_RATE // 1000


def noise(length: int, level: float, seed: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(length) * level


@pytest.mark.parametrize("onset", [0, 1, 13_337, 40_000])
def test_a_beep_is_found_at_its_first_sample(onset: int) -> None:
    found = find_beeps(beeps(4, onset))
    assert len(found) == 4
    assert all(abs(at - second * SAMPLE_RATE - onset) <= MS for second, at in enumerate(found))


def test_beeps_are_found_behind_opus() -> None:
    # libopus adds its look-ahead of 6.5 ms; the beeps themselves must stay a second apart.
    found = np.array(find_beeps(through_opus(beeps(6, 20_000))))
    assert len(found) == 6
    delays = found - (np.arange(6) * SAMPLE_RATE + 20_000)
    assert np.ptp(delays) <= 2 * MS
    assert abs(delays.mean() - 312) <= 1.5 * MS


def test_beeps_are_found_in_noise() -> None:
    line = beeps(5, 9_000, amplitude=6000) + noise(5 * SAMPLE_RATE, 600)
    found = find_beeps(line.astype(np.int16))
    assert len(found) == 5
    assert all(abs(at - second * SAMPLE_RATE - 9_000) <= MS for second, at in enumerate(found))


def test_speech_and_noise_and_silence_hold_no_beep() -> None:
    assert find_beeps(speech(10)) == []
    assert find_beeps(noise(5 * SAMPLE_RATE, 2000).astype(np.int16)) == []
    assert find_beeps(np.zeros(SAMPLE_RATE, np.int16)) == []
    assert find_beeps(np.zeros(0, np.int16)) == []


@pytest.mark.parametrize("delay", [0, 4_321, 12_000, 47_000])
def test_the_delay_of_speech_is_found_behind_opus_and_noise(delay: int) -> None:
    sent = speech(10)
    heard = np.concatenate((np.zeros(delay, np.int16), through_opus(sent))) * 0.5
    heard = (heard + noise(len(heard), 100)).astype(np.int16)
    found = delay_by_correlation(sent, heard)
    assert len(found) >= 6
    assert all(abs(measured - delay - 312) <= MS for _, measured in found if measured < SAMPLE_RATE)


def test_a_delay_that_grows_is_followed() -> None:
    sent = speech(12)
    heard = np.concatenate((np.zeros(2400, np.int16), sent[: 6 * SAMPLE_RATE], np.zeros(4800, np.int16)))
    heard = np.concatenate((heard, sent[6 * SAMPLE_RATE :]))
    found = dict(delay_by_correlation(sent, heard))
    assert abs(found[SAMPLE_RATE] - 2400) <= 2
    assert abs(found[8 * SAMPLE_RATE] - 7200) <= 2


def test_beeps_tell_their_delay_as_well() -> None:
    sent = beeps(8)
    heard = np.concatenate((np.zeros(9_600, np.int16), through_opus(sent)))
    found = delay_by_correlation(sent, heard)
    assert found
    assert all(abs(measured - 9_600 - 312) <= MS for _, measured in found)


def test_nothing_is_answered_where_there_is_nothing_to_find() -> None:
    assert delay_by_correlation(np.zeros(SAMPLE_RATE * 4, np.int16), speech(4)) == []
    assert delay_by_correlation(speech(6, seed=1), speech(8, seed=2)) == []
    assert delay_by_correlation(np.zeros(0, np.int16), np.zeros(0, np.int16)) == []


def test_a_drop_out_is_found_with_its_length() -> None:
    sent = speech(8)
    heard = np.concatenate((np.zeros(4_800, np.int16), through_opus(sent)))
    middle = _loud_stretch(sent, 40 * MS) + 4_800 + 312
    heard[middle : middle + 40 * MS] = 0
    found = find_gaps(sent, heard, 4_800 + 312)
    assert len(found) == 1
    begin, end = found[0]
    assert abs(begin - middle) <= 3 * MS
    assert abs(end - begin - 40 * MS) <= 4 * MS
    assert gaps(sent, heard, 4_800 + 312) == [end - begin]


def test_pauses_of_speech_and_a_quiet_room_are_no_drop_outs() -> None:
    sent = speech(8)
    assert gaps(sent, through_opus(sent), 312) == []
    assert gaps(beeps(5), through_opus(beeps(5)), 312) == []
    assert gaps(np.zeros(SAMPLE_RATE, np.int16), np.zeros(SAMPLE_RATE, np.int16), 0) == []


def _loud_stretch(samples: np.ndarray, length: int) -> int:
    """Where `length` samples begin that are sound throughout, with sound around them."""
    power = np.convolve(samples.astype(float) ** 2, np.ones(5 * MS) / (5 * MS), "same")
    reach = length + 80 * MS
    least = np.lib.stride_tricks.sliding_window_view(power, reach)[:: 10 * MS].min(axis=1)
    return int(np.argmax(least)) * 10 * MS + 40 * MS
