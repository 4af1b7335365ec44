"""The lab MCU's rooms: who is in, who has gone, what is heard and seen there."""

import asyncio
import threading

import numpy as np
import pytest

from appliance.labmcu import sessions as sessions_module
from appliance.media.values import BLOCK_SAMPLES, EncodedFrame
from appliance.rtp.opus import OpusDecoder

from .labmcu_fakes import SDP, FakePeer, lab_mcu
from .test_labmcu_video import encoded


def media_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith(("decode ", "wall "))]


# Who is in


async def test_a_unit_that_comes_back_takes_its_place_at_once() -> None:
    async with lab_mcu() as mcu:
        _, first = await mcu.join("/whip/r/a")
        await mcu.join("/whip/r/b")
        location, second = await mcu.join("/whip/r/a")
        assert [who["name"] for who in (await mcu.rooms())[0]["participants"]] == ["a", "b"]
        await mcu.until(lambda: first.closings == 1)
        assert second.closings == 0
        assert {"event": "left", "kind": "whip", "room": "r", "name": "a", "reason": "replaced by a newer session"} in (
            mcu.events
        )
        assert await mcu.leave(location) == 200


async def test_the_states_of_a_participant() -> None:
    async with lab_mcu() as mcu:
        _, peer = await mcu.join("/whip/r/a")
        await asyncio.sleep(0)

        async def state() -> str:
            return str((await mcu.rooms())[0]["participants"][0]["state"])

        assert await state() in ("joining", "no-picture")
        await mcu.until(lambda: mcu.sessions.snapshot()[0]["participants"][0]["state"] == "no-picture")
        peer.video_receiver.frame(encoded(150, 1, 320, 180)[0])
        await mcu.until(lambda: mcu.sessions.snapshot()[0]["participants"][0]["state"] == "live")


async def test_who_never_connects_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(self: FakePeer, timeout_s: float) -> None:
        raise sessions_module.ApplianceError("no connection came about")

    monkeypatch.setattr(FakePeer, "wait_connected", never)
    async with lab_mcu() as mcu:
        _, peer = await mcu.join("/whip/r/a")
        await mcu.until(lambda: peer.closings == 1)
        assert await mcu.rooms() == []
        assert mcu.events[-1]["reason"] == "no connection came about"


async def test_a_closed_connection_ends_the_session() -> None:
    async with lab_mcu() as mcu:
        _, peer = await mcu.join("/whip/r/a")
        peer.closed.set_result("the far end has said goodbye")
        await mcu.until(lambda: peer.closings == 1)
        assert await mcu.rooms() == []


@pytest.mark.parametrize("kind", ["whip", "whep"])
async def test_who_falls_silent_is_let_go(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions_module, "_SILENCE_LIMIT_NS", 200_000_000)
    monkeypatch.setattr(sessions_module, "_LOOK_EVERY_S", 0.05)
    async with lab_mcu() as mcu:
        _, peer = await mcu.join(f"/{kind}/r/a")
        await mcu.until(lambda: peer.closings == 1)
        assert "nothing has arrived" in mcu.events[-1]["reason"]


async def test_a_tenth_participant_is_told_to_wait_and_a_known_one_is_not() -> None:
    async with lab_mcu() as mcu:
        for number in range(9):
            await mcu.join(f"/whip/r/{number}")
        async with mcu.http.post("/whip/r/one-too-many", data="v=0", headers=SDP) as answer:
            assert answer.status == 503
            assert int(answer.headers["Retry-After"]) > 0
        await mcu.join("/whip/r/3")
        await mcu.join("/whep/r/one-too-many")


async def test_many_rapid_joins_and_leaves_leave_nothing_behind() -> None:
    async with lab_mcu() as mcu:
        await mcu.join("/whip/warm/up")

        async def come_and_go(number: int) -> None:
            location, _ = await mcu.join(f"/{'whip' if number % 2 else 'whep'}/room-{number % 3}/{number % 5}")
            if number % 4:
                await mcu.leave(location)

        await asyncio.gather(*(come_and_go(number) for number in range(80)))
        for session_id in list(mcu.sessions._sessions):
            if mcu.sessions._sessions[session_id].room.name != "warm":
                assert await mcu.leave(f"/session/{session_id}") == 200
        await mcu.until(lambda: sum(peer.closings > 0 for peer in mcu.peers) == 80)
        assert [room["name"] for room in await mcu.rooms()] == ["warm"]
        await mcu.until(lambda: len(media_threads()) == 2)
        names = [task.get_name() for task in asyncio.all_tasks()]
        assert [name for name in names if name.startswith(("room ", "whip ", "whep "))] in (
            ["room warm", "whip warm/up"],
            ["whip warm/up", "room warm"],
        )


async def test_a_failed_room_ends_its_sessions_and_no_others(monkeypatch: pytest.MonkeyPatch) -> None:
    async with lab_mcu() as mcu:
        _, healthy = await mcu.join("/whip/healthy/a")
        _, broken = await mcu.join("/whip/broken/a")
        room = next(s.room for s in mcu.sessions._sessions.values() if s.room.name == "broken")

        def fail(_: int) -> None:
            raise RuntimeError("a bug")

        monkeypatch.setattr(room, "tick", fail)
        await mcu.until(lambda: broken.closings == 1)
        assert [room["name"] for room in await mcu.rooms()] == ["healthy"]
        assert healthy.closings == 0


# What is heard and seen


def tone(hertz: float) -> bytes:
    time_s = np.arange(BLOCK_SAMPLES) / 48_000
    return (8000 * np.sin(2 * np.pi * hertz * time_s)).astype(np.int16).tobytes()


def heard(packets: list[tuple[bytes, int]], hertz: float) -> float:
    """How strong a tone is in the last packets (1: as strong as it was sent)."""
    decoder = OpusDecoder()
    blocks = [np.frombuffer(decoder.decode(packet), np.int16) for packet, _ in packets]
    samples = np.concatenate(blocks[-10:]).astype(np.float64)
    time_s = np.arange(len(samples)) / 48_000
    return float(abs(np.dot(samples, np.exp(-2j * np.pi * hertz * time_s))) * 2 / len(samples) / 8000)


async def test_everybody_hears_the_others_and_nobody_hears_itself() -> None:
    async with lab_mcu() as mcu:
        listeners: dict[str, FakePeer] = {}
        for name, hertz in (("a", 500), ("b", 1000), ("c", 2000)):
            _, sender = await mcu.join(f"/whip/r/{name}")
            sender.audio_receiver.voice = tone(hertz)
            _, listeners[name] = await mcu.join(f"/whep/r/{name}")
        _, listeners["web"] = await mcu.join("/whep/r/web")
        await mcu.until(lambda: all(len(peer.audio_sender.packets) > 30 for peer in listeners.values()))
        for name, peer in listeners.items():
            for owner, hertz in (("a", 500), ("b", 1000), ("c", 2000)):
                loudness = heard(peer.audio_sender.packets, hertz)
                assert loudness < 0.05 if owner == name else loudness > 0.7
        times = [pts_ns for _, pts_ns in listeners["a"].audio_sender.packets]
        assert set(np.diff(times)) == {20_000_000}


async def test_the_echo_brings_a_single_unit_s_sound_back() -> None:
    async with lab_mcu(echo=True) as mcu:
        _, sender = await mcu.join("/whip/r/a")
        sender.audio_receiver.voice = tone(500)
        _, listener = await mcu.join("/whep/r/a")
        await mcu.until(lambda: len(listener.audio_sender.packets) > 30)
        assert heard(listener.audio_sender.packets, 500) > 0.7


async def test_a_listener_sees_from_a_keyframe_on_and_gets_another_when_it_asks() -> None:
    async with lab_mcu() as mcu:
        await mcu.join("/whip/r/a")
        _, early = await mcu.join("/whep/r/early")
        await mcu.until(lambda: len(early.video_sender.pictures) > 3)
        _, late = await mcu.join("/whep/r/late")
        await mcu.until(lambda: bool(late.video_sender.pictures))
        assert early.video_sender.pictures[0].is_keyframe
        assert late.video_sender.pictures[0].is_keyframe
        seen = len(late.video_sender.pictures)
        late.video_sender.keyframe()

        def another() -> bool:
            return any(picture.is_keyframe for picture in late.video_sender.pictures[seen:])

        await mcu.until(another)


async def test_the_wall_follows_the_slowest_listener_s_line_until_that_one_leaves() -> None:
    async with lab_mcu() as mcu:
        await mcu.join("/whip/r/a")
        _, fast = await mcu.join("/whep/r/b")
        location, slow = await mcu.join("/whep/r/c")
        await mcu.until(lambda: bool(fast.video_sender.pictures) and bool(slow.video_sender.pictures))
        mixer = mcu.sessions._rooms["r"].mixer
        fast.video_sender.bandwidth(380_000)
        slow.video_sender.bandwidth(300_000)
        assert mixer.wanted_bps == 300_000
        count = len(fast.video_sender.pictures)
        # The slower wall begins with a keyframe, which everybody can decode.
        await mcu.until(lambda: any(frame.is_keyframe for frame in fast.video_sender.pictures[count:]))
        slow.video_sender.bandwidth(1_000)
        assert mixer.wanted_bps == 200_000, "less is no wall"
        await mcu.leave(location)
        await mcu.until(lambda: mixer.wanted_bps == 380_000)


async def test_who_joins_and_sends_garbage_disturbs_nobody() -> None:
    async with lab_mcu() as mcu:
        _, sender = await mcu.join("/whip/r/a")
        _, listener = await mcu.join("/whep/r/b")
        for garbage in (b"", b"\x00\x00\x01\x65" + bytes(range(256)) * 4, b"\xff" * 3000):
            sender.video_receiver.frame(EncodedFrame(garbage, 0, True))
        sender.video_receiver.frame(encoded(150, 1, 320, 180)[0])
        await mcu.until(lambda: mcu.sessions.snapshot()[0]["participants"][0]["pictures"] == 1)
        await mcu.until(lambda: len(listener.video_sender.pictures) > 2)
        assert sender.video_receiver.keyframes_asked >= 1


async def test_sound_and_picture_of_a_moment_get_the_same_time() -> None:
    async with lab_mcu() as mcu:
        _, sender = await mcu.join("/whip/r/a")
        sender.audio_receiver.voice = tone(500)
        await mcu.join("/whep/r/a")
        room = next(iter(mcu.sessions._sessions.values())).room
        clock = asyncio.get_running_loop().time
        picture = encoded(150, 1, 320, 180)[0]
        end = clock() + 1.0
        while clock() < end:
            # Captured 10 ms ago; the sound that is mixed now, 50 ms ago, and Opus adds 13 ms in two encoders.
            sender.video_receiver.frame(EncodedFrame(picture.data, int(clock() * 1e9) - 10_000_000, True))
            await asyncio.sleep(0.03)
        lead_ms = room.snapshot()["wall"]["lead_ms"]
        assert 33 < lead_ms < 55
