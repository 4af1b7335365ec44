"""What the room wants, on disk, so that a power cut in a meeting ends with the unit back in that meeting."""

import asyncio
import json
import logging
import os
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Intent:
    """What the room wants: which meeting, and what may leave the room."""

    meeting_id: str | None = None
    muted: bool = True
    camera_on: bool = True


class IntentFile:
    """The intent on disk, replaced atomically. A spoiled file is the safe intent: no meeting, muted."""

    def __init__(self, path: Path, first: Intent | None = None) -> None:
        """`first`: what a unit wants that has never been asked."""
        self._path = path
        self._first = first or Intent()
        self._writing = asyncio.Lock()
        self._wanted = Intent()

    def load(self) -> Intent:
        try:
            raw = json.loads(self._path.read_bytes())
            meeting_id, muted, camera_on = raw["meeting_id"], raw["muted"], raw["camera_on"]
            if not (meeting_id is None or isinstance(meeting_id, str)):
                raise TypeError("meeting_id is not a text")
            if not (isinstance(muted, bool) and isinstance(camera_on, bool)):
                raise TypeError("muted or camera_on is neither true nor false")
            self._wanted = Intent(meeting_id, muted, camera_on)
        except FileNotFoundError:
            self._wanted = self._first
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            log.warning("intent file %s cannot be read (%s): starting in standby", self._path, error)
            self._wanted = Intent()
        return self._wanted

    async def save(self, intent: Intent) -> None:
        """Write the newest intent; calls that overlap write once more, never out of order."""
        self._wanted = intent
        async with self._writing:
            # An fsync on an SD card may take half a second: not in the loop that sends packets.
            await asyncio.to_thread(self._write, self._wanted)

    def _write(self, intent: Intent) -> None:
        scratch = self._path.with_suffix(".new")
        try:
            with scratch.open("w", encoding="utf-8") as file:
                json.dump(asdict(intent), file)
                file.flush()
                os.fsync(file.fileno())
            scratch.replace(self._path)
        except OSError:
            with suppress(OSError):
                scratch.unlink(missing_ok=True)
            raise
        folder = os.open(self._path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
