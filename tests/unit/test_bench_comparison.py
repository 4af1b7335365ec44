"""The benchmark's table: ratios of one run, and aims that are reached or not."""

import json
from typing import Any

import pytest

from bench.comparison import Comparison, Line


def _ours(connect_ms: float | None = 300.0) -> dict[str, Any]:
    return {
        "seconds": 30.0,
        "connect_ms": connect_ms,
        "cpu_s": {"engine": 3.0, "camera": 4.0},
        "pss_mb": {"engine": 60.0, "camera": 50.0},
        "video": {"frames_shown": 900, "glass_to_glass_ms": {"p50": 90.0, "p95": 120.0}},
        "audio": {"mouth_to_ear_ms": {"p50": 110.0, "p95": 130.0}},
        "av_offset_ms": {"p50": 4.0, "p95": 9.0},
    }


AIORTC = {
    "cpu_s": 14.0,
    "pss_mb": 88.0,
    "connect_ms": 600.0,
    "pictures": 870,
    "glass_to_glass_ms": {"p50": 180.0, "p95": 240.0},
}
GST = {"cpu_s": 3.5, "pss_mb": 44.0, "connect_ms": 150.0, "pictures": 900, "glass_to_glass_ms": {"p50": 45, "p95": 60}}


def _lines(comparison: Comparison) -> dict[str, dict[str, Any]]:
    return {line["name"]: line for line in comparison.as_dict()["lines"]}


def test_processor_time_is_scaled_to_a_minute_and_compared() -> None:
    line = _lines(Comparison(30, _ours(), AIORTC, GST))["CPU-s / 60 s, all"]
    assert (line["ours"], line["aiortc"], line["gstreamer"]) == (14.0, 28.0, 7.0)
    assert (line["ours_per_aiortc"], line["ours_per_gstreamer"]) == (0.5, 2.0)


@pytest.mark.parametrize(("connect_ms", "reached"), [(300.0, True), (600.0, True), (601.0, False), (None, False)])
def test_an_aim_is_reached_or_not(connect_ms: float | None, reached: bool) -> None:
    assert _lines(Comparison(30, _ours(connect_ms), AIORTC, GST))["connect ms"]["reached"] is reached


def test_every_aim_stands_in_the_table() -> None:
    comparison = Comparison(30, _ours(), AIORTC, GST)
    aims = {name: line["aim"] for name, line in _lines(comparison).items() if line["aim"] is not None}
    assert aims == {"engine CPU-s / 60 s": 6.5, "PSS MB, all": 220, "connect ms": 600, "glass to glass p50 ms": 100}
    rows = comparison.table().splitlines()
    assert [row.split()[-1] for row in rows if " 220.0 " in row] == ["yes"]
    assert max(map(len, rows)) <= 120


def test_a_missing_gstreamer_leaves_its_columns_empty() -> None:
    comparison = Comparison(30, _ours(), AIORTC, {})
    assert _lines(comparison)["PSS MB, all"]["gstreamer"] is None
    assert json.loads(json.dumps(comparison.as_dict(), allow_nan=False))["gstreamer"] is None
    assert comparison.table()


def test_a_figure_without_an_aim_is_neither_reached_nor_missed() -> None:
    assert Line("x", 1.0).reached is None
