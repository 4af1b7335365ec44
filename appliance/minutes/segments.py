"""The files of the minutes: where they are, and how they are read without trusting them."""

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .chain import MAX_LINE_BYTES, Entry, SpoiledLineError, opened

# The folder within the unit's state directory.
FOLDER = "minutes"
_NAME = re.compile(r"\d{8}\.jsonl")
# A segment ends at a mebibyte; what is much larger was not written by a unit.
MAX_FILE_BYTES = 4 * 1024 * 1024


class SpoiledFileError(OSError):
    """Something that is no file of the minutes stands in its place: a folder, a link, a FIFO, a film."""


@dataclass(frozen=True, slots=True)
class RawLine:
    """A line as it stands in a file, and the entry it holds or the reason why it holds none."""

    file: str
    line: int
    end: int  # bytes of the file up to here, the line feed included
    is_whole: bool  # ends with a line feed
    content: Entry | SpoiledLineError


def segments(folder: Path) -> list[Path]:
    """The files, oldest first. Raises OSError when the folder is there but cannot be read."""
    try:
        return sorted(path for path in folder.iterdir() if _NAME.fullmatch(path.name))
    except FileNotFoundError:
        return []


def segment_number(path: Path) -> int:
    return int(path.stem)


def segment_path(folder: Path, number: int) -> Path:
    return folder / f"{number:08}.jsonl"


def size_of(path: Path) -> int:
    """0 for what is not there."""
    try:
        return path.lstat().st_size
    except FileNotFoundError:
        return 0


def raw_lines(path: Path) -> Iterator[RawLine]:
    """Every line of a file. Raises OSError when it cannot be read, SpoiledFileError when it is no file of ours."""
    if path.is_symlink():
        raise SpoiledFileError(f"{path.name} is not a file of the minutes")
    # O_NONBLOCK: a FIFO in its place must not hold up the reader.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode) or status.st_size > MAX_FILE_BYTES:
        os.close(descriptor)
        raise SpoiledFileError(f"{path.name} is not a file of the minutes")
    with os.fdopen(descriptor, "rb") as file:
        end = number = 0
        while raw := file.readline(MAX_FILE_BYTES + 1):
            number += 1
            end += len(raw)
            is_whole = raw.endswith(b"\n")
            yield RawLine(path.name, number, end, is_whole, _content(raw.removesuffix(b"\n")))


def _content(line: bytes) -> Entry | SpoiledLineError:
    try:
        return opened(line[: MAX_LINE_BYTES + 1])
    except SpoiledLineError as error:
        return error
