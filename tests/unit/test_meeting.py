"""The meeting's life, with sessions that the test ends as it likes."""

import asyncio
import random
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from appliance.errors import ControlError, CredentialsRejected, MediaLost, Unreachable, UplinkError
from appliance.intent import Intent, IntentFile
from appliance.media.values import AudioBlock, EncodedFrame
from appliance.meeting import Meeting
from appliance.settings import Meeting as MeetingSettings
from appliance.state import ApplianceState, MeetingState, StateStore
from appliance.supervisor import Supervisor, TooManyBugsError
from appliance.uplink.http import unusable


def meeting_settings(meeting_id: str) -> MeetingSettings:
    return MeetingSettings(
        id=meeting_id, name=meeting_id.upper(), send_url="https://mcu.test/w", receive_url="https://mcu.test/r"
    )


class ScriptedSession:
    """A session whose end the test decides."""

    def __init__(self) -> None:
        self.outcome: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.said_goodbye = False

    async def run(self) -> None:
        try:
            await self.outcome
        except asyncio.CancelledError:
            self.said_goodbye = True
            raise

    def send_video(self, frame: EncodedFrame) -> None: ...
    def send_audio(self, block: AudioBlock) -> None: ...
    def pull_audio(self, heard_at_ns: int) -> AudioBlock | None: ...
    def request_far_keyframe(self) -> None: ...
    def end(self, error: UplinkError) -> None:
        self.outcome.set_exception(error)

    def numbers(self) -> Mapping[str, Any]:
        return {}


class Room:
    """A meeting under test, its sessions, and the waits it asked for."""

    def __init__(self) -> None:
        self.store = StateStore(ApplianceState())
        self.sessions: list[ScriptedSession] = []
        self.opened = asyncio.Event()
        self.waits: list[float] = []
        self.network = asyncio.Event()
        # Set, a wait lasts until something else ends it.
        self.holds = False
        self.meeting = Meeting(
            self.store,
            Supervisor(),
            {"a": meeting_settings("a"), "b": meeting_settings("b")},
            self._open,
            network_changed=self._network_changed,
            sleep=self._sleep,
            rng=random.Random(1),
        )

    def _open(self, _: MeetingSettings) -> ScriptedSession:
        self.sessions.append(ScriptedSession())
        self.opened.set()
        return self.sessions[-1]

    async def _sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        if self.holds:
            await asyncio.Event().wait()

    async def _network_changed(self) -> None:
        await self.network.wait()
        self.network.clear()

    async def session(self, number: int) -> ScriptedSession:
        while len(self.sessions) < number:
            self.opened.clear()
            await asyncio.wait_for(self.opened.wait(), 2)
        return self.sessions[number - 1]

    async def until_waiting(self) -> None:
        async with asyncio.timeout(2):
            while not self.waits:
                await asyncio.sleep(0)

    async def until(self, state: MeetingState) -> None:
        async def wait() -> None:
            async for snapshot in self.store.changes():
                if snapshot.meeting.state is state:
                    return

        await asyncio.wait_for(wait(), 2)


@asynccontextmanager
async def a_room() -> AsyncIterator[Room]:
    room = Room()
    task = asyncio.ensure_future(room.meeting.run())
    try:
        yield room
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_joining_twice_opens_one_session() -> None:
    async with a_room() as room:
        assert room.meeting.join("a") == "a"
        assert room.meeting.join() == "a"
        await room.session(1)
        room.meeting.connected()
        assert room.meeting.status.state is MeetingState.LIVE
        assert len(room.sessions) == 1


async def test_the_room_is_told_of_a_loss_before_the_goodbye_to_the_dead_mcu_is_over() -> None:
    async with a_room() as room:
        room.meeting.join("a")
        session = await room.session(1)
        room.meeting.connected()
        room.meeting.lost(MediaLost("nothing arrives"))
        assert room.meeting.status.state is MeetingState.REJOINING
        assert [problem.code for problem in room.store.state.problems] == ["connection-lost"]
        session.outcome.set_exception(MediaLost("nothing arrives"))
        await room.session(2)
        assert room.meeting.status.reconnects == 1
        room.meeting.connected()
        assert room.store.state.problems == ()


async def test_leaving_says_goodbye_and_is_standby_at_once() -> None:
    async with a_room() as room:
        room.meeting.join("a")
        session = await room.session(1)
        room.meeting.leave()
        room.meeting.leave()
        assert room.meeting.status.state is MeetingState.STANDBY
        await asyncio.sleep(0)
        await asyncio.gather(session.outcome, return_exceptions=True)
        assert session.said_goodbye


async def test_joining_and_leaving_show_at_once_what_is_wanted() -> None:
    async with a_room() as room:
        room.meeting.join("a")
        assert (room.meeting.status.state, room.meeting.status.meeting_id) == (MeetingState.JOINING, "a")
        await room.session(1)
        room.meeting.connected()
        room.meeting.join("b")
        assert (room.meeting.status.state, room.meeting.status.meeting_id) == (MeetingState.JOINING, "b")
        room.meeting.connected()
        assert room.meeting.status.state is MeetingState.JOINING, "the old meeting's session says nothing of the new"
        room.meeting.leave()
        room.meeting.join("a")
        assert room.meeting.status.state is MeetingState.JOINING
        assert room.meeting.wanted == "a"


async def test_a_session_that_fails_while_the_room_leaves_it_is_nobody_s_worry() -> None:
    async with a_room() as room:
        room.meeting.join("a")
        (await room.session(1)).outcome.set_exception(MediaLost("nothing arrives"))
        room.meeting.join("b")
        await room.session(2)
        assert room.meeting.status.state is MeetingState.JOINING
        assert room.store.state.problems == ()
        assert room.waits == []


async def test_joining_another_meeting_leaves_the_first() -> None:
    async with a_room() as room:
        room.meeting.join("a")
        first = await room.session(1)
        room.meeting.join("b")
        await room.session(2)
        assert first.said_goodbye
        assert room.meeting.status.meeting_id == "b"


async def test_a_lost_session_is_joined_again_with_growing_jittered_waits() -> None:
    async with a_room() as room:
        room.meeting.join("a")
        session = await room.session(1)
        room.meeting.connected()
        session.outcome.set_exception(MediaLost("nothing arrived for 2.5 s"))
        for number in range(2, 12):
            session = await room.session(number)
            assert room.meeting.status.state is MeetingState.REJOINING
            session.outcome.set_exception(UplinkError("no route"))
        await room.session(12)
        assert room.meeting.status.reconnects == 1
        assert [problem.code for problem in room.store.state.problems] == ["mcu-unreachable"]
        assert all(wait <= min(15, 0.5 * 2**n) for n, wait in enumerate(room.waits))
        assert max(room.waits) > 3
        room.meeting.connected()
        assert room.store.state.problems == ()


async def test_rejected_credentials_are_a_fault_with_slow_tries() -> None:
    async with a_room() as room:
        room.meeting.join("a")
        (await room.session(1)).outcome.set_exception(CredentialsRejected("token refused"))
        await room.session(2)
        assert room.meeting.status.state is MeetingState.FAULT
        assert room.waits[0] >= 30


async def test_any_refusal_is_a_fault_and_a_busy_or_unreachable_mcu_is_none() -> None:
    refusal = UplinkError("the WHIP server answers 404: it refuses", problem="mcu-answer")
    for error in (refusal, unusable("the certificate is not trusted")):
        async with a_room() as room:
            room.meeting.join("a")
            (await room.session(1)).outcome.set_exception(error)
            await room.session(2)
            assert room.meeting.status.state is MeetingState.FAULT
    for error in (UplinkError("no route"), UplinkError("503", problem="mcu-busy")):
        async with a_room() as room:
            room.meeting.join("a")
            (await room.session(1)).outcome.set_exception(error)
            await room.session(2)
            assert room.meeting.status.state is MeetingState.JOINING


async def test_tries_are_counted_since_the_meeting_was_last_live() -> None:
    async with a_room() as room:
        room.meeting.join("a")
        for number in (1, 2):
            (await room.session(number)).outcome.set_exception(UplinkError("no route"))
        third = await room.session(3)
        assert room.meeting.status.attempts == 2
        room.meeting.connected()
        assert room.meeting.status.attempts == 0
        third.outcome.set_exception(MediaLost("nothing arrives"))
        await room.session(4)
        assert room.meeting.status.attempts == 1


async def test_an_mcu_that_cannot_be_reached_is_tried_again_within_a_second_for_ever() -> None:
    async with a_room() as room:
        room.meeting.join("a")
        (await room.session(1)).outcome.set_exception(UplinkError("it failed"))
        for number in range(2, 30):
            (await room.session(number)).outcome.set_exception(Unreachable("nothing answers"))
        (await room.session(30)).outcome.set_exception(UplinkError("it failed"))
        await room.session(31)
        assert max(room.waits[1:29]) <= 1.0
        assert room.waits[29] <= 1.0, "silence has not made the other wait grow"


async def test_a_change_of_the_network_ends_the_wait_for_the_next_try() -> None:
    async with a_room() as room:
        room.meeting.join("a")
        room.holds = True
        (await room.session(1)).outcome.set_exception(Unreachable("no route"))
        await room.until_waiting()
        assert len(room.sessions) == 1
        room.holds = False
        room.network.set()
        await room.session(2)


async def test_a_change_of_the_network_shortens_no_wait_that_the_mcu_asked_for() -> None:
    async with a_room() as room:
        room.meeting.join("a")
        room.holds = True
        (await room.session(1)).outcome.set_exception(UplinkError("busy", retry_after_s=20, problem="mcu-busy"))
        await room.until_waiting()
        room.network.set()
        for _ in range(20):
            await asyncio.sleep(0)
        assert len(room.sessions) == 1


async def test_a_session_that_comes_back_by_itself_is_a_reconnect_and_needs_no_new_one() -> None:
    async with a_room() as room:
        room.meeting.join("a")
        await room.session(1)
        room.meeting.connected()
        room.meeting.lost(MediaLost("nothing arrives"))
        assert room.meeting.status.state is MeetingState.REJOINING
        room.meeting.connected()
        assert (room.meeting.status.state, room.meeting.status.reconnects) == (MeetingState.LIVE, 1)
        assert room.store.state.problems == ()
        assert len(room.sessions) == 1


async def test_a_live_session_that_does_not_do_its_work_is_replaced() -> None:
    async with a_room() as room:
        room.meeting.join("a")
        await room.session(1)
        room.meeting.renew(MediaLost("not live yet"))
        assert not room.sessions[0].outcome.done()
        room.meeting.connected()
        room.meeting.renew(MediaLost("the picture is not taken"))
        await room.session(2)
        assert room.meeting.status.state is MeetingState.REJOINING


async def test_an_unknown_meeting_is_refused_and_changes_nothing() -> None:
    async with a_room() as room:
        with pytest.raises(ControlError, match="known: a, b"):
            room.meeting.join("c")
        assert room.meeting.status.state is MeetingState.STANDBY


async def test_five_bugs_in_a_minute_end_the_job() -> None:
    room = Room()
    room.meeting.join("a")
    task = asyncio.ensure_future(room.meeting.run())
    for number in range(1, 6):
        (await room.session(number)).outcome.set_exception(ZeroDivisionError())
    with pytest.raises(TooManyBugsError):
        await asyncio.wait_for(task, 2)


async def test_the_intent_survives_on_disk(tmp_path: Path) -> None:
    path = tmp_path / "intent.json"
    await IntentFile(path).save(Intent("a", muted=False, camera_on=False))
    assert IntentFile(path).load() == Intent("a", muted=False, camera_on=False)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"[" * 100_000,
        b'{"meeting_id": 3, "muted": true, "camera_on": true}',
        b'{"meeting_id": "a", "muted": "", "camera_on": true}',
        b"\xff",
    ],
)
def test_a_spoiled_intent_is_standby_and_muted(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "intent.json"
    path.write_bytes(content)
    assert IntentFile(path).load() == Intent(None, muted=True, camera_on=True)


def test_a_unit_that_has_never_been_asked_wants_what_its_settings_say(tmp_path: Path) -> None:
    assert IntentFile(tmp_path / "intent.json", Intent(muted=False)).load() == Intent(None, muted=False)
