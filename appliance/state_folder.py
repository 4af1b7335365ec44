"""The folder that a unit keeps its things in: made at the start, and held by one engine at a time."""

import fcntl
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import ApplianceError

log = logging.getLogger(__name__)

LOCK = "engine.lock"


class StateFolderError(ApplianceError):
    """The folder cannot be made, or another engine uses it."""


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold the folder for this engine; two of them would overwrite each other's wishes. Raises StateFolderError.

    The kernel lets go of the lock with the process, however that ends.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StateFolderError(
            f"the state directory {folder} cannot be made: {error.strerror or error}; choose another with --state-dir"
        ) from error
    try:
        descriptor = os.open(folder / LOCK, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        # A card that takes no new file must not keep a room out of its meeting.
        log.warning("the state directory %s is not held against a second engine: %s", folder, error)
        yield
        return
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StateFolderError(
                f"another bridge point uses the state directory {folder}; end it, or choose another with --state-dir"
            ) from error
        yield
    finally:
        os.close(descriptor)
