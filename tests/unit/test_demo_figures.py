"""What a call's figures say when workers are replaced, pictures fail to come, and the microphone has holes."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from appliance.demo.figures import covered, from_records, holes_ms
from appliance.demo.processes import Cost
from appliance.demo.tally import COUNTS, Tally
from appliance.media.sound_tap import SoundTap
from appliance.media.values import BLOCK_SAMPLES

S = 1_000_000_000
MS = 1_000_000
NOTHING = dict.fromkeys(COUNTS, 0)


def _state(camera_pid: int | None, frames: int, **session: int) -> dict[str, Any]:
    return {
        "workers": {"camera": {"pid": camera_pid, "state": "running"}},
        "numbers": {"camera": {"frames": frames}, "session": session},
    }


def test_a_worker_that_was_replaced_keeps_its_counts_and_its_cost() -> None:
    used = {1: Cost(2.0, 60.0), 10: Cost(5.0, 40.0)}
    tally = Tally(_state(10, 900), {"engine": 1}, used.get)
    used[10] = Cost(6.5, 41.0)
    tally.note(_state(10, 1000))
    del used[10]
    tally.note(_state(None, 1000))
    used |= {11: Cost(0.5, 30.0), 1: Cost(2.25, 61.0)}
    tally.note(_state(11, 40))
    assert tally.counts["frames_captured"] == 140
    assert tally.cpu_s == {"engine": 0.25, "camera": 2.0}
    assert tally.pss_mb == {"engine": 61.0, "camera": 30.0}


def test_what_two_sessions_sent_is_added_up_and_what_an_old_one_sent_is_not() -> None:
    tally = Tally(_state(10, 0, video_out_frames_sent=77), {}, lambda pid: None)
    for sent in (30, 60, 10):
        tally.note(_state(10, 0, video_out_frames_sent=sent))
    assert tally.counts["frames_sent"] == 70


def _shown(folder: Path, *times_ns: int) -> None:
    lines = [f"{at},{at - 80 * MS},0\n" for at in times_ns]
    folder.joinpath("shown.csv").write_text("".join(lines))


def _recorded(folder: Path, name: str, *spans_ns: tuple[int, int]) -> None:
    noise = np.random.default_rng(3)
    tap = SoundTap(folder, name)
    for begin_ns, end_ns in spans_ns:
        for at in range(begin_ns, end_ns, 20 * MS):
            tap.write(noise.normal(0, 3000, BLOCK_SAMPLES).astype(np.int16).tobytes(), at)
    tap.close()


def test_a_call_without_any_picture_is_one_freeze_from_live_on(tmp_path: Path) -> None:
    video = from_records(tmp_path, 10 * S, 11 * S, 16 * S, NOTHING)["video"]
    assert (video["freezes"], video["freeze_ms"], video["frames_shown"]) == (1, 5000.0, 0)


def test_a_first_picture_that_comes_late_was_missed_since_live(tmp_path: Path) -> None:
    _shown(tmp_path, *range(14 * S, 16 * S, 33 * MS))
    found = from_records(tmp_path, 10 * S, 11 * S, 16 * S, NOTHING)
    assert (found["video"]["freezes"], found["video"]["freeze_ms"]) == (1, 3000.0)
    assert found["connect_ms"] == 4000.0


def test_joining_itself_is_no_freeze(tmp_path: Path) -> None:
    _shown(tmp_path, *range(11 * S + 500 * MS, 16 * S, 33 * MS))
    assert from_records(tmp_path, 10 * S, 11 * S, 16 * S, NOTHING)["video"]["freezes"] == 0


def test_a_hole_in_what_the_microphone_gave_is_told(tmp_path: Path) -> None:
    _recorded(tmp_path, "mic", (9 * S, 12 * S), (13 * S + 500 * MS, 20 * S))
    _recorded(tmp_path, "speaker", (9 * S, 20 * S))
    assert [round(ms) for ms in holes_ms(covered(tmp_path, "mic"), 10 * S, 20 * S)] == [1500]


def test_a_microphone_that_never_spoke_is_one_hole(tmp_path: Path) -> None:
    audio = from_records(tmp_path, 10 * S, 11 * S, 12 * S, NOTHING)["audio"]
    assert (audio["capture_gaps"], audio["capture_gap_ms"]) == (1, 2000.0)


def test_a_microphone_that_stopped_leaves_a_hole_to_the_end(tmp_path: Path) -> None:
    _recorded(tmp_path, "mic", (9 * S, 12 * S))
    assert [round(ms) for ms in holes_ms(covered(tmp_path, "mic"), 10 * S, 20 * S)] == [8000]


@pytest.mark.parametrize("name", ["mic", "speaker"])
def test_a_call_too_short_to_find_its_sound_again_has_no_gaps_to_tell_of(tmp_path: Path, name: str) -> None:
    _recorded(tmp_path, name, (10 * S, 11 * S + 500 * MS))
    audio = from_records(tmp_path, 10 * S, 10 * S + 500 * MS, 11 * S + 500 * MS, NOTHING)["audio"]
    assert (audio["gaps"], audio["gap_ms"]) == (None, None)
