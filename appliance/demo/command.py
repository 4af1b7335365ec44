"""`bridgepoint demo`: a meeting on this machine, without hardware."""

import json
import math
import shutil
import sys
import unicodedata
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

import click

from appliance.errors import ApplianceError

from .stopping import StoppedError, run_until_stopped, signals_stop


class _DemoCommand(click.Command):
    """With --json, wrong usage is one JSON object too: whoever reads the last line always finds one."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        as_json = "--json" in args
        try:
            return super().make_context(info_name, args, parent, **extra)
        except click.UsageError as error:
            if as_json:
                click.echo(_failed(error.format_message()))
            raise


def _seconds(ctx: click.Context, param: click.Parameter, value: float | None) -> float | None:
    if value is not None and math.isnan(value):
        raise click.BadParameter("not a number", ctx, param)
    return value


@click.command(cls=_DemoCommand)
@click.option(
    "--seconds",
    type=click.FloatRange(1, 86_400),
    callback=_seconds,
    help="Hold a measured call this long, then print figures.",
)
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

    Exit status: 0 the call was held (or ended with Ctrl-C, without --seconds), 1 it was not, 2 wrong usage, 128 + n
    stopped by signal n.
    """
    if seconds is None and (as_json or video or audio or panel):
        wrong = click.UsageError("--json, --video, --audio and --panel go with --seconds")
        if as_json:
            click.echo(_failed(wrong.message))
        raise wrong

    try:
        with signals_stop():
            if seconds is None:
                _until_ctrl_c()
            else:
                done = _measured(seconds, as_json, video, audio, panel)
    except StoppedError as stopped:
        if seconds is None:
            # As ordered. A terminal that was closed takes no more lines.
            with suppress(OSError):
                click.echo("ended")
            return
        _tell(str(stopped), as_json)
        sys.exit(stopped.exit_status)
    except ApplianceError as error:
        _tell(str(error), as_json)
        sys.exit(1)
    except Exception as error:
        # A bug keeps its traceback, and the last line its form.
        if as_json:
            click.echo(_failed(f"{type(error).__name__}: {error}"))
        raise
    sys.exit(0 if done else 1)


def _until_ctrl_c() -> NoReturn:
    from .shown import show

    run_until_stopped(show(click.echo, LiveLines()))


def _measured(seconds: float, as_json: bool, video: Path | None, audio: Path | None, panel: str | None) -> bool:
    from .measured import measured

    def say(line: str) -> None:
        click.echo(line, err=as_json)

    figures = run_until_stopped(
        measured(seconds, video=video and video.absolute(), audio=audio and audio.absolute(), panel=panel, say=say)
    )
    click.echo(json.dumps(figures, ensure_ascii=False, allow_nan=False) if as_json else _table(figures))
    # A call without a single far-end picture was none, whatever the meeting's state says.
    return figures["state"] == "live" and figures["video"]["glass_to_glass_ms"]["p50"] is not None


def _failed(error: str) -> str:
    return json.dumps({"state": "failed", "error": error}, ensure_ascii=False)


def _tell(error: str, as_json: bool) -> None:
    if as_json:
        click.echo(_failed(error))
    else:
        click.echo(f"demo: {error}", err=True)


class LiveLines:
    """Lines that are drawn over at each call on a terminal, and printed now and then elsewhere."""

    def __init__(self) -> None:
        self._drawn = 0
        self._calls = 0

    def __call__(self, lines: Sequence[str]) -> None:
        if sys.stdout.isatty():
            if self._drawn:
                sys.stdout.write(f"\x1b[{self._drawn}F")
            # A line that wraps would be two, and all would creep up the screen.
            width = shutil.get_terminal_size().columns - 1
            sys.stdout.write("".join(f"\x1b[2K{cut(line, width)}\n" for line in lines))
            self._drawn = len(lines)
        elif self._calls % 10 == 0:
            sys.stdout.write("\n".join(lines) + "\n")
        sys.stdout.flush()
        self._calls += 1


def cut(line: str, width: int) -> str:
    """The line in at most `width` columns; Vietnamese letters composed, so that each takes one."""
    line = unicodedata.normalize("NFC", line)
    return line if len(line) <= width else line[: max(0, width - 1)] + "…"


def _table(figures: dict[str, object], prefix: str = "") -> str:
    """The figures for people: one line each, the JSON's names."""
    lines = []
    for name, value in figures.items():
        if isinstance(value, dict):
            lines.append(_table(value, f"{prefix}{name}."))
        else:
            lines.append(f"{prefix + name:<34} {'-' if value is None else value}")
    return "\n".join(line for line in lines if line)
