"""One meeting as its lines tell it: times, minutes, faults, totals. Trusts no field, whoever may have written it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from .chain import MAX_WHOLE, text, whole
from .clerk import RESUME_LIMIT_MS
from .figures import COUNTERS, GAUGES
from .notes import Kind
from .reading import Held

# 31 December 9999: what calendars can show.
MAX_WALL_MS = 253_402_214_400_000
MINUTE_MS = 60_000
SUMS = ("span_ms", "live_ms", "mic_on_ms", "camera_off_ms", "reconnects", "unlisted", *COUNTERS)


class Status(StrEnum):
    ENDED = "ended"
    INTERRUPTED = "interrupted"  # the unit lost its power, and did not return to the meeting
    OPEN = "open"  # no end yet: the meeting goes on, or the unit is off


class Cause(StrEnum):
    """Faults that are not Problems of the catalogue."""

    WORKER = "worker-restarted"
    CUT = "unit-cut"
    CRASHED = "program-cut"  # the machine itself went on
    STOPPED = "unit-stopped"
    UNWATCHED = "minutes-restarted"


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that was wrong. `lasted_ms`: None for a moment. `is_over`: False when the meeting ended first."""

    code: str
    began_ms: int
    lasted_ms: int | None
    detail: str = ""
    is_over: bool = True


@dataclass(frozen=True, slots=True)
class Minute:
    """About a minute: where it begins and what was counted."""

    began_ms: int
    figures: Mapping[str, int]

    def __getitem__(self, name: str) -> int:
        return self.figures.get(name, 0)


@dataclass(frozen=True, slots=True)
class Happening:
    """One line as people read it. `at_ms`: by the wall clock as it was set at the end."""

    at_ms: int
    kind: str
    fields: Mapping[str, Any]


@dataclass(slots=True)
class Record:
    """All of one meeting. Wall times are Unix ms, by the clock as it was set last."""

    number: int
    unit: str = ""
    meeting_id: str = ""
    meeting_name: str = ""
    version: str = ""
    status: Status = Status.OPEN
    began_ms: int = 0
    ended_ms: int = 0  # the last that is known where there is no end
    duration_ms: int = 0
    join_ms: int | None = None  # from the start until it was live; None: never
    longest_outage_ms: int = 0
    interruptions: int = 0
    clock_jump_ms: int = 0
    lacks_start: bool = False
    first_line: int = 0
    last_line: int = 0
    hash: str = ""
    proven: bool = True
    faults: list[Fault] = field(default_factory=list)
    minutes: list[Minute] = field(default_factory=list)
    happenings: list[Happening] = field(default_factory=list)
    totals: dict[str, int] = field(default_factory=dict)

    def total(self, name: str) -> int:
        return self.totals.get(name, 0)


@dataclass(slots=True)
class _Run:
    """From a start or a return of the unit to its next: MediaClock counts through."""

    lines: list[Mapping[str, Any]] = field(default_factory=list)

    def wall(self, fields: Mapping[str, Any]) -> int:
        """The wall time of a line, as the clock went at the run's last line: it was set right in between, if at all."""
        last = self.lines[-1]
        return max(0, min(MAX_WALL_MS, _time(last, "t") - (_time(last, "ms") - _time(fields, "ms"))))

    @property
    def lasted_ms(self) -> int:
        return max(0, _time(self.lines[-1], "ms") - _time(self.lines[0], "ms"))


def record_of(held: Sequence[Held]) -> Record:
    """Make the record of one meeting's lines."""
    fields = [line.entry.fields for line in held]
    record = Record(number=whole(fields[0].get("meeting")) or 0)
    record.first_line, record.last_line = held[0].entry.number, held[-1].entry.number
    record.hash = held[-1].entry.hash
    record.proven = all(line.proven for line in held)
    record.lacks_start = fields[0].get("kind") != Kind.START
    last_known = [line for line in fields if not _is_late_end(line)]
    if fields[-1].get("kind") == Kind.END:
        record.status = Status.INTERRUPTED if _is_late_end(fields[-1]) else Status.ENDED
    for line in fields:
        if line.get("kind") in (Kind.START, Kind.RESUMED):
            _introduce(record, line)
    runs = _runs(last_known)
    if runs:
        record.began_ms = runs[0].wall(runs[0].lines[0])
        record.ended_ms = runs[-1].wall(runs[-1].lines[-1])
    record.duration_ms = sum(run.lasted_ms for run in runs)
    open_faults: dict[str, Fault] = {}
    for index, run in enumerate(runs):
        if index:
            _tell_gap(record, runs[index - 1], run)
        _tell_run(record, run, open_faults)
        _close_all(record, run, open_faults)
    record.faults.sort(key=lambda fault: fault.began_ms)
    record.totals = {name: sum(minute[name] for minute in record.minutes) for name in SUMS}
    return record


def _runs(lines: Sequence[Mapping[str, Any]]) -> list[_Run]:
    runs: list[_Run] = []
    for line in lines:
        if not runs or line.get("kind") in (Kind.START, Kind.RESUMED):
            runs.append(_Run())
        runs[-1].lines.append(line)
    return runs


def _introduce(record: Record, line: Mapping[str, Any]) -> None:
    record.unit = text(line.get("unit"))
    record.meeting_id = text(line.get("id"))
    record.meeting_name = text(line.get("name")) or record.meeting_id
    record.version = text(line.get("version"))


def _tell_gap(record: Record, before: _Run, after: _Run) -> None:
    line = after.lines[0]
    left_ms, back_ms = before.wall(before.lines[-1]), after.wall(line)
    gap_ms = min(whole(line.get("gap_ms")) or 0, MAX_WALL_MS)
    # A board without a battery starts with a clock long gone, which is set a little later.
    if line.get("gap_by") == "wall" and 0 <= back_ms - left_ms <= RESUME_LIMIT_MS:
        gap_ms = back_ms - left_ms
    record.duration_ms += gap_ms
    match line.get("after"):
        case "stop":
            cause = Cause.STOPPED
        case "watch":
            cause = Cause.UNWATCHED
        case _:
            cause = Cause.CRASHED if line.get("gap_by") == "mono" else Cause.CUT
    if cause is not Cause.UNWATCHED:
        record.interruptions += 1
        record.longest_outage_ms = max(record.longest_outage_ms, gap_ms)
    record.faults.append(Fault(cause.value, left_ms, gap_ms))
    # Minutes of which nothing is known but whether the call stood.
    for start_ms in range(0, gap_ms, MINUTE_MS):
        span_ms = min(MINUTE_MS, gap_ms - start_ms)
        live_ms = span_ms if cause is Cause.UNWATCHED else 0
        record.minutes.append(Minute(left_ms + start_ms, {"span_ms": span_ms, "live_ms": live_ms}))


def _tell_run(record: Record, run: _Run, open_faults: dict[str, Fault]) -> None:
    left_live_ms: int | None = None
    is_live = False
    last_ms = told_ms = run.wall(run.lines[0])
    untold_live_ms = 0
    for line in run.lines:
        at_ms, kind = run.wall(line), line.get("kind")
        untold_live_ms += is_live * max(0, at_ms - last_ms)
        last_ms = at_ms
        if kind == Kind.QUALITY:
            told_ms, untold_live_ms = at_ms, 0
            figures = _figures(line)
            record.minutes.append(Minute(max(0, at_ms - figures["span_ms"]), figures))
            continue
        record.happenings.append(Happening(at_ms, text(kind), line))
        if kind in (Kind.START, Kind.RESUMED, Kind.STATE):
            now_live = line.get("state") == "live"
            if now_live and record.join_ms is None:
                record.join_ms = max(0, at_ms - record.began_ms)
            if is_live and not now_live:
                left_live_ms = at_ms
            if now_live and left_live_ms is not None:
                record.longest_outage_ms = max(record.longest_outage_ms, at_ms - left_live_ms)
            is_live = now_live
        elif kind == Kind.PROBLEM:
            code = text(line.get("code"))
            open_faults[code] = Fault(code, at_ms, None, text(line.get("detail")))
        elif kind == Kind.PROBLEM_END:
            fault = open_faults.pop(text(line.get("code")), None)
            if fault is not None:
                record.faults.append(Fault(fault.code, fault.began_ms, max(0, at_ms - fault.began_ms), fault.detail))
        elif kind == Kind.WORKER:
            record.faults.append(Fault(Cause.WORKER.value, at_ms, None, text(line.get("worker"))))
        elif kind == Kind.CLOCK:
            record.clock_jump_ms += integer(line.get("jump_ms"))
    if last_ms > told_ms:
        # The unit was cut off before it told of its last minute.
        record.minutes.append(Minute(told_ms, {"span_ms": last_ms - told_ms, "live_ms": untold_live_ms}))
    if not is_live and left_live_ms is not None:
        record.longest_outage_ms = max(record.longest_outage_ms, last_ms - left_live_ms)


def _close_all(record: Record, run: _Run, open_faults: dict[str, Fault]) -> None:
    """What still was wrong when the meeting, or the unit, ended."""
    end_ms = run.wall(run.lines[-1])
    for fault in open_faults.values():
        lasted_ms = max(0, end_ms - fault.began_ms)
        record.faults.append(Fault(fault.code, fault.began_ms, lasted_ms, fault.detail, is_over=False))
    open_faults.clear()


def _is_late_end(line: Mapping[str, Any]) -> bool:
    """Written when the unit came back: its time is not that of the end."""
    return line.get("kind") == Kind.END and line.get("reason") == "interrupted"


def _figures(line: Mapping[str, Any]) -> dict[str, int]:
    figures = {name: min(whole(line.get(name)) or 0, MAX_WALL_MS) for name in SUMS if name in line}
    figures["span_ms"] = figures.get("span_ms", 0)
    return figures | {name: integer(line[name]) for name in GAUGES if name in line}


def integer(value: object) -> int:
    """A whole number of either sign; 0 for anything else."""
    return value if type(value) is int and abs(value) <= MAX_WHOLE else 0


def _time(line: Mapping[str, Any], key: str) -> int:
    return min(whole(line.get(key)) or 0, MAX_WALL_MS)
