"""A pretended unit whose meetings become minutes: fake snapshots, a fake clock, real files."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from appliance.minutes.clerk import Clerk
from appliance.minutes.journal import Journal, Limits
from appliance.minutes.keeper import Book
from appliance.minutes.notes import Instant, Note
from appliance.minutes.observer import Observer
from appliance.minutes.reading import Chain, Walk, meetings
from appliance.minutes.record import Record, record_of
from appliance.problems import Problem
from appliance.state import ApplianceState, MeetingState, MeetingStatus, WorkerState, WorkerStatus

NS = 1_000_000_000
# 25 November 2026, 08:00 in Việt Nam.
MORNING_NS = 1_795_568_400 * NS


@dataclass
class FakeUnit:
    """Runs at the test's pace. `folder`: its minutes, written at once."""

    folder: Path
    limits: Limits | None = None
    wall_ns: int = MORNING_NS
    mono_ns: int = 1000 * NS
    boot: str = "boot-1"
    state: ApplianceState = field(default_factory=lambda: ApplianceState(unit_name="Xã Tân Lập"))
    notes: list[Note] = field(default_factory=list)
    rates: dict[str, dict[str, float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.state = replace(
            self.state, workers={name: WorkerStatus(WorkerState.RUNNING, 7) for name in ("camera", "sound", "screen")}
        )
        self._counted: dict[tuple[str, str], float] = {}
        self.good_line()
        self.start()

    def start(self) -> None:
        """A new process of the unit: it looks at itself for the first time."""
        self.observer = Observer()
        self.book = Book(Journal(self.folder, self.limits), Clerk(self.boot, "0.1.0"))

    @property
    def now(self) -> Instant:
        return Instant(self.wall_ns, self.mono_ns)

    # what goes on

    def good_line(self) -> None:
        self.rates = {
            "session": {
                "video_out_frames_sent": 30,
                "video_out_packets_sent": 230,
                "video_out_bytes_sent": 250_000,
                "video_out_packets_lost": 0,
                "audio_out_packets_sent": 50,
                "audio_out_bytes_sent": 6_000,
                "video_in_packets_received": 230,
                "video_in_packets_lost": 0,
                "video_in_bytes": 250_000,
                "audio_in_packets_received": 50,
                "audio_in_packets_lost": 0,
                "audio_in_concealed": 0,
            },
            "screen": {"shown": 30, "freezes": 0, "freeze_ms": 0, "decode_errors": 0},
        }

    def bad_line(self, lost: float, freeze_ms: float = 0, concealed: float = 0) -> None:
        self.rates["session"] |= {"video_in_packets_lost": 230 * lost, "audio_in_concealed": concealed}
        self.rates["screen"] |= {"freeze_ms": freeze_ms, "freezes": 1 if freeze_ms else 0}

    def look(self) -> Sequence[Note]:
        found = self.observer.look(self.state, self.now)
        self.notes += found
        if found:
            self.book.write(found)
        return found

    def set(self, **changes: Any) -> None:
        self.state = replace(self.state, **changes)
        self.look()

    def meeting(
        self, state: MeetingState, meeting_id: str = "giao-ban", name: str = "Giao ban tháng 11", **more: Any
    ) -> None:
        if state is MeetingState.STANDBY:
            self.set(meeting=MeetingStatus(state))
            return
        if state is MeetingState.LIVE and self.state.meeting.state is not state:
            # A new session counts from zero.
            self._counted = {place: value for place, value in self._counted.items() if place[0] != "session"}
        self.set(meeting=MeetingStatus(state, meeting_id, name, **more))

    def join(self, meeting_id: str = "giao-ban", name: str = "Giao ban tháng 11") -> None:
        self.meeting(MeetingState.JOINING, meeting_id, name)
        self.run(1.5)
        self.meeting(MeetingState.LIVE, meeting_id, name)

    def leave(self) -> None:
        self.meeting(MeetingState.STANDBY)

    def lose(self, seconds: float, tries: int = 1) -> None:
        """The line is cut, and comes back."""
        now = self.state.meeting
        self.problem("connection-lost", "nothing arrived for 2.25 s")
        self.meeting(MeetingState.REJOINING, str(now.meeting_id), str(now.meeting_name), attempts=tries)
        self.run(seconds)
        self.meeting(MeetingState.LIVE, str(now.meeting_id), str(now.meeting_name))
        self.no_problem("connection-lost")

    def problem(self, code: str, detail: str = "") -> None:
        self.set(problems=(*self.state.problems, Problem(code, self.wall_ns / NS, detail)))

    def no_problem(self, code: str) -> None:
        self.set(problems=tuple(problem for problem in self.state.problems if problem.code != code))

    def worker_dies(self, name: str) -> None:
        worker = self.state.workers[name]
        self.set(workers={**self.state.workers, name: replace(worker, restarts=worker.restarts + 1)})

    def run(self, seconds: float, step_s: float = 1.0) -> None:
        """Let time pass, and what is counted grow."""
        left = seconds
        while left > 1e-9:
            step = min(step_s, left)
            left -= step
            self.pass_time(step)
            if self.state.meeting.state is MeetingState.LIVE:
                self._count(step)
            elif "session" in self.state.numbers:
                self.state = replace(self.state, numbers={**self.state.numbers, "session": {}})
                self._counted = {place: value for place, value in self._counted.items() if place[0] != "session"}
            self.look()

    def pass_time(self, seconds: float) -> None:
        self.wall_ns += round(seconds * NS)
        self.mono_ns += round(seconds * NS)

    def _count(self, seconds: float) -> None:
        numbers: dict[str, dict[str, Any]] = {}
        for part, rates in self.rates.items():
            for key, rate in rates.items():
                value = self._counted.get((part, key), 0) + rate * seconds
                self._counted[part, key] = value
                numbers.setdefault(part, {})[key] = int(value)
        numbers["session"] |= {"video_out_rtt_ms": 24.6, "video_in_jitter_ms": 3.1, "audio_in_buffer_ms": 60.0}
        numbers["sound"] = {"level_dbfs": -31.4, "out_level_dbfs": -28.0, "xruns": 0}
        numbers["camera"] = {"bitrate_bps": 2_000_000}
        self.state = replace(self.state, numbers=numbers)

    # ends of the process

    def stop(self) -> None:
        """systemd stops the unit."""
        found = self.observer.stop(self.now)
        self.notes += found
        if found:
            self.book.write(found)
        self.book.close()

    def killed(self) -> None:
        """The process is gone; nothing is said."""
        self.book.close()

    def power_returns(self, after_s: float, boot: str = "boot-2") -> None:
        """The machine starts again: MediaClock begins anew."""
        self.wall_ns += round(after_s * NS)
        self.mono_ns = 20 * NS
        self.boot = boot
        self._counted.clear()
        self.state = replace(self.state, numbers={}, meeting=MeetingStatus())
        self.start()

    # what stands in the files

    def records(self) -> list[Record]:
        return [record_of(held) for held in meetings(Walk(self.folder))]

    def record(self) -> Record:
        return self.records()[-1]

    def chain(self) -> Chain:
        return chain_of(self.folder)


def chain_of(folder: Path, wanted: str | None = None) -> Chain:
    walk = Walk(folder, wanted)
    for _ in walk:
        pass
    return walk.chain
