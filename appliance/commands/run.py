"""`bridgepoint run`: the daemon."""

import sys
from pathlib import Path

import click

from appliance.errors import ApplianceError
from appliance.paths import Paths


@click.command()
@click.option(
    "--tap-dir",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Record what is captured, shown and heard there, to measure it. Not for use in real meetings.",
)
@click.option("-v", "--verbose", is_flag=True, help="Log more.")
@click.pass_obj
def run(paths: Paths, tap_dir: Path | None, verbose: bool) -> None:
    """Run this bridge point until SIGTERM or Ctrl-C.

    It returns by itself to the meeting that it was in when it stopped or lost its power.
    """
    import uvloop

    from appliance import log
    from appliance.engine import EngineOptions, serve
    from appliance.supervisor import TooManyBugsError

    log.set_up(verbose=verbose)
    try:
        uvloop.run(serve(EngineOptions(paths.state_dir, paths.socket, paths.defaults, tap_dir)))
    except* ApplianceError as errors:
        for error in errors.exceptions:
            click.echo(f"bridgepoint: {error}", err=True)
        sys.exit(1)
    except* TooManyBugsError as errors:
        click.echo(f"bridgepoint: {errors.exceptions[0]}; ending, to be started afresh", err=True)
        sys.exit(1)
