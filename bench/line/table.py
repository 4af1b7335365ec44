"""The figures of a run for people: a column for each receiver, and the others' relation to ours."""

from collections.abc import Callable
from typing import Any

_Value = Callable[[dict[str, Any]], float | None]


def _in(name: str, part: str) -> _Value:
    return lambda row: (row.get(name) or {}).get(part)


# Title, value, and whether a relation to ours says anything.
_LINES: tuple[tuple[str, _Value, bool], ...] = (
    ("pictures captured", lambda row: row["frames_captured"], False),
    ("pictures shown", lambda row: row["frames_shown"], False),
    ("of them damaged", lambda row: row["frames_damaged"], False),
    ("gaps > 100 ms, count", lambda row: row["freezes"], True),
    ("gaps > 100 ms, sum ms", lambda row: row["freeze_ms"], True),
    ("gaps > 100 ms, % of time", lambda row: row["freeze_percent"], False),
    ("longest gap ms", lambda row: row["longest_freeze_ms"], True),
    ("glass to glass p50 ms", _in("glass_to_glass_ms", "p50"), True),
    ("glass to glass p95 ms", _in("glass_to_glass_ms", "p95"), True),
    ("audio gaps > 60 ms, count", lambda row: row["audio_gaps"], True),
    ("audio gaps > 60 ms, sum ms", lambda row: row["audio_gap_ms"], True),
    ("audio concealed, % of time", lambda row: row["audio_concealed_percent"], True),
    ("mouth to ear p50 ms", _in("mouth_to_ear_ms", "p50"), True),
    ("mouth to ear p95 ms", _in("mouth_to_ear_ms", "p95"), True),
    ("picture/sound |offset| p95 ms", lambda row: row["av_offset_abs_p95_ms"], False),
    ("delivered kbit/s", lambda row: row["bitrate_kbps"], False),
    ("TCP beside it kbit/s", lambda row: row.get("tcp_kbps"), False),
    ("PLI", lambda row: row["pli"], True),
    ("NACK messages", lambda row: row["nacks"], False),
    ("queue mean ms", _in("queue_ms", "mean"), True),
    ("queue p95 ms", _in("queue_ms", "p95"), True),
    ("reconnects", lambda row: row["reconnects"], False),
    ("connect ms", lambda row: row["connect_ms"], False),
)


def table(result: dict[str, Any]) -> str:
    """As `python -m bench.line` prints it."""
    rows = [row for row in result["rows"] if "skipped" not in row]
    ours = next((row for row in rows if row["receiver"] == "ours"), None)
    lines = [f"{result['profile']}: {result['about']}; seed {result['seed']}, {result['seconds']:g} s a call", ""]
    if rows:
        lines.append(f"{'':<32}" + "".join(f"{row['receiver']:>18}" for row in rows))
    for title, value, compare in _LINES:
        cells = []
        for row in rows:
            number = value(row)
            base = value(ours) if ours is not None and compare and row["receiver"] not in ("ours", "lab-mcu") else None
            cells.append(f"{_cell(number, base):>18}")
        if rows:
            lines.append(f"{title:<32}" + "".join(cells))
    lines += [f"{row['receiver']}: not measured: {row['skipped']}" for row in result["rows"] if "skipped" in row]
    lines += [f"{row['receiver']}: the machine was too busy to count" for row in rows if row["machine_busy"]]
    if ours is not None:
        lines += ["", "In brackets: how many times ours. The lab MCU's column is up and down the line."]
    return "\n".join(lines)


def _cell(number: float | None, ours: float | None) -> str:
    if number is None:
        return "-"
    text = f"{number:g}"
    return f"{text} ({number / ours:.1f})" if ours else text
