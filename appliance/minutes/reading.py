"""Walks the whole chain, oldest line first, checks every link, and gives out the lines that hold."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from appliance.errors import MinutesError

from .chain import GENESIS, Entry, Spoiled, is_hash, whole
from .notes import Kind
from .segments import RawLine, SpoiledFileError, raw_lines, segments


class Fault(StrEnum):
    """What is wrong at the first broken line."""

    UNREADABLE = "unreadable"  # not a line at all
    FORM = "form"  # right content in a form that no unit writes
    CHANGED = "changed"  # its own hash is wrong
    MISSING = "missing"  # lines before it are gone
    REPEATED = "repeated"  # stands twice, or in a wrong place
    REPLACED = "replaced"  # whole in itself, but not the line that stood here
    BEGINNING = "beginning"  # lines before the first one are gone, and no unit has noted that it dropped them
    FILE = "file"  # not a file


@dataclass(frozen=True, slots=True)
class Break:
    """The first place where the chain does not hold. `number`: of the line that should stand there."""

    fault: Fault
    file: str
    line: int
    number: int
    found_number: int | None = None


@dataclass(slots=True)
class Chain:
    """What the walk has found."""

    lines: int = 0  # that hold
    first: int | None = None
    last: int = 0
    head: str = GENESIS
    dropped: int = 0  # lines that the unit has dropped for their age
    broken: Break | None = None
    torn: bool = False  # the last line was being written when the power went
    repairs: int = 0
    lines_lost: int = 0
    files: int = 0
    starts: set[int] = field(default_factory=set)  # meetings whose first line holds
    found: int | None = None  # the line with the hash that was looked for


@dataclass(frozen=True, slots=True)
class Held:
    """A line that holds in itself. `proven`: and so does the whole chain up to it."""

    entry: Entry
    proven: bool


class Walk:
    """Iterate it once; then `chain` is complete. Raises MinutesError when the folder cannot be read."""

    def __init__(self, folder: Path, wanted: str | None = None) -> None:
        """`wanted`: a hash to look for."""
        self.chain = Chain()
        self.folder = folder
        self._wanted = wanted
        self._anchors: set[tuple[int, str]] = set()
        self._before_first: tuple[int, str] | None = None
        self._first_place = ("", 0)

    def __iter__(self) -> Iterator[Held]:
        try:
            paths = segments(self.folder)
        except OSError as error:
            raise MinutesError(f"{self.folder} cannot be read: {error.strerror or error}") from error
        for path in paths:
            self.chain.files += 1
            yield from self._file(path, is_newest=path == paths[-1])
        self._check_beginning()

    def _file(self, path: Path, *, is_newest: bool) -> Iterator[Held]:
        place = 0
        try:
            for raw in raw_lines(path):
                place = raw.line
                if is_newest and not raw.is_whole:
                    self.chain.torn = True
                elif isinstance(raw.content, Entry):
                    self._link(raw, raw.content)
                    yield Held(raw.content, self.chain.broken is None)
                else:
                    fault = {Spoiled.UNREADABLE: Fault.UNREADABLE, Spoiled.FORM: Fault.FORM}
                    self._break(fault.get(raw.content.why, Fault.CHANGED), raw.file, raw.line)
        except SpoiledFileError:
            self._break(Fault.FILE, path.name, 0)
        except OSError:
            self._break(Fault.UNREADABLE, path.name, place + 1)

    def _link(self, raw: RawLine, entry: Entry) -> None:
        """One more line: does it follow the one before?"""
        chain = self.chain
        if chain.broken is not None:
            return
        if chain.first is None:
            chain.first = entry.number
            self._before_first = (entry.number - 1, entry.previous)
            self._first_place = (raw.file, raw.line)
        elif entry.number > chain.last + 1:
            self._break(Fault.MISSING, raw.file, raw.line, entry.number)
        elif entry.number <= chain.last:
            self._break(Fault.REPEATED, raw.file, raw.line, entry.number)
        elif entry.previous != chain.head:
            self._break(Fault.REPLACED, raw.file, raw.line, entry.number)
        if chain.broken is None:
            chain.lines += 1
            chain.last, chain.head = entry.number, entry.hash
            if entry.hash == self._wanted:
                chain.found = entry.number
            self._note(entry)

    def _note(self, entry: Entry) -> None:
        chain, fields = self.chain, entry.fields
        number = whole(fields.get("meeting"))
        match fields.get("kind"):
            case Kind.START if number is not None:
                chain.starts.add(number)
            case Kind.REPAIRED:
                chain.repairs += 1
            case Kind.LINES_LOST:
                chain.lines_lost += whole(fields.get("count")) or 0
            case Kind.DROPPED:
                up_to, anchor = whole(fields.get("up_to")), fields.get("anchor")
                if up_to is not None and is_hash(anchor):
                    self._anchors.add((up_to, str(anchor)))

    def _check_beginning(self) -> None:
        """The first line is line 1, or follows one that the unit has dropped and noted."""
        before = self._before_first
        if before is None or before == (0, GENESIS):
            return
        if before in self._anchors:
            self.chain.dropped = before[0]
        elif self.chain.broken is None:
            self.chain.broken = Break(Fault.BEGINNING, *self._first_place, 1, before[0] + 1)

    def _break(self, fault: Fault, file: str, line: int, found: int | None = None) -> None:
        if self.chain.broken is None:
            self.chain.broken = Break(fault, file, line, self.chain.last + 1, found)


def meetings(walk: Walk) -> Iterator[list[Held]]:
    """The lines of each meeting, one meeting after another: never more than one is open."""

    def number(held: Held) -> int | None:
        return whole(held.entry.fields.get("meeting"))

    for found, lines in itertools.groupby((held for held in walk if number(held) is not None), number):
        if found is not None:
            yield list(lines)
