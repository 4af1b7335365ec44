"""`bridgepoint status`: what the unit does now, once or until Ctrl-C."""

import asyncio
import os
import shutil
import sys

import click

from appliance.errors import ControlError
from appliance.paths import Paths

from .asking import fail, json_option, print_json, question
from .terminal import fit
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
    drawing = _Drawing()
    try:
        async for state in client.watch():
            if as_json:
                print_json(state)
                sys.stdout.flush()
            else:
                drawing.draw(status_lines(state, language_of(state, lang), colour=_colour()))
    finally:
        await client.close()


class _Drawing:
    """Lines drawn over those before; on a pipe, one block after another."""

    def __init__(self) -> None:
        self._rows = 0
        self._size = os.terminal_size((0, 0))

    def draw(self, lines: list[str]) -> None:
        if not sys.stdout.isatty():
            sys.stdout.write("\n".join(lines) + "\n\n")
        else:
            sys.stdout.write(self._over(lines, shutil.get_terminal_size()))
        sys.stdout.flush()

    def _over(self, lines: list[str], size: os.terminal_size) -> str:
        # The last row stays free for the cursor; what does not fit above it would scroll away and come again each time.
        rows = [row for line in lines for row in fit(line, size.columns)][: max(1, size.lines - 1)]
        up = f"\x1b[{self._rows}F" if self._rows else ""
        if self._rows and size != self._size:
            # The terminal has moved what stood there, nobody knows where.
            up = "\x1b[2J\x1b[H"
        self._rows, self._size = len(rows), size
        # What is left of longer rows and of more rows goes.
        return up + "".join(f"\x1b[2K{row}\n" for row in rows) + "\x1b[0m\x1b[J"
