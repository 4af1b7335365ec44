"""`bridgepoint demo`: a meeting on this machine, without hardware."""

import asyncio
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from appliance.errors import ApplianceError


@click.command()
@click.option("--seconds", type=click.FloatRange(1, 86_400), help="Hold a measured call this long, then print figures.")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as one JSON object on the last line.")
@click.option(
    "--video", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Footage instead of the test card."
)
@click.option(
    "--audio", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Sound instead of the beep."
)
@click.option("--panel", metavar="ADDR:PORT", help="Run the unit's web panel there.")
def demo(seconds: float | None, as_json: bool, video: Path | None, audio: Path | None, panel: str | None) -> None:
    """Hold a meeting on this machine: a lab MCU and bridge points, all on loopback.

    Without --seconds: two bridge points (a test card with a beep, and footage with speech) until Ctrl-C.
    With --seconds: one bridge point, measured from the pixels it shows and the samples it plays.
    """
    from .measured import measured
    from .shown import show

    def say(line: str) -> None:
        click.echo(line, err=as_json)

    try:
        if seconds is None:
            if as_json or video or audio or panel:
                raise click.UsageError("--json, --video, --audio and --panel go with --seconds")
            asyncio.run(show(say, LiveLines()))
            return
        figures = asyncio.run(
            measured(seconds, video=video and video.absolute(), audio=audio and audio.absolute(), panel=panel, say=say)
        )
    except ApplianceError as error:
        if as_json:
            click.echo(json.dumps({"state": "failed", "error": str(error)}, ensure_ascii=False))
        else:
            click.echo(f"demo: {error}", err=True)
        sys.exit(1)
    click.echo(json.dumps(figures, ensure_ascii=False) if as_json else _table(figures))
    if figures["state"] != "live":
        sys.exit(1)


class LiveLines:
    """Lines that are drawn over at each call on a terminal, and printed now and then elsewhere."""

    def __init__(self) -> None:
        self._drawn = 0
        self._calls = 0

    def __call__(self, lines: Sequence[str]) -> None:
        if sys.stdout.isatty():
            if self._drawn:
                sys.stdout.write(f"\x1b[{self._drawn}F")
            sys.stdout.write("".join(f"\x1b[2K{line}\n" for line in lines))
            self._drawn = len(lines)
        elif self._calls % 10 == 0:
            sys.stdout.write("\n".join(lines) + "\n")
        sys.stdout.flush()
        self._calls += 1


def _table(figures: dict[str, object], prefix: str = "") -> str:
    """The figures for people: one line each, the JSON's names."""
    lines = []
    for name, value in figures.items():
        if isinstance(value, dict):
            lines.append(_table(value, f"{prefix}{name}."))
        else:
            lines.append(f"{prefix + name:<34} {'-' if value is None else value}")
    return "\n".join(line for line in lines if line)
