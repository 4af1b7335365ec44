"""Turns snapshots of the unit into notes: what happened in a meeting, and one line of figures a minute. No I/O."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from appliance.state import ApplianceState, MeetingState

from .chain import text
from .figures import Figures
from .notes import Instant, Kind, Note

MINUTE_NS = 60_000_000_000
SAMPLE_NS = 950_000_000
# The wall clock is set, not merely slewed.
CLOCK_STEP_NS = 2_000_000_000
# A line that flaps must not push old meetings out of the minutes; what is left out is counted.
NOTES_PER_MINUTE = 30


@dataclass(slots=True)
class _Attended:
    """The meeting the unit is in, and what was last seen of it."""

    meeting_id: str
    state: MeetingState
    last: Instant
    minute_ns: int  # since when the figures are counted
    due_ns: int
    muted: bool
    camera_on: bool
    figures: Figures
    restarts: dict[str, int]
    problems: set[str] = field(default_factory=set)
    passed_over: set[str] = field(default_factory=set)
    sampled_ns: int = 0
    was_live: bool = False
    live_ns: int = 0
    mic_on_ns: int = 0
    camera_off_ns: int = 0
    reconnects: int = 0
    noted: int = 0
    unlisted: int = 0


class Observer:
    """Follows one unit from its start to its end."""

    def __init__(self) -> None:
        self._attended: _Attended | None = None
        self._has_looked = False

    def look(self, state: ApplianceState, at: Instant) -> list[Note]:
        """Take a snapshot; call it at each change and at least once a second."""
        return list(self._look(state, at))

    def stop(self, at: Instant) -> list[Note]:
        """The unit is being stopped; it returns to the meeting when it starts again."""
        attended = self._attended
        self._attended = None
        if attended is None:
            return []
        self._pass_time(attended, at)
        return [*self._minute(attended, at), Note(Kind.STOPPED, at)]

    def _look(self, state: ApplianceState, at: Instant) -> Iterator[Note]:
        meeting = state.meeting
        wanted = meeting.meeting_id if meeting.state is not MeetingState.STANDBY else None
        attended = self._attended
        if attended is not None and (wanted != attended.meeting_id or _joins_anew(attended, state)):
            self._attended = None
            self._pass_time(attended, at)
            attended.figures.count(state.numbers)
            yield from self._minute(attended, at)
            yield Note(Kind.END, at, {"reason": "left" if wanted in (None, attended.meeting_id) else "changed"})
            attended = None
        if attended is not None:
            yield from self._follow(attended, state, at)
        elif wanted is not None:
            yield from self._begin(wanted, state, at)
        elif not self._has_looked:
            yield Note(Kind.ABSENT, at)
        self._has_looked = True

    def _begin(self, meeting_id: str, state: ApplianceState, at: Instant) -> Iterator[Note]:
        attended = self._attended = _Attended(
            meeting_id=meeting_id,
            state=state.meeting.state,
            last=at,
            minute_ns=at.mono_ns,
            due_ns=at.mono_ns + MINUTE_NS,
            muted=state.muted,
            camera_on=state.camera_on,
            figures=Figures(state.numbers),
            restarts={name: worker.restarts for name, worker in state.workers.items()},
            was_live=state.meeting.state is MeetingState.LIVE,
        )
        yield Note(
            Kind.START,
            at,
            {
                "id": text(meeting_id),
                "name": text(state.meeting.meeting_name),
                "unit": text(state.unit_name),
                "state": state.meeting.state.value,
                "muted": state.muted,
                "camera_on": state.camera_on,
            },
        )
        yield from self._problems(attended, state, at)

    def _follow(self, attended: _Attended, state: ApplianceState, at: Instant) -> Iterator[Note]:
        jumped_ns = (at.wall_ns - attended.last.wall_ns) - (at.mono_ns - attended.last.mono_ns)
        if abs(jumped_ns) >= CLOCK_STEP_NS and self._may_note(attended):
            yield Note(Kind.CLOCK, at, {"jump_ms": jumped_ns // 1_000_000})
        self._pass_time(attended, at)
        if state.meeting.state is not attended.state:
            attended.state = state.meeting.state
            if attended.state is MeetingState.LIVE:
                attended.reconnects += attended.was_live
                attended.was_live = True
            if self._may_note(attended):
                yield Note(Kind.STATE, at, {"state": attended.state.value})
        yield from self._problems(attended, state, at)
        yield from self._switches(attended, state, at)
        for name, worker in state.workers.items():
            if worker.restarts > attended.restarts.get(name, 0) and self._may_note(attended):
                yield Note(Kind.WORKER, at, {"worker": text(name)})
            attended.restarts[name] = worker.restarts
        attended.figures.count(state.numbers)
        if attended.state is MeetingState.LIVE and at.mono_ns - attended.sampled_ns >= SAMPLE_NS:
            attended.sampled_ns = at.mono_ns
            attended.figures.sample(state.numbers)
        if at.mono_ns >= attended.due_ns:
            yield from self._minute(attended, at)
            # Whole minutes from the start: lines that come a little late do not add up.
            attended.due_ns += (1 + (at.mono_ns - attended.due_ns) // MINUTE_NS) * MINUTE_NS

    def _problems(self, attended: _Attended, state: ApplianceState, at: Instant) -> Iterator[Note]:
        present = {problem.code: problem for problem in state.problems}
        for code in sorted(attended.problems - present.keys()):
            attended.problems.discard(code)
            yield Note(Kind.PROBLEM_END, at, {"code": text(code)})
        for code, problem in present.items():
            if code in attended.problems or code in attended.passed_over:
                continue
            if self._may_note(attended):
                attended.problems.add(code)
                yield Note(Kind.PROBLEM, at, {"code": text(code), "detail": text(problem.detail)})
            else:
                # Looked at again with the next minute, so that a lasting one is not missed.
                attended.passed_over.add(code)

    def _switches(self, attended: _Attended, state: ApplianceState, at: Instant) -> Iterator[Note]:
        changed: dict[str, bool] = {}
        if state.muted != attended.muted:
            attended.muted = changed["muted"] = state.muted
        if state.camera_on != attended.camera_on:
            attended.camera_on = changed["camera_on"] = state.camera_on
        if changed and self._may_note(attended):
            yield Note(Kind.SWITCH, at, changed)

    def _pass_time(self, attended: _Attended, at: Instant) -> None:
        """What was true until now gets the time since the last look."""
        passed_ns = at.mono_ns - attended.last.mono_ns
        attended.last = at
        if attended.state is MeetingState.LIVE:
            attended.live_ns += passed_ns
        if not attended.muted:
            attended.mic_on_ns += passed_ns
        if not attended.camera_on:
            attended.camera_off_ns += passed_ns

    def _minute(self, attended: _Attended, at: Instant) -> Iterator[Note]:
        lasted_ns = at.mono_ns - attended.minute_ns
        figures = {
            "span_ms": lasted_ns // 1_000_000,
            "live_ms": attended.live_ns // 1_000_000,
            "mic_on_ms": attended.mic_on_ns // 1_000_000,
            "camera_off_ms": attended.camera_off_ns // 1_000_000,
            "reconnects": attended.reconnects,
            "unlisted": attended.unlisted,
            **attended.figures.take(),
        }
        attended.minute_ns = at.mono_ns
        attended.live_ns = attended.mic_on_ns = attended.camera_off_ns = 0
        attended.reconnects = attended.noted = attended.unlisted = 0
        attended.passed_over.clear()
        if lasted_ns > 0:
            yield Note(Kind.QUALITY, at, figures)

    @staticmethod
    def _may_note(attended: _Attended) -> bool:
        if attended.noted < NOTES_PER_MINUTE:
            attended.noted += 1
            return True
        attended.unlisted += 1
        return False


def _joins_anew(attended: _Attended, state: ApplianceState) -> bool:
    """Left and joined again between two looks: only a new join has no attempts behind it."""
    meeting = state.meeting
    return (
        meeting.state is MeetingState.JOINING and attended.state is not MeetingState.JOINING and meeting.attempts == 0
    )
