"""What the commands that ask the engine share: the question, the exit status, errors for people and for programs."""

import errno
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import click

from appliance.control.blocking import ask
from appliance.errors import ControlError
from appliance.paths import Paths

FAILED, BAD_INPUT, NOT_RUNNING = 1, 2, 3

json_option: Callable[[Callable[..., Any]], Callable[..., Any]] = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object."
)


def question(paths: Paths, do: str, *, as_json: bool, **arguments: Any) -> Any:
    """Ask the engine; when it refuses or is not there, say so and end."""
    try:
        return ask(paths.socket, do, **arguments)
    except ControlError as error:
        fail(error, as_json=as_json)


def fail(error: ControlError, *, as_json: bool) -> NoReturn:
    """End with the error, as one JSON object on stdout or as a sentence on stderr."""
    if as_json:
        print_json({"error": {"code": error.code, "message": str(error)}})
    else:
        click.echo(f"bridgepoint: {error}", err=True)
    sys.exit(NOT_RUNNING if error.code == "not-running" else FAILED)


def print_json(value: Any) -> None:
    click.echo(json.dumps(value, ensure_ascii=False))


def write_whole(path: Path, content: bytes) -> None:
    """The whole file or none: a picture or table cut off would be taken for a fault of the unit."""
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        scratch.write_bytes(content)
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)
