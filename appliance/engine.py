"""The daemon: builds every part, runs them until a signal, and stops them in reverse. Packets only, no pixels."""

import asyncio
import gc
import logging
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from . import settings_store
from .board.gpio import GpioBoard
from .board.lights import lights_for
from .board.presses import HoldOff
from .control.server import ControlServer
from .errors import ControlError, DeviceError
from .intent import Intent, IntentFile
from .media_care import MediaCare
from .meeting import Meeting
from .minutes.keeper import Minutes
from .minutes.segments import FOLDER as MINUTES_FOLDER
from .problems import storage_code
from .routing import MediaRouter
from .settings import Meeting as MeetingSettings
from .settings import Settings
from .state import ApplianceState, StateStore
from .state_folder import held
from .supervisor import Backoff, Supervisor
from .uplink.factory import open_session
from .uplink.ghosts import Ghosts
from .uplink.line import Line
from .uplink.network import NetworkWatch
from .uplink.session import Session

log = logging.getLogger(__name__)

# A worker that kept failing is forgiven after it has run this long.
CALM_S = 10.0
# What could not be saved is tried again so often: the card may have been emptied meanwhile.
SAVE_AGAIN_S = 10.0


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """Where the engine finds and keeps things. `tap_dir`: record what was captured, shown and heard, to measure it."""

    state_dir: Path
    socket_path: Path
    defaults: Path | None = None
    tap_dir: Path | None = None


class Engine:
    """Every part of a unit, and the commands that people give it (control.server.Commands)."""

    def __init__(
        self,
        options: EngineOptions,
        settings: Settings,
        store: StateStore,
        *,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._options = options
        self._settings = settings
        self._store = store
        self._supervisor = Supervisor()
        self._ghosts = Ghosts()
        self._intent = Intent(muted=settings.audio.join_muted)
        self._intent_file = IntentFile(options.state_dir / "intent.json", self._intent)
        self._saving: set[asyncio.Task[None]] = set()
        self._is_saved = True
        self._presses = HoldOff(now)
        self._network = NetworkWatch()
        self._line = Line(self._network)
        self._meeting = Meeting(
            store,
            self._supervisor,
            {meeting.id: meeting for meeting in settings.meetings},
            self._open_session,
            network_changed=self._network.changed,
        )
        self._router = MediaRouter(settings, store, lambda: self._meeting.session, options.tap_dir)
        self._router.on_session(self._meeting.connected, self._meeting.lost)
        self._care = MediaCare(
            store,
            self._router,
            lambda: self._meeting.session,
            self._meeting.renew,
            promises_sound=settings.audio.source == "alsa",
        )
        self._minutes = Minutes(store, options.state_dir / MINUTES_FOLDER)
        self._board: GpioBoard | None = None

    def _open_session(self, meeting: MeetingSettings) -> Session:
        return open_session(
            meeting, self._settings, self._router, self._ghosts, self._line, carried_bps=self._router.carried_bps
        )

    async def run(self) -> None:
        """Run until cancelled; a meeting that stands is left with a goodbye, and kept as the intent."""
        self._resume()
        async with AsyncExitStack() as parts:
            await parts.enter_async_context(ControlServer(self._options.socket_path, self, self._store))
            await self._open_board(parts)
            await parts.enter_async_context(self._network)
            async with asyncio.TaskGroup() as jobs:
                jobs.create_task(self._router.run(self._supervisor))
                jobs.create_task(self._meeting.run())
                jobs.create_task(self._care.run())
                jobs.create_task(self._show_lights())
                jobs.create_task(self._count())
                jobs.create_task(self._keep_saved())
                # After the meeting: its first look must find the unit back in the meeting that it returns to.
                jobs.create_task(self._supervisor.keep("minutes", self._minutes.run, backoff=Backoff(5.0, 60.0)))

    def _resume(self) -> None:
        self._intent = self._intent_file.load()
        self._store.update(muted=self._intent.muted, camera_on=self._intent.camera_on)
        if self._intent.meeting_id is not None:
            try:
                self._meeting.join(self._intent.meeting_id)
                for endpoint in self._endpoints(self._intent.meeting_id):
                    # The process before may have had no time to say goodbye.
                    self._ghosts.left_at(endpoint)
                log.info("back into meeting %s, where the unit was when it stopped", self._intent.meeting_id)
            except ControlError as error:
                log.warning("cannot return to the meeting: %s", error)
                self._store.raise_problem("meeting-gone", str(error))

    def _endpoints(self, meeting_id: str) -> tuple[str, ...]:
        return next(((m.send_url, m.receive_url) for m in self._settings.meetings if m.id == meeting_id), ())

    async def _open_board(self, parts: AsyncExitStack) -> None:
        if not self._settings.board.enabled:
            return
        try:
            self._board = await parts.enter_async_context(GpioBoard(self._settings.board, self._button_pressed))
        except DeviceError as error:
            log.error("%s", error)
            self._store.raise_problem(error.problem, str(error))

    async def _show_lights(self) -> None:
        async for state in self._store.changes():
            if self._board is not None:
                self._board.show(lights_for(state))

    async def _count(self) -> None:
        """Once a second: the session's numbers into the snapshot, and old worries out of it."""
        while True:
            await asyncio.sleep(1.0)
            session = self._meeting.session
            self._store.set_numbers("session", session.numbers() if session is not None else {})
            self._router.withdraw_worker_problem(CALM_S)
            self._router.look_at_line(session.numbers() if session is not None else {})

    def _remember(self, **changes: Any) -> None:
        intent = replace(self._intent, **changes)
        if intent != self._intent:
            self._intent = intent
            # The command is not held up by a slow card; the write order is the file's own care.
            task = asyncio.ensure_future(self._save(intent))
            self._saving.add(task)
            task.add_done_callback(self._saving.discard)

    async def _save(self, intent: Intent) -> None:
        try:
            await self._intent_file.save(intent)
        except OSError as error:
            log.error("the intent cannot be saved (%s): a power cut would end the meeting", error)
            self._is_saved = False
            self._store.raise_problem(storage_code(error), str(error))
        else:
            self._is_saved = True
            self._store.clear_problem("storage-failing", "storage-full")

    async def _keep_saved(self) -> None:
        """Save again what could not be saved."""
        while True:
            await asyncio.sleep(SAVE_AGAIN_S)
            if not self._is_saved:
                await self._save(self._intent)

    async def saved(self) -> None:
        """Wait for what is being written."""
        await asyncio.gather(*self._saving)

    # commands

    def join(self, meeting_id: str | None = None) -> None:
        """Join a meeting (the first of the list when None); joining the one we are in changes nothing."""
        was_in = self._intent.meeting_id
        joined = self._meeting.join(meeting_id)
        if joined != was_in and self._settings.audio.join_muted:
            self.mute(on=True)
        self._remember(meeting_id=joined)

    def leave(self) -> None:
        """Leave the meeting; the microphone is again as it is to be at the next one's start."""
        was_in = self._intent.meeting_id
        self._meeting.leave()
        self._remember(meeting_id=None)
        # Only now, when nothing of the room leaves any more.
        if was_in is not None:
            self.mute(on=self._settings.audio.join_muted)

    def mute(self, *, on: bool) -> None:
        self._router.set_muted(on)
        self._remember(muted=on)

    def camera(self, *, on: bool) -> None:
        self._router.set_camera(on)
        self._remember(camera_on=on)

    async def press(self, button: str) -> None:
        """Press a button of the board, or what stands for it where there is none."""
        if self._board is not None:
            await self._board.press(button)
        else:
            self._button_pressed(button)

    async def snapshot(self) -> bytes:
        return await self._router.snapshot()

    def changes(self) -> AsyncIterator[ApplianceState]:
        return self._store.changes()

    def _button_pressed(self, button: str) -> None:
        if not self._presses.admits(button):
            log.info("button: %s once more at once; taken for the same press", button)
            return
        log.info("button: %s", button)
        if button == "mute":
            self.mute(on=not self._store.state.muted)
        elif self._meeting.wanted is None:
            try:
                self.join()
            except ControlError as error:
                log.warning("button start: %s", error)
        else:
            self.leave()


async def serve(options: EngineOptions) -> None:
    """Run a unit until SIGTERM or SIGINT."""
    with held(options.state_dir):
        await _serve(options)


async def _serve(options: EngineOptions) -> None:
    loaded = settings_store.load(options.state_dir, options.defaults)
    settings = loaded.settings
    store = StateStore(ApplianceState(unit_name=settings.unit.name, language=settings.unit.language))
    for problem in loaded.problems:
        store.raise_problem(problem.code, problem.detail)
    engine = Engine(options, settings, store)
    task = asyncio.ensure_future(engine.run())
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, task.cancel)
    # What start-up made stays: later collections need not walk it while packets wait.
    gc.collect()
    gc.freeze()
    try:
        await task
    except asyncio.CancelledError:
        log.info("stopping")
    finally:
        await engine.saved()
