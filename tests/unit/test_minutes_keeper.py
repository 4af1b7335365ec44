"""The job that keeps the minutes of a running unit: it never disturbs the call, whatever the card does."""

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from appliance.errors import MinutesError
from appliance.minutes.clerk import Clerk
from appliance.minutes.journal import Journal
from appliance.minutes.keeper import MAX_WAITING, Book, Minutes
from appliance.minutes.notes import Instant, Kind, Note
from appliance.minutes.reading import Walk, meetings
from appliance.minutes.record import Record, Status, record_of
from appliance.state import ApplianceState, MeetingState, MeetingStatus, StateStore
from appliance.supervisor import Backoff, Supervisor


class FailingBook(Book):
    """A book whose card fails as long as the test wants."""

    def __init__(self, folder: Path) -> None:
        super().__init__(Journal(folder), Clerk("b", "0.1.0"))
        self.fault: BaseException | None = None
        self.hangs = threading.Event()
        self.hangs.set()
        self.tries = 0
        self.written: list[Kind] = []

    def write(self, notes: Sequence[Note]) -> None:
        self.tries += 1
        self.hangs.wait(20)
        if self.fault is not None:
            raise self.fault
        super().write(notes)
        self.written += [note.kind for note in notes]


class Rig:
    """A keeper under test: its clock stands unless the test moves it, its waits end when the test says."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = StateStore(ApplianceState(unit_name="Xã Tân Lập"))
        self.book = FailingBook(folder)
        self.mono_ns = 10**9
        self.retry = asyncio.Event()
        self.waits: list[float] = []
        self.minutes = Minutes(self.store, folder, book=self.book, now=self.now, sleep=self.sleep)

    def now(self) -> Instant:
        return Instant(1_790_000_000 * 10**9 + self.mono_ns, self.mono_ns)

    async def sleep(self, seconds: float) -> None:
        if seconds == 1.0:  # the look each second
            await asyncio.Event().wait()
        self.waits.append(seconds)
        await self.retry.wait()
        self.retry.clear()

    def meeting(self, state: MeetingState) -> None:
        known = (None, None) if state is MeetingState.STANDBY else ("a", "A")
        self.store.update(meeting=MeetingStatus(state, *known))

    async def until(self, true: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not true():
                await asyncio.sleep(0.002)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.ensure_future(self.minutes.run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    @property
    def codes(self) -> list[str]:
        return [problem.code for problem in self.store.state.problems]

    def records(self) -> list[Record]:
        return [record_of(held) for held in meetings(Walk(self.folder))]


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    rig = Rig(tmp_path / "minutes")
    yield rig
    rig.book.hangs.set()


async def test_what_happens_is_on_disk_at_once(rig: Rig) -> None:
    async with rig.running():
        rig.meeting(MeetingState.JOINING)
        await rig.until(lambda: Kind.START in rig.book.written)
        rig.meeting(MeetingState.LIVE)
        await rig.until(lambda: Kind.STATE in rig.book.written)
        assert [record.status for record in rig.records()] == [Status.OPEN]
        rig.meeting(MeetingState.STANDBY)
        await rig.until(lambda: Kind.END in rig.book.written)
    assert [record.status for record in rig.records()] == [Status.ENDED]


async def test_between_events_there_is_one_write_a_minute(rig: Rig) -> None:
    async with rig.running():
        rig.meeting(MeetingState.LIVE)
        await rig.until(lambda: Kind.START in rig.book.written)
        before = rig.book.tries
        for second in range(180):
            rig.mono_ns += 10**9
            rig.store.set_numbers("screen", {"shown": second})
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        await rig.until(lambda: rig.book.written.count(Kind.QUALITY) == 3)
        assert rig.book.tries - before <= 3


async def test_a_full_card_is_told_and_what_was_noted_meanwhile_is_written_later(rig: Rig) -> None:
    async with rig.running():
        rig.book.fault = OSError(28, "No space left on device")
        rig.meeting(MeetingState.JOINING)
        await rig.until(lambda: "storage-failing" in rig.codes)
        rig.meeting(MeetingState.LIVE)
        rig.retry.set()
        await rig.until(lambda: len(rig.waits) == 2)
        rig.book.fault = None
        rig.retry.set()
        await rig.until(lambda: Kind.STATE in rig.book.written)
        await rig.until(lambda: "storage-failing" not in rig.codes)
        await rig.until(lambda: Kind.PROBLEM_END in rig.book.written)
        assert rig.waits[0] < rig.waits[1]
    (record,) = rig.records()
    assert [fault.code for fault in record.faults] == ["storage-failing"]
    assert record.join_ms == 0


async def test_another_s_word_of_a_failing_card_is_not_taken_back(rig: Rig) -> None:
    async with rig.running():
        rig.book.fault = OSError(5, "Input/output error")
        rig.meeting(MeetingState.JOINING)
        await rig.until(lambda: "storage-failing" in rig.codes)
        rig.store.raise_problem("storage-failing", "the intent cannot be saved")
        rig.book.fault = None
        rig.retry.set()
        await rig.until(lambda: Kind.START in rig.book.written)
        assert rig.codes == ["storage-failing"]


async def test_a_card_that_hangs_holds_up_nothing_and_memory_is_bounded(rig: Rig) -> None:
    async with rig.running():
        rig.book.hangs.clear()
        for number in range(MAX_WAITING):
            rig.mono_ns += 61 * 10**9
            rig.meeting(MeetingState.LIVE if number % 2 else MeetingState.STANDBY)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        assert rig.minutes.lost > 0
        rig.book.hangs.set()
        await rig.until(lambda: Kind.LINES_LOST in rig.book.written)
    walk = Walk(rig.folder)
    kinds = [held.entry.fields["kind"] for held in walk]
    assert walk.chain.broken is None
    assert walk.chain.lines_lost > 0
    assert kinds.count("start") > kinds.count("quality"), "figures are let go before what happened"


async def test_a_card_that_hangs_does_not_hold_up_the_end_of_the_unit(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("appliance.minutes.keeper.GOODBYE_S", 0.05)
    async with rig.running():
        rig.meeting(MeetingState.LIVE)
        await rig.until(lambda: Kind.START in rig.book.written)
        rig.book.hangs.clear()
        rig.meeting(MeetingState.REJOINING)
        await rig.until(lambda: rig.book.tries == 2)
        began = asyncio.get_running_loop().time()
    assert asyncio.get_running_loop().time() - began < 5


async def test_a_unit_that_is_stopped_in_a_meeting_says_so_and_goes_on_with_it(rig: Rig, tmp_path: Path) -> None:
    async with rig.running():
        rig.meeting(MeetingState.LIVE)
        await rig.until(lambda: Kind.START in rig.book.written)
        rig.mono_ns += 30 * 10**9
    assert rig.book.written[-2:] == [Kind.QUALITY, Kind.STOPPED]
    again = Rig(rig.folder)
    again.mono_ns = rig.mono_ns + 5 * 10**9
    again.meeting(MeetingState.JOINING)
    async with again.running():
        await again.until(lambda: Kind.START in again.book.written)
    (record,) = again.records()
    assert [(fault.code, fault.lasted_ms) for fault in record.faults] == [("unit-stopped", 5000)]


async def test_a_bug_in_the_minutes_ends_no_call_and_the_record_goes_on(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Twenty bugs within a minute: five are enough to end the process where the Supervisor counts them."""
    bugs = 0
    real = rig.now

    def now() -> Instant:
        nonlocal bugs
        if rig.store.state.muted is False and bugs < 20:
            bugs += 1
            raise ZeroDivisionError("a bug")
        return real()

    monkeypatch.setattr(rig.minutes, "_now", now)
    supervisor = Supervisor()
    job = asyncio.ensure_future(supervisor.keep("minutes", rig.minutes.run, backoff=Backoff(0.0, 0.0)))
    rig.meeting(MeetingState.LIVE)
    await rig.until(lambda: Kind.START in rig.book.written)
    with caplog.at_level(logging.ERROR):
        rig.store.update(muted=False)
        await rig.until(lambda: rig.book.written.count(Kind.START) == 2)
    assert not job.done()
    assert "a bug" in caplog.text
    rig.meeting(MeetingState.STANDBY)
    await rig.until(lambda: Kind.END in rig.book.written)
    job.cancel()
    await asyncio.gather(job, return_exceptions=True)
    (record,) = rig.records()
    assert [fault.code for fault in record.faults] == ["minutes-restarted"]
    assert record.interruptions == 0, "the meeting did not notice"


async def test_notes_that_a_bug_keeps_from_being_written_are_let_go_and_counted(rig: Rig) -> None:
    rig.book.fault = ValueError("a bug")
    rig.meeting(MeetingState.LIVE)
    with pytest.raises(MinutesError):
        await rig.minutes.run()
    assert rig.minutes.lost == 1


async def test_a_cancelled_write_is_neither_lost_nor_written_twice(rig: Rig) -> None:
    async with rig.running():
        rig.meeting(MeetingState.LIVE)
        await rig.until(lambda: Kind.START in rig.book.written)
        rig.book.hangs.clear()
        rig.meeting(MeetingState.REJOINING)
        await rig.until(lambda: rig.book.tries == 2)
        asyncio.get_running_loop().call_later(0.05, rig.book.hangs.set)
    assert rig.book.written.count(Kind.STATE) == 1
    assert rig.book.written[-1] is Kind.STOPPED
