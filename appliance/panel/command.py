"""`bridgepoint panel`: the web panel, a process of its own that speaks to the control socket alone."""

import logging
import signal
import sys
from functools import partial
from types import FrameType
from typing import Any

import click

from appliance.paths import Paths


@click.command()
@click.option("--listen", metavar="ADDR:PORT", help="Where to listen (default: the settings'); port 0: any free one.")
@click.pass_obj
def panel(paths: Paths, listen: str | None) -> None:
    """Run the unit's web panel until SIGTERM or Ctrl-C. Its one-time password is printed at the start."""
    from waitress.server import create_server

    from appliance import settings_store
    from appliance.control.blocking import ask

    from .app import PanelOptions, make_app
    from .password import OneTimePassword

    settings = settings_store.load(paths.state_dir, paths.defaults, repair=False).settings
    host, _, port = (listen or settings.panel.listen).rpartition(":")
    host = host.strip("[]")
    if not host or not port.isdigit() or int(port) > 65_535:
        raise click.BadParameter("must look like 127.0.0.1:8088", param_hint="--listen")
    options = PanelOptions(
        settings.unit.name, settings.unit.language, tuple((meeting.id, meeting.name) for meeting in settings.meetings)
    )
    app = make_app(
        options, partial(ask, paths.socket), OneTimePassword(lambda word: _say(f"one-time password: {word}"))
    )
    try:
        server = create_server(
            app, host=host, port=int(port), threads=4, channel_timeout=30, max_request_body_size=16 * 1024, ident=None
        )
    except OSError as error:
        click.echo(
            f"bridgepoint panel: cannot listen on {host}:{port} ({error.strerror or error}); choose another --listen",
            err=True,
        )
        sys.exit(1)
    logging.getLogger("waitress").setLevel(logging.ERROR)
    shown = f"[{host}]" if ":" in host else host
    _say(f"Panel: http://{shown}:{_port(server)}/")
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


def _end(number: int, frame: FrameType | None) -> None:
    sys.exit(0)
