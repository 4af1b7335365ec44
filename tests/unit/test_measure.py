"""What a person saw and heard, told from records: freezes, gaps in the sound, and how they add up."""

import numpy as np
import numpy.typing as npt

from appliance.demo.measure import (
    Recording,
    ShownFrame,
    audio_delays,
    audio_gaps,
    gap_figures,
    share_percent,
    video_figures,
)
from appliance.media.values import SAMPLE_RATE

MS = 1_000_000
S = 1_000 * MS


def _shown(*times_ms: int, late_ms: int = 80) -> list[ShownFrame]:
    return [ShownFrame(at * MS, (at - late_ms) * MS) for at in times_ms]


def test_gaps_of_more_than_a_tenth_of_a_second_are_counted_added_and_the_longest_told() -> None:
    figures = video_figures(_shown(1000, 1033, 1200, 1300, 1700, 1733), 1750 * MS)
    assert (figures["freezes"], figures["freeze_ms"], figures["longest_freeze_ms"]) == (2, 567.0, 400.0)


def test_a_call_without_a_standing_picture_has_no_longest_one() -> None:
    figures = video_figures(_shown(*range(1000, 2000, 33)), 2000 * MS)
    assert (figures["freezes"], figures["freeze_ms"], figures["longest_freeze_ms"]) == (0, 0.0, 0.0)


def test_pictures_that_were_due_and_never_came_are_a_freeze() -> None:
    assert video_figures([], 5 * S, 1 * S)["longest_freeze_ms"] == 4000.0
    figures = video_figures(_shown(2000, 2033), 2050 * MS, 1 * S)
    assert (figures["freezes"], figures["longest_freeze_ms"]) == (1, 1000.0)


def test_an_old_picture_shown_again_ends_no_freeze() -> None:
    shown = [*_shown(1000, 1033), ShownFrame(1150 * MS, 920 * MS), *_shown(1400)]
    assert video_figures(shown, 1400 * MS)["longest_freeze_ms"] == 367.0


def _noise(seconds: float) -> npt.NDArray[np.int16]:
    return np.random.default_rng(7).normal(0, 3000, int(seconds * SAMPLE_RATE)).astype(np.int16)


def _heard_with_holes(mic: npt.NDArray[np.int16], delay_ms: int, *holes_ms: tuple[int, int]) -> Recording:
    heard = np.concatenate((np.zeros(delay_ms * SAMPLE_RATE // 1000, np.int16), mic))
    for begin, end in holes_ms:
        heard[begin * SAMPLE_RATE // 1000 : end * SAMPLE_RATE // 1000] = 0
    return Recording(heard, 0)


def test_holes_in_the_sound_are_found_with_their_lengths() -> None:
    mic = _noise(6)
    speaker = _heard_with_holes(mic, 120, (1000, 1040), (3000, 3200))
    gaps = audio_gaps(Recording(mic, 0), speaker)
    assert [round(gap, -1) for gap in gaps] == [40, 200]
    figures = gap_figures(gaps)
    assert figures["audio_gaps"] == 1
    assert 195 <= figures["audio_gap_ms"] == figures["longest_audio_gap_ms"] <= 205
    assert audio_delays(Recording(mic, 0), speaker)[0][1] == 120


def test_a_call_in_which_nothing_was_heard_is_one_gap() -> None:
    mic = _noise(4)
    for speaker in (Recording(np.zeros(4 * SAMPLE_RATE, np.int16), 0), Recording(np.zeros(0, np.int16), 0)):
        assert 3900 <= sum(audio_gaps(Recording(mic, 0), speaker)) <= 4000


def test_what_was_lost_at_the_start_is_a_gap_too() -> None:
    mic = _noise(8)
    speaker = _heard_with_holes(mic, 100, (100, 3600))
    assert 3400 <= sum(audio_gaps(Recording(mic, 0), speaker)) <= 3600


def test_nobody_who_was_silent_can_be_missed() -> None:
    silence = Recording(np.zeros(4 * SAMPLE_RATE, np.int16), 0)
    assert audio_gaps(silence, silence) == []


def test_a_share_is_of_the_whole_time() -> None:
    assert share_percent(450.0, 45.0) == 1.0
    assert share_percent(1.0, 0.0) == 0.0
