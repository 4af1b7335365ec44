"""`bridgepoint status`: what the unit does now, once or until Ctrl-C."""

import asyncio
import os
import sys
from typing import Any

import click

from appliance.errors import ControlError
from appliance.paths import Paths

from .asking import fail, json_option, print_json, question
from .words import language_of, status_lines


@click.command()
@click.option("--watch", is_flag=True, help="Go on until Ctrl-C.")
@click.option("--lang", type=click.Choice(["vi", "en"]), help="Language (default: the unit's).")
@json_option
@click.pass_obj
def status(paths: Paths, watch: bool, lang: str | None, as_json: bool) -> None:
    """Show the unit's state, what is wrong and what to do about it.

    With --watch and --json: one JSON object a line, at each change.
    """
    if watch:
        try:
            asyncio.run(_watch(paths, lang, as_json=as_json))
        except ControlError as error:
            fail(error, as_json=as_json)
        except KeyboardInterrupt:
            sys.exit(0)
        return
    state = question(paths, "status", as_json=as_json)
    if as_json:
        print_json(state)
    else:
        click.echo("\n".join(status_lines(state, language_of(state, lang), colour=_colour())))


def _colour() -> bool:
    return sys.stdout.isatty() and "NO_COLOR" not in os.environ


async def _watch(paths: Paths, lang: str | None, *, as_json: bool) -> None:
    from appliance.control.client import ControlClient

    client = await ControlClient.connect(paths.socket)
    drawn = 0
    try:
        async for state in client.watch():
            if as_json:
                print_json(state)
                sys.stdout.flush()
            else:
                drawn = _draw(state, lang, drawn)
    finally:
        await client.close()


def _draw(state: dict[str, Any], lang: str | None, drawn: int) -> int:
    """Draw over what stands there; on a pipe, one block after another. Returns the lines drawn."""
    lines = status_lines(state, language_of(state, lang), colour=_colour())
    if not sys.stdout.isatty():
        sys.stdout.write("\n".join(lines) + "\n\n")
    else:
        up = f"\x1b[{drawn}F" if drawn else ""
        # What is left of longer lines and of more lines goes.
        sys.stdout.write(up + "".join(f"\x1b[2K{line}\n" for line in lines) + "\x1b[J")
    sys.stdout.flush()
    return len(lines)
