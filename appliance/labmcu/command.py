"""`bridgepoint lab-mcu`: run the lab MCU until Ctrl-C."""

import asyncio
import json
import signal
import sys
from collections.abc import Callable

import click
import uvloop
from aiohttp import web

from appliance.errors import ApplianceError
from appliance.media.clock import MediaClock

from .server import LabMcuServer
from .sessions import McuOptions, Sessions
from .video_mixer import WallSettings

_STOP_S = 2.0


class LabMcuError(ApplianceError):
    """The lab MCU cannot run; the message says why."""


@click.command("lab-mcu")
@click.option(
    "--listen", default="127.0.0.1:8080", show_default=True, metavar="ADDR:PORT", help="Port 0: any free one."
)
@click.option("--fps", default=30, show_default=True, type=click.IntRange(5, 60), help="Pictures a second of the wall.")
@click.option("--size", default="1280x720", show_default=True, metavar="WxH", help="Size of the wall.")
@click.option("--token", envvar="BRIDGEPOINT_LAB_TOKEN", help="Ask everybody for this bearer token.")
@click.option("--echo", is_flag=True, help="Each room repeats what it hears, so that mouth to ear can be measured.")
@click.option("--json", "as_json", is_flag=True, help="Print what happens as one JSON object a line.")
def lab_mcu(listen: str, fps: int, size: str, token: str | None, echo: bool, as_json: bool) -> None:
    """Run a small MCU for demonstrations and tests: WHIP in, WHEP out, a wall of tiles, N-1 sound.

    Production uses a real MCU.
    """
    host, port = _address(listen)
    width, height = _size(size)
    options = McuOptions(host, WallSettings(width, height, fps), echo)
    if token is not None and (not token.isascii() or not token.isprintable() or " " in token or not token):
        raise click.BadParameter("a token is printable ASCII without spaces", param_hint="--token")
    if token is None and not options.loopback:
        click.echo("lab-mcu: everybody who reaches this machine can join; --token keeps strangers out", err=True)
    say = _print_json if as_json else _print_line
    try:
        uvloop.run(_serve(options, port, token, say))
    except LabMcuError as error:
        click.echo(f"lab-mcu: {error}", err=True)
        sys.exit(1)


async def _serve(options: McuOptions, port: int, token: str | None, say: Callable[[dict[str, str]], None]) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with Sessions(options, MediaClock(), say) as sessions:
        runner = web.AppRunner(LabMcuServer(sessions, token).application(), access_log=None, shutdown_timeout=_STOP_S)
        await runner.setup()
        try:
            site = web.TCPSite(runner, options.host, port)
            try:
                await site.start()
            except OSError as error:
                reason = error.strerror or error
                raise LabMcuError(
                    f"cannot listen on {options.host}:{port} ({reason}); choose another --listen"
                ) from error
            real_port = runner.addresses[0][1]
            shown = f"[{options.host}]" if ":" in options.host else options.host
            say({"event": "listening", "url": f"http://{shown}:{real_port}/"})
            await stop.wait()
        finally:
            await runner.cleanup()


def _address(listen: str) -> tuple[str, int]:
    host, colon, port = listen.rpartition(":")
    if not colon or not host or not (port.isascii() and port.isdigit()) or int(port) > 65_535:
        raise click.BadParameter(f"{listen!r} is not ADDR:PORT", param_hint="--listen")
    return host.removeprefix("[").removesuffix("]"), int(port)


def _size(size: str) -> tuple[int, int]:
    width, _, height = size.lower().partition("x")
    if not all(number.isascii() and number.isdigit() and len(number) <= 4 for number in (width, height)):
        raise click.BadParameter(f"{size!r} is not WIDTHxHEIGHT", param_hint="--size")
    # Sides of a 3x3 wall's tiles must not vanish, and the encoder's level is 3.1 or 4.0.
    if not (320 <= int(width) <= 1920 and 180 <= int(height) <= 1200) or int(width) % 2 or int(height) % 2:
        raise click.BadParameter("even numbers from 320x180 to 1920x1200", param_hint="--size")
    return int(width), int(height)


def _print_json(event: dict[str, str]) -> None:
    click.echo(json.dumps(event, ensure_ascii=False))


def _print_line(event: dict[str, str]) -> None:
    match event:
        case {"event": "listening", "url": url}:
            click.echo(f"lab MCU: {url} (the wall, in any browser); Ctrl-C ends it")
        case {"event": what, "kind": kind, "room": room, "name": name, **rest}:
            role = "participant" if kind == "whip" else "listener"
            reason = f" ({rest['reason']})" if "reason" in rest else ""
            click.echo(
                f"{room}: {name} {what} as {role}{reason}" if what == "joined" else f"{room}: {name} {what}{reason}"
            )
