"""Make the table of docs/bench.md: `python -m bench.line.report FILE...`, each the output of a run with --json."""

import json
import sys
from pathlib import Path
from typing import Any

_HEAD = (
    "| Line | Receiver | shown | gaps > 100 ms | sum s (%) | longest ms | glass to glass ms | audio gaps > 60 ms, s "
    "| concealed % | mouth to ear ms | kbit/s | PLI | NACK | queue ms |"
)


def _pair(figures: dict[str, Any] | None, one: str, other: str) -> str:
    if not figures or figures.get(one) is None:
        return "–"
    return f"{figures[one]:.0f} / {figures[other]:.0f}"


def markdown(results: list[dict[str, Any]]) -> str:
    """A line for each call; both ways of a call between two of ours."""
    lines = [_HEAD, "|" + " --- |" * (_HEAD.count("|") - 1)]
    for result in results:
        for row in result["rows"]:
            start = f"| {result['profile']} | {row['receiver']} "
            if "skipped" in row:
                lines.append(f"{start}| not measured: {row['skipped']} |" + " |" * 11)
                continue
            lines.append(start + _cells(row))
            if "back" in row:
                lines.append(f"| {result['profile']} | ours, the other way {_cells(row['back'])}")
    return "\n".join(lines)


def _cells(row: dict[str, Any]) -> str:
    concealed = row["audio_concealed_percent"]
    cells = (
        f"{row['frames_shown']}" + (f" ({row['frames_damaged']} damaged)" if row["frames_damaged"] else ""),
        f"{row['freezes']}",
        f"{row['freeze_ms'] / 1000:.1f} ({row['freeze_percent']:.1f})",
        f"{row['longest_freeze_ms']:.0f}",
        _pair(row["glass_to_glass_ms"], "p50", "p95"),
        f"{row['audio_gap_ms'] / 1000:.1f}",
        "–" if concealed is None else f"{concealed:.1f}",
        _pair(row["mouth_to_ear_ms"], "p50", "p95"),
        f"{row['bitrate_kbps']:.0f}",
        f"{row['pli']}",
        f"{row['nacks']}",
        _pair(row["queue_ms"], "mean", "p95"),
    )
    busy = " (machine busy)" if row.get("machine_busy") else ""
    return f"{busy}| " + " | ".join(cells) + " |"


def main() -> None:
    results = [json.loads(Path(name).read_text().splitlines()[-1]) for name in sys.argv[1:]]
    print(markdown(results))


if __name__ == "__main__":
    main()
