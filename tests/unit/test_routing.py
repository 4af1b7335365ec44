"""Where media meet: what the router hands to workers and session, with both replaced by records."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from appliance.errors import ControlError, UplinkError
from appliance.media.pipe import Kind
from appliance.media.values import SILENCE, AudioBlock, EncodedFrame
from appliance.routing import FAILURES_TO_TELL, MediaRouter, scene_of
from appliance.settings import Settings
from appliance.state import ApplianceState, MeetingState, MeetingStatus, StateStore
from appliance.worker_process import WorkerProcess

KEYFRAME = EncodedFrame(b"\0\0\0\1\x65", 7, True)
MS = 1_000_000


class RecordedSession:
    """A session that keeps what it was given."""

    def __init__(self) -> None:
        self.video: list[EncodedFrame] = []
        self.audio: list[AudioBlock] = []
        self.far: AudioBlock | None = None
        self.keyframes = 0
        self.picture_delay: int | None = None

    async def run(self) -> None:
        raise NotImplementedError

    def send_video(self, frame: EncodedFrame) -> None:
        self.video.append(frame)

    def send_audio(self, block: AudioBlock) -> None:
        self.audio.append(block)

    def pull_audio(self, heard_at_ns: int) -> AudioBlock | None:
        return self.far

    def picture_delay_ns(self) -> int | None:
        return self.picture_delay

    def end(self, error: UplinkError) -> None:
        raise error

    def request_far_keyframe(self) -> None:
        self.keyframes += 1

    def numbers(self) -> Mapping[str, Any]:
        return {}


class Bench:
    """A router with workers that keep what they are sent, and a session that a test may take away."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.store = StateStore(ApplianceState(unit_name="Xã Tân Lập"))
        self.session: RecordedSession | None = RecordedSession()
        self.now = 100.0
        self.router = MediaRouter(Settings(), self.store, lambda: self.session, None, now=lambda: self.now)
        self.commands: dict[str, list[dict[str, Any]]] = {}
        self.media: dict[str, list[tuple[Kind, bytes, int, bool]]] = {}
        for name in ("camera", "sound", "screen"):
            self._record(monkeypatch, getattr(self.router, name), name)

    def _record(self, monkeypatch: pytest.MonkeyPatch, worker: WorkerProcess, name: str) -> None:
        commands, media = self.commands.setdefault(name, []), self.media.setdefault(name, [])

        def command(message: dict[str, Any]) -> bool:
            commands.append(message)
            return True

        def send(kind: Kind, payload: bytes, time_ns: int = 0, *, is_keyframe: bool = False) -> bool:
            media.append((kind, payload, time_ns, is_keyframe))
            return True

        monkeypatch.setattr(worker, "command", command)
        monkeypatch.setattr(worker, "send", send)


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(monkeypatch)


def test_picture_and_sound_of_the_room_go_to_the_session_and_nowhere_without_one(bench: Bench) -> None:
    session = bench.session
    assert session is not None
    bench.router._camera_media(Kind.VIDEO, KEYFRAME.data, 7, True)
    bench.router._sound_media(Kind.AUDIO, b"\1\0" * 960, 9, False)
    assert session.video == [KEYFRAME]
    assert session.audio == [AudioBlock(b"\1\0" * 960, 9)]
    bench.session = None
    bench.router._camera_media(Kind.VIDEO, KEYFRAME.data, 8, True)
    bench.router._sound_media(Kind.AUDIO, bytes(1920), 10, False)
    assert (len(session.video), len(session.audio)) == (1, 1)


async def test_while_the_sound_worker_is_away_the_session_gets_silence(bench: Bench) -> None:
    session = bench.session
    assert session is not None
    filling = asyncio.ensure_future(bench.router._room_sound.run())
    async with asyncio.timeout(5):
        while len(session.audio) < 3:
            await asyncio.sleep(0.005)
    filling.cancel()
    assert {block.samples for block in session.audio} == {SILENCE}
    bench.router._sound_report({"type": "status", "played": 1})
    assert bench.store.state.numbers["sound"]["filled"] >= 3
    for _ in range(2):
        bench.router._failure_counter("sound")(RuntimeError("silent"), 0)
    assert [problem.code for problem in bench.store.state.problems] == ["sound-failing"]


def test_each_pull_of_the_speaker_is_answered_even_when_there_is_nothing(bench: Bench) -> None:
    assert bench.session is not None
    bench.router._sound_media(Kind.PULL, b"", 5, False)
    bench.session.far = AudioBlock(b"\2\0" * 960, 3)
    bench.router._sound_media(Kind.PULL, b"", 6, False)
    bench.session = None
    bench.router._sound_media(Kind.PULL, b"", 7, False)
    assert [payload for _, payload, _, _ in bench.media["sound"]] == [b"", b"\2\0" * 960, b""]


def test_the_encoder_follows_the_line_within_its_settings_and_starts_afresh_with_a_session(bench: Bench) -> None:
    for bps in (900_000, 905_000, 20_000, 50_000_000):
        bench.router.bandwidth(bps)
    bench.router.bandwidth(500_000)
    bench.router.session_over()
    assert [c["bps"] for c in bench.commands["camera"] if c["cmd"] == "bitrate"] == [
        900_000,
        32_000,  # never less than an encoder makes
        2_000_000,  # never more than is configured
        500_000,
        2_000_000,
    ]


def test_a_line_that_is_behind_has_pictures_left_out(bench: Bench) -> None:
    bench.router.hold_pictures(120)
    assert bench.commands["camera"] == [{"cmd": "hold", "ms": 120}]


def test_a_slow_line_becomes_a_problem_and_a_good_one_takes_it_back(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_s = 100.0
    monkeypatch.setattr("time.monotonic", lambda: now_s)
    for target_bps in [200_000] * 12 + [900_000] * 7:
        now_s += 1
        bench.router.look_at_line({"video_out_target_bps": target_bps, "video_out_bounded_by": "delay"})
        if now_s == 112:
            assert [problem.code for problem in bench.store.state.problems] == ["line-slow"]
    assert bench.store.state.problems == ()


def test_a_restarted_camera_goes_on_at_the_line_s_bit_rate_and_off_when_it_was_off(bench: Bench) -> None:
    bench.router.bandwidth(500_000)
    bench.router.set_camera(False)
    setup = bench.router._camera_setup()
    assert setup["video"]["bitrate_kbps"] == 2000
    assert setup["video_bps"] == 500_000
    assert setup["camera_on"] is False


def test_a_restarted_microphone_is_as_muted_as_the_room_wants(bench: Bench) -> None:
    bench.router.set_muted(False)
    assert bench.router._sound_setup()["muted"] is False
    bench.router.set_muted(True)
    assert bench.router._sound_setup()["muted"] is True
    assert bench.commands["sound"] == [{"cmd": "mute", "on": False}, {"cmd": "mute", "on": True}]


def pull(bench: Bench, block: AudioBlock | None, heard_ns: int) -> None:
    assert bench.session is not None
    bench.session.far = block
    bench.router._sound_media(Kind.PULL, b"", heard_ns, False)


def test_the_picture_waits_for_the_sound_and_one_block_out_of_step_moves_nothing(bench: Bench) -> None:
    for number in range(20):
        late = 80 * MS if number == 11 else 0
        pull(bench, AudioBlock(bytes(1920), 20 * number * MS), (20 * number + 60) * MS + late)
    assert bench.commands["screen"] == [{"cmd": "sync", "delay_ns": 60 * MS}]


def test_the_picture_follows_the_sound_closely_while_its_delay_changes(bench: Bench) -> None:
    heard_ms = 60.0
    for number in range(100):
        heard_ms += 20 * (1.17 if number >= 20 else 1.0)
        pull(bench, AudioBlock(bytes(1920), 20 * number * MS), int(heard_ms * MS))
        if number > 10:
            told_ms = bench.commands["screen"][-1]["delay_ns"] / MS
            assert abs(told_ms - (heard_ms - 20 * number)) < 20


def test_a_picture_without_sound_has_the_delay_it_needs(bench: Bench) -> None:
    assert bench.session is not None
    bench.session.picture_delay = 25 * MS
    for _ in range(60):
        pull(bench, None, 0)
    bench.session.picture_delay = 200 * MS
    pull(bench, None, 0)
    assert bench.commands["screen"] == [{"cmd": "sync", "delay_ns": 25 * MS}, {"cmd": "sync", "delay_ns": 200 * MS}]


def test_a_part_has_one_problem_at_a_time_and_loses_it_when_it_works(bench: Bench) -> None:
    def status(code: str | None) -> None:
        problem = {"code": code, "detail": "x"} if code else None
        bench.router._camera_report({"type": "status", "frames": 1, "problem": problem})

    def told() -> list[str]:
        return [problem.code for problem in bench.store.state.problems]

    status("camera-missing")
    assert told() == ["camera-missing"]
    status("camera-busy")
    assert told() == ["camera-busy"]
    status(None)
    assert told() == []
    assert bench.store.state.numbers["camera"] == {"type": "status", "frames": 1}


def test_a_worker_that_keeps_failing_is_told_and_forgiven_when_all_run_again(bench: Bench) -> None:
    failed = bench.router._failure_counter("camera")
    for attempt in range(FAILURES_TO_TELL):
        assert bench.store.state.problems == ()
        failed(RuntimeError("gone"), attempt)
    assert [problem.code for problem in bench.store.state.problems] == ["worker-failing"]
    assert bench.store.state.workers["camera"].restarts == FAILURES_TO_TELL
    bench.router.withdraw_worker_problem(0.0)
    assert bench.store.state.problems != ()
    for worker in (bench.router.camera, bench.router.sound, bench.router.screen):
        worker._on_running(1)
    for _ in range(5):
        # It runs a little, and dies again: the trouble is not over.
        bench.now += 8.0
        bench.router.withdraw_worker_problem(10.0)
        bench.router.camera._on_running(None)
        failed(RuntimeError("gone"), 0)
        bench.router.camera._on_running(1)
        assert [problem.code for problem in bench.store.state.problems] == ["worker-failing"]
    bench.now += 10.0
    bench.router.withdraw_worker_problem(10.0)
    assert bench.store.state.problems == ()


async def test_a_snapshot_is_the_answer_to_its_own_question(bench: Bench) -> None:
    first, second = (asyncio.ensure_future(bench.router.snapshot()) for _ in range(2))
    while len(bench.commands["screen"]) < 2:
        await asyncio.sleep(0)
    bench.router._screen_media(Kind.BLOB, b"two", 2, False)
    bench.router._screen_media(Kind.BLOB, b"none asked", 77, False)
    bench.router._screen_media(Kind.BLOB, b"one", 1, False)
    assert (await first, await second) == (b"one", b"two")


async def test_a_snapshot_that_does_not_come_is_an_error_that_says_what_to_do(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("appliance.routing.SNAPSHOT_LIMIT_S", 0.01)
    with pytest.raises(ControlError, match="try again"):
        await bench.router.snapshot()


async def test_leaving_the_meeting_takes_its_bit_rate_and_its_lip_sync_along(bench: Bench) -> None:
    following = asyncio.ensure_future(bench.router._follow_state())
    bench.store.update(meeting=MeetingStatus(MeetingState.LIVE, "a", "Giao ban"))
    while not any(c.get("state") == "live" for c in bench.commands["screen"]):
        await asyncio.sleep(0)
    bench.router.bandwidth(500_000)
    bench.store.update(meeting=MeetingStatus(MeetingState.REJOINING, "a", "Giao ban"))
    while {"cmd": "sync", "delay_ns": None} not in bench.commands["screen"]:
        await asyncio.sleep(0)
    following.cancel()
    assert bench.commands["camera"][-1] == {"cmd": "bitrate", "bps": 2_000_000}


def test_a_far_decoder_s_need_reaches_the_mcu_and_the_mcu_s_reaches_our_encoder(bench: Bench) -> None:
    assert bench.session is not None
    bench.router._screen_report({"type": "keyframe"})
    bench.router.keyframe_wanted()
    assert bench.session.keyframes == 1
    assert bench.commands["camera"] == [{"cmd": "keyframe"}]


def test_a_picture_that_the_screen_could_not_take_is_made_good_by_a_keyframe(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert bench.session is not None
    bench.router.far_video(KEYFRAME)
    assert bench.session.keyframes == 0
    monkeypatch.setattr(bench.router.screen, "send", lambda *_, **__: False)
    bench.router.far_video(KEYFRAME)
    assert bench.session.keyframes == 1


def test_the_scene_names_the_meeting_and_the_worst_problem() -> None:
    store = StateStore(ApplianceState(unit_name="Xã Tân Lập"))
    assert scene_of(store.state)["title"] == "Xã Tân Lập"
    store.update(meeting=MeetingStatus(MeetingState.REJOINING, "a", "Giao ban"))
    store.raise_problem("connection-lost", "detail for the technician")
    store.raise_problem("mcu-credentials")
    store.raise_problem("microphone-missing")
    assert scene_of(store.state)["problem"]["cause"]["en"].startswith("The conference centre rejects")
    store.clear_problem("mcu-credentials", "microphone-missing")
    scene = scene_of(store.state)
    assert scene["title"] == "Giao ban"
    assert scene["problem"]["cause"]["vi"].startswith("Mất kết nối")
    assert "detail" not in str(scene)
