"""The bench's rows: counters of sessions that begin anew, time codes handed over as cells, the table for people."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from appliance.media import timecode
from bench.line.cells import captured_ns, cells_of
from bench.line.figures import grown
from bench.line.profiles import PROFILES
from bench.line.report import markdown
from bench.line.table import table
from bench.line.tcp_load import carried_kbps

MS = 1_000_000
S = 1000 * MS
NOW_NS = 123_456 * MS


def test_a_counter_that_begins_anew_goes_on_growing() -> None:
    assert grown([5, 9, None, 12, 3, 4]) == 7 + 3 + 1
    assert grown([]) == 0
    assert grown([None, "text", 4]) == 0


@pytest.mark.parametrize("size", [(1280, 720), (640, 360), (320, 180)])
def test_the_cells_of_a_picture_tell_when_it_was_captured(size: tuple[int, int]) -> None:
    luma = np.full((size[1], size[0]), 90, np.uint8)
    timecode.draw(luma, NOW_NS, 3)
    assert captured_ns(cells_of(luma), NOW_NS + 90 * MS) == NOW_NS


def test_cells_of_a_damaged_picture_tell_nothing() -> None:
    luma = np.full((720, 1280), 90, np.uint8)
    timecode.draw(luma, NOW_NS, 3)
    damaged = bytearray(cells_of(luma))
    damaged[40] ^= 0xFF
    assert captured_ns(bytes(damaged), NOW_NS) is None
    assert captured_ns(b"short", NOW_NS) is None


def _row(receiver: str, freeze_ms: float) -> dict[str, object]:
    numbers = (
        "frames_captured frames_shown frames_damaged freezes freeze_percent longest_freeze_ms audio_gaps audio_gap_ms "
        "bitrate_kbps pli nacks reconnects connect_ms av_offset_abs_p95_ms"
    )
    return {
        "receiver": receiver,
        "machine_busy": False,
        "freeze_ms": freeze_ms,
        "audio_concealed_percent": None,
        "glass_to_glass_ms": {"p50": 100.0, "p95": 200.0},
        "mouth_to_ear_ms": {"p50": None, "p95": None},
        "queue_ms": None,
        **dict.fromkeys(numbers.split(), 1.0),
    }


def test_the_table_sets_others_against_ours_and_says_what_is_missing() -> None:
    rows = [_row("ours", 200.0), _row("chromium", 900.0), {"receiver": "gstreamer", "skipped": "not installed"}]
    text = table({"profile": "loss2", "about": "bad", "seed": 1, "seconds": 40.0, "rows": rows})
    line = next(line for line in text.splitlines() if line.startswith("gaps > 100 ms, sum"))
    assert line.split()[-3:] == ["200", "900", "(4.5)"]
    assert "gstreamer: not measured: not installed" in text


def test_a_table_without_ours_compares_with_nobody() -> None:
    text = table({"profile": "loss2", "about": "bad", "seed": 1, "seconds": 40.0, "rows": [_row("aiortc", 5.0)]})
    line = next(line for line in text.splitlines() if line.startswith("gaps > 100 ms, sum"))
    assert line.split()[-1] == "5"
    assert "times ours" not in text


def test_the_report_has_a_line_for_each_call_and_for_both_ways_of_ours() -> None:
    ours = _row("ours", 200.0) | {"back": _row("ours", 100.0), "queue_ms": {"mean": 3.0, "p95": 9.0}}
    rows = [ours, {"receiver": "gstreamer", "skipped": "not installed"}]
    head, rule, *lines = markdown([{"profile": "loss2", "rows": rows}]).splitlines()
    assert [line.split("|")[2].strip() for line in lines] == ["ours", "ours, the other way", "gstreamer"]
    assert {line.count("|") for line in (head, rule, *lines)} == {head.count("|")}
    assert "| 0.2 (1.0) |" in lines[0]
    assert "| 3 / 9 |" in lines[0]


def test_a_transfer_is_counted_within_the_measured_time(tmp_path: Path) -> None:
    counts = tmp_path / "tcp.csv"
    counts.write_text(f"{1 * S},0\n{2 * S},1000\n{3 * S},251000\n{4 * S},900000\n{5 * S}")
    assert carried_kbps(counts, 2 * S, 3 * S) == 2000.0
    assert carried_kbps(counts, 8 * S, 9 * S) == 0.0


def test_every_profile_is_in_the_documents() -> None:
    text = Path("docs/bench.md").read_text()
    for name, profile in PROFILES.items():
        assert f"| `{name}` | {profile.about} |" in text


def test_wrong_words_are_answered_with_one_clear_line() -> None:
    for words, answer in (
        (["--profile", "loss2", "--receivers", "ours,zoom"], "no such receiver: zoom"),
        (["--profile", "loss2", "--then", "5:nowhere"], "is not SECONDS:PROFILE"),
        (["--profile", "loss2", "--seconds", "1"], "--seconds is 5 or more"),
    ):
        done = subprocess.run(
            [sys.executable, "-m", "bench.line", *words], capture_output=True, text=True, check=False, timeout=50
        )
        assert done.returncode != 0
        assert answer in done.stderr.splitlines()[-1]


def test_the_receivers_speak_json_lines() -> None:
    code = "from bench.line.answering import say_heard; say_heard(b'ab', 5)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=50)
    assert json.loads(done.stdout) == {"heard": "YWI=", "at_ns": 5}
