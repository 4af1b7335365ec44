"""The commands of a meeting: join, leave, mute, unmute, camera, press, snapshot."""

import base64
import sys
import time
from pathlib import Path
from typing import Any

import click

from appliance.errors import ControlError
from appliance.paths import Paths

from .asking import BAD_INPUT, fail, json_option, print_json, question, write_whole
from .words import one_line


def _done(state: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(state)
    else:
        click.echo(one_line(state))


@click.command()
@click.argument("meeting", required=False)
@click.option("--wait", type=click.FloatRange(min=0.1), metavar="SECONDS", help="Return when live, or fail then.")
@json_option
@click.pass_obj
def join(paths: Paths, meeting: str | None, wait: float | None, as_json: bool) -> None:
    """Join MEETING, or the first one of the settings. Joining the meeting we are in changes nothing.

    Example: bridgepoint join giao-ban --wait 10
    """
    state = question(paths, "join", as_json=as_json, meeting=meeting)
    end = time.monotonic() + (wait or 0)
    while wait and state["meeting"]["state"] != "live":
        if time.monotonic() > end:
            reasons = "; ".join(problem["cause"]["en"] for problem in state["problems"]) or "no reason is known yet"
            fail(ControlError(f"not live after {wait:g} s: {reasons} The unit keeps trying."), as_json=as_json)
        time.sleep(0.05)
        state = question(paths, "status", as_json=as_json)
    _done(state, as_json=as_json)


@click.command()
@json_option
@click.pass_obj
def leave(paths: Paths, as_json: bool) -> None:
    """Leave the meeting. Without a meeting this changes nothing."""
    _done(question(paths, "leave", as_json=as_json), as_json=as_json)


@click.command()
@json_option
@click.pass_obj
def mute(paths: Paths, as_json: bool) -> None:
    """Switch the microphone off: no sound leaves the room."""
    _done(question(paths, "mute", as_json=as_json, on=True), as_json=as_json)


@click.command()
@json_option
@click.pass_obj
def unmute(paths: Paths, as_json: bool) -> None:
    """Switch the microphone on."""
    _done(question(paths, "mute", as_json=as_json, on=False), as_json=as_json)


@click.command()
@click.argument("wanted", type=click.Choice(["on", "off"]))
@json_option
@click.pass_obj
def camera(paths: Paths, wanted: str, as_json: bool) -> None:
    """Switch the camera on or off; while off, a card is sent in its place."""
    _done(question(paths, "camera", as_json=as_json, on=wanted == "on"), as_json=as_json)


@click.command()
@click.argument("button", type=click.Choice(["start", "mute"]))
@json_option
@click.pass_obj
def press(paths: Paths, button: str, as_json: bool) -> None:
    """Press START/STOP or MUTE, as a person at the unit would."""
    _done(question(paths, "press", as_json=as_json, button=button), as_json=as_json)


@click.command()
@click.option("-o", "--output", metavar="FILE", help="Where to save it (default: snapshot-TIME.jpg); - is stdout.")
@json_option
@click.pass_obj
def snapshot(paths: Paths, output: str | None, as_json: bool) -> None:
    """Save what the screen shows now as a JPEG picture."""
    if output == "-" and (as_json or sys.stdout.isatty()):
        raise click.UsageError("a picture is not written to a terminal or among JSON; name a file with -o")
    picture = base64.b64decode(question(paths, "snapshot", as_json=as_json)["jpeg"])
    if output == "-":
        sys.stdout.buffer.write(picture)
        return
    path = Path(output or time.strftime("snapshot-%Y%m%d-%H%M%S.jpg"))
    try:
        write_whole(path, picture)
    except OSError as error:
        message = f"{path} cannot be written: {error.strerror or error}; name another file with -o"
        if as_json:
            print_json({"error": {"code": "file", "message": message}})
        else:
            click.echo(f"bridgepoint: {message}", err=True)
        sys.exit(BAD_INPUT)
    if as_json:
        print_json({"file": str(path), "bytes": len(picture)})
    else:
        click.echo(f"{path} ({len(picture) // 1024} kB)")
