"""The room's sound towards the MCU never ceases, whatever becomes of the sound worker; and the room is told."""

import asyncio
from itertools import pairwise

import pytest

from appliance.media.clock import NS_PER_S, MediaClock
from appliance.media.values import BLOCK_NS, SILENCE, AudioBlock
from appliance.room_sound import FILL_LIMIT_NS, STATUSES_TO_FORGIVE, RoomSound
from appliance.settings import Audio
from appliance.state import ApplianceState, StateStore

from .sound_fakes import TurnedClock

AUDIO = Audio(input_device="pa", output_device="pa")
VOICE = b"\x05\x00" * 960


class Line:
    """What the session was given, by a clock that the test turns."""

    def __init__(self) -> None:
        self.clock = TurnedClock()
        self.sent: list[AudioBlock] = []
        self.store = StateStore(ApplianceState(unit_name="Xã Tân Lập"))
        self.sound = RoomSound(self.sent.append, self.store, AUDIO, self.clock)

    def speak(self, blocks: int) -> None:
        for _ in range(blocks):
            self.sound.block(VOICE, self.clock.now_ns())
            self.clock.turn(20)
            self.sound.fill()

    def wait(self, ms: int) -> None:
        for _ in range(ms // 5):
            self.clock.turn(5)
            self.sound.fill()

    @property
    def problems(self) -> list[str]:
        return [problem.code for problem in self.store.state.problems]


def test_a_worker_that_lives_is_never_filled_in_for() -> None:
    line = Line()
    line.speak(200)
    assert [block.samples for block in line.sent] == [VOICE] * 200
    assert (line.sound.filled, line.sound.late) == (0, 0)


def test_while_the_worker_is_away_silence_goes_on_in_its_place_without_a_seam() -> None:
    line = Line()
    line.speak(50)
    line.wait(3007)
    assert line.clock.now_ns() - line.sent[-1].pts_ns < 150_000_000
    line.speak(50)
    times = [block.pts_ns for block in line.sent]
    steps = {after - before for before, after in pairwise(times)}
    # The new worker's clock ticks begin where they like; the RTP sender evens that out.
    assert all(BLOCK_NS // 2 <= step <= BLOCK_NS * 11 // 2 for step in steps)
    assert sum(step != BLOCK_NS for step in (b - a for a, b in pairwise(times))) == 1
    assert {block.samples for block in line.sent} == {VOICE, SILENCE}
    assert 145 <= line.sound.filled <= 151


def test_what_a_thawed_worker_still_had_is_too_late() -> None:
    line = Line()
    line.speak(10)
    old_ns = line.clock.now_ns()
    line.wait(400)
    before = len(line.sent)
    for number in range(5):
        line.sound.block(VOICE, old_ns + number * BLOCK_NS)
    assert len(line.sent) == before
    assert line.sound.late == 5


def test_an_engine_that_stood_still_makes_no_silence_for_the_past() -> None:
    line = Line()
    line.speak(10)
    line.clock.turn(60_000)
    line.sound.fill()
    assert line.sound.filled <= FILL_LIMIT_NS // BLOCK_NS
    assert line.clock.now_ns() - line.sent[-1].pts_ns < NS_PER_S // 5


async def test_a_worker_that_never_comes_is_silence_at_the_pace_of_a_microphone() -> None:
    clock = MediaClock()
    sent: list[AudioBlock] = []
    sound = RoomSound(sent.append, StateStore(ApplianceState(unit_name="x")), AUDIO, clock)
    began_ns = clock.now_ns()
    job = asyncio.create_task(sound.run())
    async with asyncio.timeout(5):
        while len(sent) < 20:
            await asyncio.sleep(0.005)
    job.cancel()
    assert (clock.now_ns() - began_ns) / NS_PER_S == pytest.approx(0.5, abs=0.15)
    assert {after.pts_ns - before.pts_ns for before, after in pairwise(sent)} == {BLOCK_NS}


def test_one_failure_is_no_problem_a_second_is_and_five_good_seconds_end_it() -> None:
    line = Line()
    line.sound.failed(RuntimeError("sound worker 5 is silent for 1.5 s"))
    assert line.problems == []
    line.sound.works()
    line.sound.failed(RuntimeError("sound worker 6 is silent for 1.5 s"))
    assert line.problems == ["sound-failing"]
    assert line.store.state.problems[0].detail == ("sound worker 6 is silent for 1.5 s (microphone 'pa', speaker 'pa')")
    for _ in range(STATUSES_TO_FORGIVE - 1):
        line.sound.works()
    assert line.problems == ["sound-failing"]
    line.sound.works()
    assert line.problems == []
    line.sound.failed(RuntimeError("much later"))
    assert line.problems == []
