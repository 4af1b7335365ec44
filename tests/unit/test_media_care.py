"""The watchdog in the engine: what it reads from the unit's state, and whom it commands."""

import asyncio
from typing import Any, cast

import pytest

from appliance.errors import UplinkError
from appliance.media_care import MediaCare
from appliance.routing import MediaRouter
from appliance.settings import Settings
from appliance.state import ApplianceState, MeetingState, MeetingStatus, StateStore, WorkerState, WorkerStatus

from .test_routing import RecordedSession

S = 1_000_000_000


class CountingSession(RecordedSession):
    """A session whose counters the test moves."""

    def __init__(self) -> None:
        super().__init__()
        self.counters: dict[str, Any] = {}

    def numbers(self) -> dict[str, Any]:
        return self.counters


class Room:
    """A live meeting in which everything flows, but for what the test stops."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        workers = {
            name: WorkerStatus(WorkerState.RUNNING, pid) for pid, name in enumerate(("camera", "sound", "screen"))
        }
        meeting = MeetingStatus(state=MeetingState.LIVE, meeting_id="a")
        self.store = StateStore(ApplianceState(workers=workers, meeting=meeting, muted=False))
        self.session = CountingSession()
        self.router = MediaRouter(Settings(), self.store, lambda: self.session, None)
        self.commands: list[dict[str, Any]] = []
        self.replaced: list[str] = []
        self.renewed: list[UplinkError] = []
        for name in ("camera", "sound", "screen"):
            worker = getattr(self.router, name)
            monkeypatch.setattr(worker, "command", lambda message: self.commands.append(message) or True)
            monkeypatch.setattr(worker, "replace", lambda reason, name=name: self.replaced.append(name))
        self.now_ns = 0
        self.care = MediaCare(
            self.store,
            self.router,
            lambda: cast("Any", self.session),
            self.renewed.append,
            promises_sound=True,
            now_ns=lambda: self.now_ns,
        )
        self.tick = 0
        self.stopped: set[str] = set()
        self.values: dict[str, Any] = {}

    def _value(self, name: str) -> Any:
        if name not in self.stopped:
            self.values[name] = self.tick
        return self.values.get(name, 0)

    def spend(self, seconds: float) -> None:
        for _ in range(round(seconds * 4)):
            self.tick += 1
            self.now_ns += S // 4
            self.store.set_numbers("camera", {"frames": self._value("camera")})
            self.store.set_numbers("screen", {"shown": self._value("shown")})
            silent = "sound" in self.stopped
            self.store.set_numbers("sound", {"captured": self.tick, "level_dbfs": -96.0 if silent else -40.0})
            self.session.counters = {
                "video_out_packets_sent": self.tick,
                "video_out_acknowledged": self._value("acknowledged"),
                "far_frames": self._value("far"),
                "link_in_packets_received": self._value("packets"),
            }
            self.care.look()

    @property
    def problems(self) -> list[str]:
        return [problem.code for problem in self.store.state.problems]


@pytest.fixture
async def room(monkeypatch: pytest.MonkeyPatch) -> Room:
    return Room(monkeypatch)


async def test_a_meeting_in_which_everything_flows_is_left_alone(room: Room) -> None:
    room.spend(120)
    assert (room.commands, room.replaced, room.renewed, room.problems) == ([], [], [], [])
    assert room.session.keyframes == 0


async def test_a_camera_that_gives_nothing_is_commanded_then_replaced_by_one_with_smaller_pictures(room: Room) -> None:
    room.spend(5)
    room.stopped = {"camera"}
    room.spend(2.5)
    assert [command["cmd"] for command in room.commands] == ["keyframe", "encoder"]
    assert room.problems == ["picture-stuck"]
    room.spend(1)
    assert room.replaced == ["camera"]
    video = room.router._camera_setup()["video"]
    assert (video["width"], video["height"]) == (640, 360)
    room.spend(4)
    assert room.replaced == ["camera", "camera"]
    room.stopped = set()
    room.spend(5)
    assert room.problems == []
    assert room.store.state.numbers["watchdog"]["camera_worker"] == 1


async def test_the_whole_picture_returns_when_the_meeting_is_over(room: Room) -> None:
    room.spend(5)
    room.stopped = {"camera"}
    room.spend(4)
    room.stopped = set()
    room.store.update(meeting=MeetingStatus())
    room.spend(1)
    assert room.router._camera_setup()["video"]["width"] == 1280


async def test_sound_without_a_picture_is_a_problem_within_five_seconds(room: Room) -> None:
    room.stopped = {"far", "shown"}
    room.spend(5)
    assert room.problems == ["no-far-picture"]
    assert room.session.keyframes == 1
    room.spend(120)
    assert room.renewed == [], "nobody has promised a picture"
    room.stopped = set()
    room.spend(5)
    assert room.problems == []


async def test_a_picture_that_ceases_while_the_sound_goes_on_costs_one_new_session(room: Room) -> None:
    room.spend(5)
    room.stopped = {"far", "shown"}
    room.spend(20)
    assert len(room.renewed) == 1
    assert "no-far-picture" in str(room.renewed[0])


async def test_pictures_that_come_and_are_not_shown_replace_the_screen_worker(room: Room) -> None:
    room.spend(5)
    room.stopped = {"shown"}
    room.spend(6)
    assert room.replaced == ["screen"]
    assert room.problems == ["screen-stuck"]


async def test_a_picture_that_nobody_acknowledges_costs_a_new_session(room: Room) -> None:
    room.spend(5)
    room.stopped = {"acknowledged"}
    room.spend(17)
    assert len(room.renewed) == 1
    assert room.problems == ["picture-not-taken"]


async def test_an_mcu_that_never_reports_is_not_judged_by_it(room: Room) -> None:
    room.stopped = {"acknowledged"}
    room.values["acknowledged"] = None
    room.spend(120)
    assert (room.renewed, room.problems) == ([], [])


async def test_an_mcu_that_sends_nothing_at_all_is_the_sessions_to_judge(room: Room) -> None:
    room.stopped = {"far", "shown", "packets"}
    room.spend(60)
    assert (room.renewed, room.problems) == ([], [])


async def test_a_microphone_silent_to_the_last_bit_is_told_but_not_while_it_is_muted(room: Room) -> None:
    room.stopped = {"sound"}
    room.store.update(muted=True)
    room.spend(100)
    assert room.problems == []
    room.store.update(muted=False)
    room.spend(32)
    assert room.problems == ["microphone-silent"]
    assert room.replaced == ["sound"]


async def test_the_job_looks_by_itself(room: Room) -> None:
    looks: list[None] = []
    room.care.look = lambda: looks.append(None)  # type: ignore[method-assign]
    task = asyncio.ensure_future(room.care.run())
    async with asyncio.timeout(5):
        while len(looks) < 2:
            await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.wait((task,))
