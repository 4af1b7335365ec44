"""The sound of a call that cannot be found again: silence, a pure tone, a call that was too short, no record at all."""

import numpy as np
import pytest

from appliance.demo.measure import Recording, audio_delays, audio_gaps
from appliance.media.values import SAMPLE_RATE

from .sound_makers import speech

NOTHING = Recording(np.zeros(0, np.int16), 0)
STARTED_NS = 40 * 24 * 3600 * 1_000_000_000  # a unit that has run for forty days


def tone(seconds: int) -> np.ndarray:
    return (9000 * np.sin(2 * np.pi * 440 * np.arange(seconds * SAMPLE_RATE) / SAMPLE_RATE)).astype(np.int16)


@pytest.mark.parametrize(
    "said",
    [np.zeros(5 * SAMPLE_RATE, np.int16), tone(5), speech(1.0)[:SAMPLE_RATE], np.zeros(0, np.int16)],
    ids=["silence", "tone", "one second", "nothing"],
)
def test_sound_that_cannot_be_found_again_has_no_gap(said: np.ndarray) -> None:
    mic = Recording(said, STARTED_NS)
    speaker = Recording(np.concatenate((np.zeros(4800, np.int16), said)), STARTED_NS)
    assert audio_gaps(mic, speaker) == []
    assert audio_delays(mic, speaker) == []


def test_sound_of_which_nothing_was_heard_is_one_gap() -> None:
    mic = Recording(np.random.default_rng(1).normal(0, 3000, 4 * SAMPLE_RATE).astype(np.int16), STARTED_NS)
    for speaker in (Recording(np.zeros(4 * SAMPLE_RATE, np.int16), STARTED_NS), NOTHING):
        assert sum(audio_gaps(mic, speaker)) == pytest.approx(4000, abs=100)


def test_a_record_that_is_missing_takes_no_memory_for_the_time_since_the_start() -> None:
    assert audio_gaps(NOTHING, Recording(speech(3.0), STARTED_NS)) == []
    assert audio_delays(NOTHING, Recording(speech(3.0), STARTED_NS)) == []
