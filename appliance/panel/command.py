"""`bridgepoint panel`: the web panel, a process of its own that speaks to the control socket alone."""

import logging
import signal
import sys
from functools import partial
from types import FrameType
from typing import Any, NoReturn

import click

from appliance.paths import Paths

# What waitress can bound. It has no limit for a request that trickles in; beyond loopback that is nginx's task.
_BOUNDS: dict[str, Any] = {
    "threads": 8,
    "connection_limit": 200,
    "asyncore_use_poll": True,
    "channel_timeout": 10,
    "cleanup_interval": 5,
    "max_request_header_size": 16 * 1024,
    "max_request_body_size": 16 * 1024,
    "ident": None,
}


@click.command()
@click.option("--listen", metavar="ADDR:PORT", help="Where to listen (default: the settings'); port 0: any free one.")
@click.pass_obj
def panel(paths: Paths, listen: str | None) -> None:
    """Run the unit's web panel until SIGTERM or Ctrl-C. Its one-time password is printed at the start.

    Ends at once with status 1 when the settings have the panel switched off.
    """
    from waitress.server import create_server

    from appliance import settings_store
    from appliance.control.blocking import ask

    from .app import PanelOptions, make_app
    from .password import OneTimePassword
    from .unit_line import UnitLine

    settings = settings_store.load(paths.state_dir, paths.defaults, repair=False).settings
    if not settings.panel.enabled:
        _fail("the panel is switched off in the settings; set panel.enabled = true to use it")
    host, _, port = (listen or settings.panel.listen).rpartition(":")
    host = host.strip("[]")
    if not host or not port.isdigit() or int(port) > 65_535:
        raise click.BadParameter("must look like 127.0.0.1:8088", param_hint="--listen")
    options = PanelOptions(
        settings.unit.name, settings.unit.language, tuple((meeting.id, meeting.name) for meeting in settings.meetings)
    )
    line = UnitLine(partial(ask, paths.socket))
    app = make_app(options, line, OneTimePassword(lambda word: _say(f"one-time password: {word}")))
    try:
        server = create_server(app, host=host, port=int(port), **_BOUNDS)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        _fail(f"cannot listen on {host}:{port} ({reason}); choose another --listen")
    logging.getLogger("waitress").setLevel(logging.ERROR)
    shown = f"[{host}]" if ":" in host else host
    _say(f"Panel: http://{shown}:{_port(server)}/")
    if host not in ("127.0.0.1", "::1", "localhost"):
        _say("Others reach this panel without encryption: put nginx with TLS in front of it (docs/panel.md).")
    signal.signal(signal.SIGTERM, _end)
    try:
        server.run()
    except (KeyboardInterrupt, SystemExit):
        server.close()


def _port(server: Any) -> int:
    """The port that was taken; a name with several addresses has several servers."""
    listening = getattr(server, "effective_listen", None)
    return int(listening[0][1] if listening else server.effective_port)


def _say(line: str) -> None:
    click.echo(line)
    sys.stdout.flush()


def _fail(message: str) -> NoReturn:
    click.echo(f"bridgepoint panel: {message}", err=True)
    sys.exit(1)


def _end(number: int, frame: FrameType | None) -> None:
    sys.exit(0)
