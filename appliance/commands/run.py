"""`bridgepoint run`: the daemon."""

import sys
from collections.abc import Iterator
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
    except (ApplianceError, TooManyBugsError, ExceptionGroup) as error:
        failures = list(_single(error))
        bugs = [failure for failure in failures if not isinstance(failure, ApplianceError | TooManyBugsError)]
        for failure in failures:
            if isinstance(failure, TooManyBugsError):
                click.echo(f"bridgepoint: {failure}; ending, to be started afresh", err=True)
            elif isinstance(failure, ApplianceError):
                click.echo(f"bridgepoint: {failure}", err=True)
        if bugs:
            raise
        sys.exit(1)


def _single(error: Exception) -> Iterator[Exception]:
    """The failures themselves, out of whatever groups the task groups have made of them."""
    if isinstance(error, ExceptionGroup):
        for part in error.exceptions:
            yield from _single(part)
    else:
        yield error
