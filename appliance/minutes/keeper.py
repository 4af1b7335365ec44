"""Keeps the minutes of a running unit: watches its state, and writes beside the call, never in its way."""

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from appliance import __version__
from appliance.errors import MinutesError
from appliance.state import StateStore

from .clerk import Clerk, Desk, Line
from .journal import ChangedFileError, Journal
from .notes import Instant, Kind, Note
from .observer import Observer

log = logging.getLogger(__name__)

LOOK_EVERY_S = 1.0
# A meeting of three hours on a quiet line; then the oldest figures are let go, and counted.
MAX_WAITING = 512
BATCH = 64
RETRY_S = 5.0
RETRY_MAX_S = 60.0
GOODBYE_S = 2.0
_FAILING = "the minutes cannot be written"


def boot_id() -> str:
    """Tells one start of this machine from another."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()[:8]
    except OSError:
        return "unknown"


class Book:
    """What the writing thread holds: journal, clerk and the desk between them."""

    def __init__(self, journal: Journal, clerk: Clerk) -> None:
        self._journal = journal
        self._clerk = clerk
        self._desk: Desk | None = None
        self._lock = threading.Lock()

    def write(self, notes: Sequence[Note]) -> None:
        """Write all notes or none. Raises OSError; may then be tried again with the same notes."""
        with self._lock:
            try:
                self._write(notes)
            except (ChangedFileError, FileNotFoundError):
                self._desk = None
                self._journal.close()
                raise

    def close(self) -> None:
        with self._lock:
            self._desk = None
            self._journal.close()

    def _write(self, notes: Sequence[Note]) -> None:
        if self._desk is None:
            self._desk = self._journal.open()
        desk = self._desk
        lines: list[Line] = []
        for note in notes:
            for line in self._clerk.lines(desk, note):
                lines.append(line)
                desk = desk.after(line)
        self._journal.append(lines, self._desk, notes[-1].at)
        self._desk = replace(desk, has_written=True)


class Minutes:
    """`run()` is a job for the Supervisor."""

    def __init__(
        self,
        store: StateStore,
        folder: Path,
        *,
        book: Book | None = None,
        now: Callable[[], Instant] = Instant.now,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._store = store
        self._book = book or Book(Journal(folder), Clerk(boot_id(), __version__))
        self._now = now
        self._sleep = sleep
        self._observer = Observer()
        self._waiting: deque[Note] = deque()
        self._batch: list[Note] = []
        self._writing: asyncio.Future[None] | None = None
        self._wakeup = asyncio.Event()
        self.lost = 0

    async def run(self) -> None:
        """Watch and write until cancelled. Raises MinutesError, also for bugs: no meeting may end for its minutes."""
        self._observer = Observer()
        try:
            async with asyncio.TaskGroup() as jobs:
                jobs.create_task(self._watch())
                jobs.create_task(self._tick())
                jobs.create_task(self._write())
        except asyncio.CancelledError:
            for note in self._observer.stop(self._now()):
                self._put(note)
            await self._goodbye()
            raise
        except Exception as bug:
            # Not a bug for the Supervisor's count: five of those end the process, and the call with it.
            log.exception("minutes: failed unexpectedly")
            raise MinutesError(f"the minutes failed unexpectedly: {bug}") from bug

    async def _watch(self) -> None:
        async for _ in self._store.changes():
            self._look()

    async def _tick(self) -> None:
        while True:
            await self._sleep(LOOK_EVERY_S)
            self._look()

    def _look(self) -> None:
        for note in self._observer.look(self._store.state, self._now()):
            self._put(note)

    def _put(self, note: Note) -> None:
        """Figures go before what happened: they are the most, and the least missed."""
        if len(self._waiting) >= MAX_WAITING:
            oldest = next((old for old in self._waiting if old.kind is Kind.QUALITY), self._waiting[0])
            self._waiting.remove(oldest)
            self.lost += 1
        self._waiting.append(note)
        self._wakeup.set()

    async def _write(self) -> None:
        failures = 0
        while True:
            if not self._take_batch():
                self._wakeup.clear()
                await self._wakeup.wait()
                continue
            try:
                await self._write_batch()
            except OSError as error:
                if not failures:
                    log.error("%s: %s", _FAILING, error)
                self._store.raise_problem("storage-failing", f"{_FAILING}: {error}")
                await self._sleep(min(RETRY_MAX_S, RETRY_S * 2**failures))
                failures = min(failures + 1, 10)
            else:
                if failures:
                    log.info("the minutes are written again")
                    self._withdraw_problem()
                failures = 0

    def _take_batch(self) -> bool:
        """What is to be written next; a batch that could not be written is first of all."""
        if not self._batch:
            if self.lost and self._waiting:
                self._batch.append(Note(Kind.LINES_LOST, self._waiting[0].at, {"count": self.lost}))
                self.lost = 0
            while self._waiting and len(self._batch) < BATCH:
                self._batch.append(self._waiting.popleft())
        return bool(self._batch)

    async def _write_batch(self) -> None:
        """Raises OSError; the batch is then tried again. A write that has begun goes on when this is cancelled."""
        if self._writing is None:
            self._writing = asyncio.ensure_future(asyncio.to_thread(self._book.write, tuple(self._batch)))
        try:
            await asyncio.shield(self._writing)
        except OSError:
            self._writing = None
            raise
        except Exception:
            # What cannot be written for a bug would fail for ever.
            self._writing = None
            self.lost += len(self._batch)
            self._batch.clear()
            raise
        self._writing = None
        self._batch.clear()

    async def _goodbye(self) -> None:
        """Write what is left; a card that hangs does not hold up the unit's end for longer than GOODBYE_S."""
        with suppress(TimeoutError, OSError):
            async with asyncio.timeout(GOODBYE_S):
                while self._take_batch():
                    await self._write_batch()
                await asyncio.to_thread(self._book.close)

    def _withdraw_problem(self) -> None:
        """Only our own: the settings and the intent use the same card."""
        for problem in self._store.state.problems:
            if problem.code == "storage-failing" and problem.detail.startswith(_FAILING):
                self._store.clear_problem("storage-failing")
