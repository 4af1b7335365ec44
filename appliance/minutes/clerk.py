"""Makes lines of notes: numbers the meetings, and tells whether a unit that starts goes on with the one it was in."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

from .chain import text, whole
from .notes import Instant, Kind, Note

# A unit that was off for longer returns to a meeting of the same name, not to the same meeting.
RESUME_LIMIT_MS = 4 * 3600 * 1000

Line = dict[str, Any]


@dataclass(frozen=True, slots=True)
class OpenMeeting:
    """A meeting that has no end yet, and its last line."""

    number: int
    meeting_id: str
    wall_ms: int
    mono_ms: int
    boot: str
    stopped: bool = False

    def as_fields(self) -> Line:
        return {
            "meeting": self.number,
            "id": self.meeting_id,
            "t": self.wall_ms,
            "ms": self.mono_ms,
            "boot": self.boot,
            "stopped": self.stopped,
        }


@dataclass(frozen=True, slots=True)
class Desk:
    """What a clerk must know to write the next line. A value: what could not be written has not happened."""

    last_meeting: int = 0
    open: OpenMeeting | None = None
    # Whether this process has written: then a meeting that is open was never left by the unit.
    has_written: bool = False

    def as_fields(self) -> Line:
        return {"meetings": self.last_meeting, "open": self.open.as_fields() if self.open is not None else None}

    def after(self, line: Mapping[str, Any]) -> Self:
        """The desk after a line; also when lines are read back, so it doubts every field."""
        kind, number = line.get("kind"), whole(line.get("meeting"))
        if kind == Kind.SEGMENT:
            return replace(self, last_meeting=whole(line.get("meetings")) or 0, open=_open_of(line.get("open")))
        if number is None:
            return self
        if kind == Kind.END:
            return replace(self, open=None)
        last = max(number, self.last_meeting)
        if kind in (Kind.START, Kind.RESUMED):
            return replace(self, last_meeting=last, open=_open_of({**line, "stopped": False}))
        if self.open is None or number != self.open.number:
            return self
        wall, mono = whole(line.get("t")), whole(line.get("ms"))
        if wall is None or mono is None:
            return self
        return replace(self, open=replace(self.open, wall_ms=wall, mono_ms=mono, stopped=kind == Kind.STOPPED))


@dataclass(frozen=True, slots=True)
class Clerk:
    """`boot` tells one start of the machine from another, as MediaClock begins anew with each."""

    boot: str
    version: str

    def lines(self, desk: Desk, note: Note) -> list[Line]:
        """The lines that a note makes; to be asked again with the same desk if they cannot be written."""
        open_meeting = desk.open
        match note.kind:
            case Kind.START:
                return self._start(desk, note)
            case Kind.ABSENT:
                return [] if open_meeting is None else [self._interrupted(open_meeting, note.at)]
            case Kind.LINES_LOST:
                return [_line(note.kind, note.at, None if open_meeting is None else open_meeting.number, note.fields)]
            case _:
                # Its start was among the notes that were let go.
                return [] if open_meeting is None else [_line(note.kind, note.at, open_meeting.number, note.fields)]

    def _start(self, desk: Desk, note: Note) -> list[Line]:
        here = {**note.fields, "boot": self.boot, "version": self.version}
        lines: list[Line] = []
        if desk.open is not None:
            same = text(desk.open.meeting_id) == note.fields["id"]
            gap = self._gap(desk.open, note.at) if same else None
            if gap is not None:
                after = "stop" if desk.open.stopped else "watch" if desk.has_written else "cut"
                return [_line(Kind.RESUMED, note.at, desk.open.number, {**here, **gap, "after": after})]
            lines.append(self._interrupted(desk.open, note.at))
        return [*lines, _line(Kind.START, note.at, desk.last_meeting + 1, here)]

    def _gap(self, left: OpenMeeting, at: Instant) -> Line | None:
        """How long nothing was written, and by which clock (0 where it went back); None when that was too long."""
        now = at.as_fields()
        by, gap_ms = "wall", max(0, now["t"] - left.wall_ms)
        if left.boot == self.boot and now["ms"] >= left.mono_ms:
            by, gap_ms = "mono", now["ms"] - left.mono_ms
        return {"gap_ms": gap_ms, "gap_by": by} if gap_ms <= RESUME_LIMIT_MS else None

    @staticmethod
    def _interrupted(left: OpenMeeting, at: Instant) -> Line:
        return _line(Kind.END, at, left.number, {"reason": "interrupted"})


def _line(kind: Kind, at: Instant, meeting: int | None, fields: Mapping[str, Any]) -> Line:
    return {"kind": kind.value, **at.as_fields(), **({} if meeting is None else {"meeting": meeting}), **fields}


def _open_of(value: object) -> OpenMeeting | None:
    if not isinstance(value, Mapping):
        return None
    number, wall, mono = whole(value.get("meeting")), whole(value.get("t")), whole(value.get("ms"))
    if number is None or wall is None or mono is None:
        return None
    return OpenMeeting(
        number, text(value.get("id")), wall, mono, text(value.get("boot")), stopped=value.get("stopped") is True
    )
