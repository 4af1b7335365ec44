"""What the unit knows of itself: one immutable snapshot, and a way to wait for the next."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from .problems import Problem


class MeetingState(StrEnum):
    """Where the unit stands, as a person sees it."""

    STANDBY = "standby"
    JOINING = "joining"
    LIVE = "live"
    REJOINING = "rejoining"
    FAULT = "fault"  # the MCU refuses us; slow retries go on, and the room is told


class WorkerState(StrEnum):
    STARTING = "starting"
    RUNNING = "running"
    FAILED = "failed"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class MeetingStatus:
    state: MeetingState = MeetingState.STANDBY
    meeting_id: str | None = None
    meeting_name: str | None = None
    since_unix_s: float = 0.0
    attempts: int = 0  # tries since the last time it was live
    reconnects: int = 0  # times the session was lost and came back since joining
    next_try_unix_s: float | None = None


@dataclass(frozen=True, slots=True)
class WorkerStatus:
    state: WorkerState = WorkerState.STOPPED
    pid: int | None = None
    restarts: int = 0


@dataclass(frozen=True, slots=True)
class ApplianceState:
    """The snapshot that panel, TV, lights and command line show."""

    unit_name: str = ""
    language: str = "vi"
    meeting: MeetingStatus = field(default_factory=MeetingStatus)
    muted: bool = True
    camera_on: bool = True
    problems: tuple[Problem, ...] = ()
    workers: Mapping[str, WorkerStatus] = field(default_factory=dict)
    # Numbers of the parts ("camera", "sound", "screen", "session"), as each reports them.
    numbers: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        meeting = self.meeting
        return {
            "unit": {"name": self.unit_name, "language": self.language},
            "meeting": {
                "state": meeting.state.value,
                "id": meeting.meeting_id,
                "name": meeting.meeting_name,
                "since": meeting.since_unix_s,
                "attempts": meeting.attempts,
                "reconnects": meeting.reconnects,
                "next_try": meeting.next_try_unix_s,
            },
            "muted": self.muted,
            "camera_on": self.camera_on,
            "problems": [problem.as_dict() for problem in self.problems],
            "workers": {
                name: {"state": worker.state.value, "pid": worker.pid, "restarts": worker.restarts}
                for name, worker in self.workers.items()
            },
            "numbers": {name: dict(numbers) for name, numbers in self.numbers.items()},
        }


class StateStore:
    """Holds the current snapshot. Only the engine writes; anybody may read or wait."""

    def __init__(self, state: ApplianceState) -> None:
        self._state = state
        self._waiters: set[asyncio.Event] = set()

    @property
    def state(self) -> ApplianceState:
        return self._state

    def update(self, **changes: Any) -> None:
        """Replace fields of the snapshot; equal values wake nobody."""
        new = replace(self._state, **changes)
        if new != self._state:
            self._state = new
            for waiter in self._waiters:
                waiter.set()

    def set_worker(self, name: str, status: WorkerStatus) -> None:
        self.update(workers={**self._state.workers, name: status})

    def set_numbers(self, name: str, numbers: Mapping[str, Any]) -> None:
        self.update(numbers={**self._state.numbers, name: numbers})

    def raise_problem(self, code: str, detail: str = "") -> None:
        """Add a Problem, or refresh its detail; the time it began stays."""
        kept = []
        since = time.time()
        for problem in self._state.problems:
            if problem.code == code:
                since = problem.since_unix_s
            else:
                kept.append(problem)
        self.update(problems=tuple(sorted((*kept, Problem(code, since, detail)), key=lambda p: p.since_unix_s)))

    def clear_problem(self, *codes: str) -> None:
        self.update(problems=tuple(problem for problem in self._state.problems if problem.code not in codes))

    async def changes(self) -> AsyncIterator[ApplianceState]:
        """The snapshot now, then each newer one; a slow reader skips to the newest."""
        wakeup = asyncio.Event()
        wakeup.set()
        self._waiters.add(wakeup)
        try:
            while True:
                await wakeup.wait()
                wakeup.clear()
                yield self._state
        finally:
            self._waiters.discard(wakeup)
