"""Appends lines to the minutes on an SD card that may lose its power, its space or its patience at any moment.

A folder of segments, each a text file of chained lines. The newest is appended to, with one write and one fsync; the
oldest are deleted when there are too many, after a line has noted the hash at which the chain then begins.
"""

import fcntl
import hashlib
import logging
import os
import stat
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from appliance import __version__

from .chain import GENESIS, Entry, sealed
from .clerk import Desk
from .notes import Instant, Kind
from .segments import SpoiledFileError, raw_lines, segment_number, segment_path, segments, size_of

log = logging.getLogger(__name__)

FORMAT = 1
# More than one write holds: what is longer is no torn write, and is left for a person to look at.
MAX_TORN_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """What the minutes may take of the card: segments x (size + one write), some 130 meetings of three hours."""

    segments: int = 16
    segment_bytes: int = 1024 * 1024
    segment_meetings: int = 64


@dataclass(frozen=True, slots=True)
class _Tail:
    """Where the next line goes. `size`: of the segment, up to its last good line."""

    segment: int = 0
    size: int = 0
    meetings: int = 0
    number: int = 0
    hash: str = GENESIS


class ChangedFileError(OSError):
    """Somebody else has touched the newest file: the journal must be opened again."""


class Journal:
    """One writer for one folder. A method that raises OSError has added nothing, and may be tried again."""

    def __init__(self, folder: Path, limits: Limits | None = None) -> None:
        self._folder = folder
        self._limits = limits or Limits()
        self._lock: int | None = None
        self._tail = _Tail()
        self._repairs: list[Mapping[str, Any]] = []

    def open(self) -> Desk:
        """Find the end of the chain. Changes no file; what a power cut tore is cut off with the next write."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o750)
        if self._lock is None:
            self._lock = self._take_lock()
        self._repairs = []
        self._tail = _Tail()
        found = segments(self._folder)
        desk, is_newest = Desk(), True
        for path in reversed(found):
            entries, size = self._good_lines(path)
            if is_newest:
                self._settle_torn(path, size)
                is_newest = False
            if entries:
                last = entries[-1]
                self._tail = replace(self._tail, number=last.number, hash=last.hash)
                for entry in entries:
                    desk = desk.after(entry.fields)
                if path == found[-1]:
                    starts = sum(entry.fields.get("kind") == Kind.START for entry in entries)
                    self._tail = replace(self._tail, meetings=starts)
                break
        return desk

    def append(self, lines: Sequence[Mapping[str, Any]], desk: Desk, at: Instant) -> None:
        """Add lines, all or none. `desk`: as it was before them."""
        lines = [*({**repair, **at.as_fields()} for repair in self._repairs), *lines]
        if not lines:
            return
        tail, limits = self._tail, self._limits
        drop: list[Path] = []
        if tail.size == 0 or tail.size >= limits.segment_bytes or tail.meetings >= limits.segment_meetings:
            tail = replace(tail, segment=tail.segment + (tail.size > 0 or tail.segment == 0), size=0, meetings=0)
            kept = segments(self._folder)
            drop = [path for path in kept if segment_number(path) <= tail.segment - limits.segments]
            lines = [self._header(desk, at), *self._dropped(drop, kept, at), *lines]
        content = b""
        for line in lines:
            raw, digest = sealed(line, tail.number + 1, tail.hash)
            content += raw
            is_start = line["kind"] == Kind.START
            tail = replace(tail, number=tail.number + 1, hash=digest, meetings=tail.meetings + is_start)
        self._write(segment_path(self._folder, tail.segment), content, tail.size)
        self._tail = replace(tail, size=tail.size + len(content))
        self._repairs = []
        for path in drop:
            try:
                path.unlink()
            except OSError as error:
                log.warning("minutes: %s cannot be deleted: %s", path.name, error)

    def close(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    # inside

    def _take_lock(self) -> int:
        descriptor = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(descriptor)
            raise OSError(error.errno, f"{self._folder} is in use by another unit") from error
        return descriptor

    @staticmethod
    def _good_lines(path: Path) -> tuple[list[Entry], int]:
        """The lines that hold, and the size of the file up to the last of them."""
        entries: list[Entry] = []
        size = 0
        try:
            for raw in raw_lines(path):
                if isinstance(raw.content, Entry) and raw.is_whole:
                    entries.append(raw.content)
                    size = raw.end
        except SpoiledFileError as error:
            log.error("minutes: %s", error)
            return [], 0
        return entries, size

    def _settle_torn(self, path: Path, size: int) -> None:
        """Go on in the newest segment, or in the next one where this one is not merely torn."""
        torn = size_of(path) - size
        self._tail = _Tail(segment=segment_number(path), size=size)
        if torn == 0:
            return
        log.warning("minutes: %d bytes at the end of %s are no lines", torn, path.name)
        if torn <= MAX_TORN_BYTES and path.is_file() and not path.is_symlink():
            digest = hashlib.sha256(_bytes_from(path, size)).hexdigest()
            self._repairs.append({"kind": Kind.REPAIRED, "file": path.name, "bytes": torn, "sha256": digest})
        else:
            self._repairs.append({"kind": Kind.REPAIRED, "file": path.name, "bytes": 0})
            self._tail = _Tail(segment=segment_number(path) + 1)

    def _header(self, desk: Desk, at: Instant) -> Mapping[str, Any]:
        about = {"kind": Kind.SEGMENT, "format": FORMAT, "version": __version__}
        return {**about, **at.as_fields(), **desk.as_fields()}

    def _dropped(self, drop: list[Path], kept: list[Path], at: Instant) -> list[Mapping[str, Any]]:
        """A line for each segment to be deleted, with number and hash of its last line: there the chain then begins."""
        lines: list[Mapping[str, Any]] = []
        for path in drop:
            index = kept.index(path)
            entries: list[Entry] = []
            # A block that has gone bad must not end the minutes; the reader is then told that the anchor is not known.
            with suppress(OSError):
                entries = self._good_lines(kept[index + 1])[0] if index + 1 < len(kept) else []
            up_to, anchor = (entries[0].number - 1, entries[0].previous) if entries else (None, None)
            about = {"kind": Kind.DROPPED, "file": path.name, "up_to": up_to, "anchor": anchor}
            lines.append({**about, **at.as_fields()})
        return lines

    def _write(self, path: Path, content: bytes, size: int) -> None:
        """Put content at `size`, whatever stood there, and down to the medium."""
        is_new = not path.exists()
        flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        descriptor = os.open(path, flags, 0o640)
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode) or status.st_size < size:
                raise ChangedFileError(f"{path.name} is not as it was left")
            try:
                if status.st_size > size:
                    os.ftruncate(descriptor, size)
                os.lseek(descriptor, size, os.SEEK_SET)
                left = memoryview(content)
                while left:
                    left = left[os.write(descriptor, left) :]
                os.fsync(descriptor)
            except OSError:
                # What was written in part is not to be read by anybody.
                with suppress(OSError):
                    os.ftruncate(descriptor, size)
                raise
        finally:
            os.close(descriptor)
        if is_new:
            os.fsync(self._lock if self._lock is not None else -1)


def _bytes_from(path: Path, start: int) -> bytes:
    with path.open("rb") as file:
        file.seek(start)
        return file.read(MAX_TORN_BYTES)
