"""`python -m bench.line`: calls over a bad line, ours beside those of others; docs/bench.md explains each column."""

import argparse
import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from appliance.errors import ApplianceError

from . import path
from .call import CallPlan, hold
from .ends import why_not
from .machine import go_first
from .profiles import PROFILES
from .table import table

RECEIVERS = ("ours", "lab-mcu", "chromium", "aiortc", "gstreamer")


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _receivers(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    if unknown := [name for name in names if name not in RECEIVERS]:
        raise argparse.ArgumentTypeError(f"no such receiver: {', '.join(unknown)} (there are {', '.join(RECEIVERS)})")
    return names


def _change(text: str) -> tuple[float, str]:
    """SECONDS:PROFILE."""
    at, _, name = text.partition(":")
    try:
        at_s = float(at)
    except ValueError:
        at_s = -1.0
    if at_s < 0 or name not in PROFILES:
        raise argparse.ArgumentTypeError(f"{text!r} is not SECONDS:PROFILE")
    return at_s, name


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.line", description=__doc__)
    parser.add_argument("--profile", required=True, choices=PROFILES, help="the line")
    parser.add_argument("--seconds", type=float, default=40.0, help="measured time of each call (default 40)")
    parser.add_argument("--seed", type=int, default=1, help="the n-th packet has the same fate with the same seed")
    parser.add_argument("--receivers", type=_receivers, default=list(RECEIVERS), help=",".join(RECEIVERS))
    parser.add_argument("--then", type=_change, action="append", default=[], metavar="SECONDS:PROFILE",
                        help="the line becomes another one after so many measured seconds")  # fmt: skip
    parser.add_argument("--tcp", action="store_true", help="a TCP transfer shares the way of the unit's stream")
    parser.add_argument("--card", action="store_true", help="send the test card (300 kbit/s) and the beep")
    parser.add_argument("--series", action="store_true", help="add each second's figures to the JSON")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep records and logs there")
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    return parser.parse_args()


async def _rows(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    rows = []
    for receiver in arguments.receivers:
        row: dict[str, Any] = {"sender": "ours", "receiver": receiver}
        reason = why_not(receiver)
        if reason is None:
            plan = CallPlan(
                receiver,
                arguments.profile,
                arguments.seed,
                arguments.seconds,
                arguments.series,
                arguments.card,
                arguments.keep,
                arguments.tcp,
                tuple(arguments.then),
            )
            try:
                row = await hold(plan, _say)
                if row["machine_busy"]:
                    rate = row["frames_captured"] / row["seconds"]
                    _say(f"{arguments.profile}, {receiver}: the machine was too busy: {rate:.0f} pictures/s captured")
            except ApplianceError as error:
                reason = f"no call: {error}"
        if reason is not None:
            _say(f"{arguments.profile}, {receiver}: {reason}")
            # The last words of programs are for stderr.
            row["skipped"] = reason.splitlines()[0]
        rows.append(row)
    return rows


def main() -> None:
    arguments = _arguments()
    if arguments.seconds < 5:
        sys.exit("bench.line: --seconds is 5 or more")
    if reason := path.missing():
        sys.exit(f"bench.line: {reason}")
    go_first()
    rows = asyncio.run(_rows(arguments))
    result = {
        "profile": arguments.profile,
        "about": PROFILES[arguments.profile].about,
        "seed": arguments.seed,
        "seconds": arguments.seconds,
        "rows": rows,
    }
    print(json.dumps(result, ensure_ascii=False) if arguments.json else table(result))
    if all("skipped" in row for row in rows):
        sys.exit(1)


if __name__ == "__main__":
    main()
