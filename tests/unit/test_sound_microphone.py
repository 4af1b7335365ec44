"""The microphone as the far end gets it: muted, lost, late, and back again."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Self

import pytest

from appliance.capture import microphone as module
from appliance.capture.microphone import Microphone
from appliance.errors import DeviceError
from appliance.media.clock import MediaClock
from appliance.media.values import BLOCK_NS, SILENCE, AudioBlock

LOUD = b"\x00\x20" * 960


class FakeSource:
    """Gives what the test puts in; an exception is raised where it stands."""

    def __init__(self) -> None:
        self.items: asyncio.Queue[AudioBlock | DeviceError] = asyncio.Queue()
        self.xruns = 0
        self.closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.closed = True

    async def __aiter__(self) -> AsyncIterator[AudioBlock]:
        while True:
            item = await self.items.get()
            if isinstance(item, DeviceError):
                raise item
            yield item


class Room:
    """A microphone under test with all that it sent."""

    def __init__(self, *, muted: bool = False) -> None:
        self.clock = MediaClock()
        self.sources: list[FakeSource] = []
        self.sent: list[tuple[bytes, int]] = []
        self.problems: list[str | None] = []
        self.news = asyncio.Event()
        self.microphone = Microphone(self._open, self._send, self.clock, muted=muted, on_problem=self._problem)

    def _open(self) -> FakeSource:
        self.sources.append(FakeSource())
        self.news.set()
        return self.sources[-1]

    def _send(self, samples: bytes, pts_ns: int) -> None:
        self.sent.append((samples, pts_ns))
        self.news.set()

    def _problem(self) -> None:
        problem = self.microphone.problem
        self.problems.append(problem.problem if problem else None)
        self.news.set()

    def speak(self, ago_ns: int = 0) -> int:
        pts_ns = self.clock.now_ns() - ago_ns
        self.sources[-1].items.put_nowait(AudioBlock(LOUD, pts_ns))
        return pts_ns

    async def until(self, true: Callable[[], bool]) -> None:
        async with asyncio.timeout(5):
            while not true():
                self.news.clear()
                await self.news.wait()

    async def __aenter__(self) -> Self:
        self.job = asyncio.create_task(self.microphone.run())
        await self.until(lambda: bool(self.sources))
        return self

    async def __aexit__(self, *_: object) -> None:
        self.job.cancel()
        await asyncio.gather(self.job, return_exceptions=True)


@pytest.fixture(autouse=True)
def quick_reopening(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REOPEN_S", 0.05)


async def test_what_the_room_says_is_sent_with_its_capture_time() -> None:
    async with Room() as room:
        pts_ns = room.speak()
        await room.until(lambda: (LOUD, pts_ns) in room.sent)
        assert room.microphone.captured == 1


async def test_a_microphone_muted_at_the_start_sends_not_one_block_of_sound() -> None:
    async with Room(muted=True) as room:
        for number in range(5):
            room.speak(ago_ns=-number * BLOCK_NS)
        await room.until(lambda: room.microphone.captured == 5 and len(room.sent) >= 8)
        assert all(samples == SILENCE for samples, _ in room.sent)


async def test_muting_holds_from_the_next_block_on_and_ends_with_it() -> None:
    async with Room() as room:
        first = room.speak()
        await room.until(lambda: (LOUD, first) in room.sent)
        room.microphone.muted = True
        second = first + BLOCK_NS
        room.sources[0].items.put_nowait(AudioBlock(LOUD, second))
        await room.until(lambda: room.microphone.captured == 2)
        assert (SILENCE, second) in room.sent
        room.microphone.muted = False
        third = first + 2 * BLOCK_NS
        room.sources[0].items.put_nowait(AudioBlock(LOUD, third))
        await room.until(lambda: room.microphone.captured == 3)
        assert (LOUD, third) in room.sent


async def test_the_level_is_seen_while_muted() -> None:
    async with Room(muted=True) as room:
        room.speak()
        await room.until(lambda: room.microphone.captured == 1)
        assert room.microphone.take_power() == pytest.approx(8192.0**2)
        assert room.microphone.take_power() == 0.0


async def test_silence_is_sent_each_20_ms_while_there_is_no_microphone() -> None:
    async with Room() as room:
        room.sources[0].items.put_nowait(DeviceError("unplugged", problem="microphone-missing"))
        await room.until(lambda: len(room.sent) >= 10)
        times = [pts_ns for _, pts_ns in room.sent]
        assert times == [times[0] + n * BLOCK_NS for n in range(len(times))]
        assert {samples for samples, _ in room.sent} == {SILENCE}
        assert room.problems == ["microphone-missing"]


async def test_a_lost_microphone_is_opened_again_and_its_problem_goes() -> None:
    async with Room() as room:
        room.sources[0].xruns = 2
        room.sources[0].items.put_nowait(DeviceError("unplugged", problem="microphone-missing"))
        await room.until(lambda: len(room.sources) == 2)
        assert room.sources[0].closed
        pts_ns = room.speak(ago_ns=0)
        await room.until(lambda: (LOUD, pts_ns) in room.sent)
        assert room.problems == ["microphone-missing", None]
        assert room.microphone.xruns == 2


async def test_a_problem_that_stays_is_told_once() -> None:
    async with Room() as room:
        for count in range(1, 4):
            await room.until(lambda count=count: len(room.sources) == count)
            room.sources[-1].items.put_nowait(DeviceError("unplugged", problem="microphone-missing"))
        await room.until(lambda: len(room.sources) == 4)
        assert room.problems == ["microphone-missing"]


async def test_a_hole_in_the_sound_is_filled_so_that_time_goes_on() -> None:
    async with Room() as room:
        first = room.speak(ago_ns=0)
        room.sources[0].items.put_nowait(AudioBlock(LOUD, first + 4 * BLOCK_NS))
        await room.until(lambda: room.microphone.captured == 2)
        begin = room.sent.index((LOUD, first))
        assert [samples for samples, _ in room.sent[begin:]] == [LOUD, SILENCE, SILENCE, SILENCE, LOUD]
        times = [pts_ns for _, pts_ns in room.sent[begin:]]
        assert times == [first + n * BLOCK_NS for n in range(5)]


async def test_time_never_goes_back() -> None:
    async with Room() as room:
        await room.until(lambda: len(room.sent) >= 3)  # silence stands in already
        room.speak(ago_ns=10 * BLOCK_NS)
        room.speak(ago_ns=-2 * BLOCK_NS)
        await room.until(lambda: room.microphone.captured == 1)
        times = [pts_ns for _, pts_ns in room.sent]
        assert times == sorted(times)
