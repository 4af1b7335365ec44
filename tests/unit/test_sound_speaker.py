"""The speaker: asks in time, plays on when no answer comes, and survives its card."""

import asyncio
from array import array
from typing import Self

import pytest

from appliance.errors import DeviceError, PipeError
from appliance.media.clock import MediaClock
from appliance.media.values import BLOCK_NS, SILENCE, AudioBlock
from appliance.playout import speaker as module
from appliance.playout.far_sound import FORGET_NS, FarSound
from appliance.playout.speaker import Speaker

from .sound_fakes import TurnedClock

LOUD = b"\x00\x20" * 960


class FakeSink:
    """Takes one block each time that the test lets it; fails when told to."""

    def __init__(self) -> None:
        self.played: list[bytes] = []
        self.room: asyncio.Queue[DeviceError | None] = asyncio.Queue()
        self.now_ns = 7 * BLOCK_NS
        self.xruns = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    async def play(self, block: AudioBlock) -> int:
        error = await self.room.get()
        if error is not None:
            raise error
        self.played.append(block.samples)
        self.now_ns += BLOCK_NS
        return self.now_ns


class Room:
    """A speaker under test; `answers` decides what the engine says to each request."""

    def __init__(self) -> None:
        self.sinks: list[FakeSink] = []
        self.asked: list[int] = []
        self.answers: list[bytes | None] = []
        self.heard: list[tuple[bytes, int]] = []
        self.problems: list[str | None] = []
        self.opened = asyncio.Event()
        self.far = FarSound(self._ask, MediaClock())
        self.speaker = Speaker(
            self._open,
            self.far,
            MediaClock(),
            volume_percent=100,
            on_heard=lambda samples, heard_ns: self.heard.append((samples, heard_ns)),
            on_problem=self._problem,
        )

    def _open(self) -> FakeSink:
        self.sinks.append(FakeSink())
        self.opened.set()
        return self.sinks[-1]

    def _ask(self, heard_ns: int) -> bool:
        self.asked.append(heard_ns)
        answer = self.answers.pop(0) if self.answers else b""
        if answer is not None:
            asyncio.get_running_loop().call_soon(self.far.answer, answer, len(self.asked))
        return True

    def _problem(self) -> None:
        problem = self.speaker.problem
        self.problems.append(problem.problem if problem else None)

    async def let_play(self, blocks: int) -> None:
        sink = self.sinks[-1]
        wanted = len(sink.played) + blocks
        for _ in range(blocks):
            sink.room.put_nowait(None)
        async with asyncio.timeout(5):
            while len(sink.played) < wanted:
                await asyncio.sleep(0.001)

    async def __aenter__(self) -> Self:
        self.job = asyncio.create_task(self.speaker.run())
        await self.opened.wait()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.job.cancel()
        await asyncio.gather(self.job, return_exceptions=True)


async def test_each_block_is_asked_for_with_the_time_at_which_it_is_heard() -> None:
    async with Room() as room:
        room.answers = [LOUD] * 10
        await room.let_play(4)
        assert room.asked[:3] == [room.heard[0][1] + n * BLOCK_NS for n in (1, 2, 3)]
        assert [heard_ns for _, heard_ns in room.heard][1:4] == room.asked[:3]
        assert room.sinks[0].played[0] == SILENCE  # only the card can say when it plays


async def test_far_sound_is_heard_when_it_was_asked_for() -> None:
    async with Room() as room:
        room.answers = [LOUD] * 30
        await room.let_play(25)
        assert room.sinks[0].played[2:25] == [LOUD] * 23
        # Lip sync relies on it.
        assert [heard_ns for _, heard_ns in room.heard][1:25] == room.asked[:24]


async def test_no_answer_in_time_is_counted_and_fades_to_silence() -> None:
    async with Room() as room:
        room.answers = [LOUD, LOUD, None, LOUD]
        await room.let_play(4)
        faded = array("h", room.sinks[0].played[3])
        assert room.far.missed >= 1
        assert 0 < faded[0] < 8192
        assert list(faded) == sorted(faded, reverse=True)
        assert not any(faded[96:])


async def test_a_late_answer_never_shifts_the_stream() -> None:
    asked: list[int] = []
    clock = TurnedClock()
    far = FarSound(lambda heard_ns: asked.append(heard_ns) is None, clock)
    assert await far.block(1) is None
    assert await far.block(2) is None, "while an answer is outstanding, nobody could tell whose the next one is"
    assert asked == [1]
    far.answer(LOUD, 1)  # meant for the block that went out silent
    asking = asyncio.create_task(far.block(3))
    await asyncio.sleep(0)
    far.answer(b"\x02\x00" * 960, 3)
    assert await asking == AudioBlock(b"\x02\x00" * 960, 3)
    assert (far.missed, far.late) == (2, 1)


async def test_an_engine_that_fell_silent_is_heard_again_at_once() -> None:
    clock = TurnedClock()
    far = FarSound(lambda heard_ns: True, clock)
    for number in range(20):
        assert await far.block(number) is None
        clock.turn(20)
    clock.turn(FORGET_NS / 1e6)
    for number in range(3):
        asking = asyncio.create_task(far.block(number))
        await asyncio.sleep(0)
        far.answer(LOUD, number)
        assert await asking == AudioBlock(LOUD, number)


async def test_a_pipe_that_is_full_costs_a_block_and_no_waiting() -> None:
    far = FarSound(lambda heard_ns: False, MediaClock())
    assert await far.block(1) is None
    assert far.missed == 1


async def test_an_answer_that_nobody_asked_for_is_dropped() -> None:
    far = FarSound(lambda heard_ns: True, MediaClock())
    far.answer(LOUD, 1)
    assert far.late == 1


async def test_an_answer_of_the_wrong_size_breaks_the_pipe() -> None:
    far = FarSound(lambda heard_ns: True, MediaClock())
    with pytest.raises(PipeError, match="3 bytes"):
        far.answer(b"abc", 1)


async def test_a_lost_speaker_is_opened_again_while_the_far_end_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REOPEN_BLOCKS", 4)
    async with Room() as room:
        await room.let_play(2)
        room.opened.clear()
        asked = len(room.asked)
        room.sinks[0].xruns = 3
        room.sinks[0].room.put_nowait(DeviceError("unplugged", problem="speaker-missing"))
        async with asyncio.timeout(5):
            await room.opened.wait()
        assert room.problems == ["speaker-missing"]
        assert len(room.asked) >= asked + 4, "the engine's buffer must stay at the present"
        room.answers = [LOUD] * 3
        await room.let_play(3)
        assert room.problems == ["speaker-missing", None]
        assert room.speaker.xruns == 3
        assert LOUD in room.sinks[1].played or room.speaker.played >= 1


async def test_volume_changes_what_is_played_and_its_level() -> None:
    async with Room() as room:
        room.answers = [LOUD] * 20
        await room.let_play(3)
        room.speaker.take_power()
        room.speaker.volume.set(50)
        await room.let_play(3)
        assert array("h", room.sinks[0].played[-1])[500] == 8192 // 8
        room.speaker.volume.set(0)
        await room.let_play(3)
        assert not any(array("h", room.sinks[0].played[-1]))
