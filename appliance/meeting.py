"""The meeting as a person sees it: standby, joining, live, rejoining, fault."""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace

from . import settings as settings_module
from .errors import ControlError, Unreachable, UplinkError
from .state import MeetingState, MeetingStatus, StateStore
from .supervisor import Backoff, Supervisor
from .uplink.session import Session

log = logging.getLogger(__name__)

SESSION_PROBLEMS = (
    "no-network",
    "mcu-unreachable",
    "mcu-credentials",
    "mcu-answer",
    "mcu-busy",
    "connection-lost",
    "far-silent",
)
# What no patience cures: the MCU refuses us, and a person must act.
REFUSALS = ("mcu-credentials", "mcu-answer")

# Between tries at an MCU that does not answer at all; each try knocks for some seconds.
NEAR = Backoff(base_s=1.0, cap_s=1.0)
AFTER_CHANGE_S = 0.3


class Meeting:
    """Follows the intent: opens sessions, tells the room how it stands, and never gives up by itself."""

    def __init__(
        self,
        store: StateStore,
        supervisor: Supervisor,
        meetings: Mapping[str, settings_module.Meeting],
        open_session: Callable[[settings_module.Meeting], Session],
        *,
        backoff: Backoff | None = None,
        network_changed: Callable[[], Awaitable[None]] | None = None,
        steady_s: float = 10.0,
        now: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        rng: random.Random | None = None,
    ) -> None:
        self._store = store
        self._supervisor = supervisor
        self._meetings = meetings
        self._open_session = open_session
        self._backoff = backoff or Backoff()
        self._network_changed = network_changed
        self._steady_s = steady_s
        self._now = now
        self._sleep = sleep
        self._rng = rng or random.Random()  # noqa: S311  jitter, not a secret
        self._wanted: str | None = None
        self._changed = asyncio.Event()
        self._live_since: float | None = None
        self.session: Session | None = None

    @property
    def status(self) -> MeetingStatus:
        return self._store.state.meeting

    @property
    def wanted(self) -> str | None:
        """The meeting that the room wants to be in."""
        return self._wanted

    # commands; both may be repeated without harm

    def join(self, meeting_id: str | None = None) -> str:
        """Want to be in this meeting (the first of the list when None). Returns its id."""
        if meeting_id is None:
            meeting_id = self._wanted or next(iter(self._meetings), None)
        if meeting_id is None:
            self._store.raise_problem("no-meeting")
            raise ControlError(
                "no meeting is configured; add one under [[meetings]] in the settings", code="no-meeting"
            )
        if meeting_id not in self._meetings:
            known = ", ".join(self._meetings) or "none"
            raise ControlError(f"no meeting {meeting_id!r} is configured (known: {known})", code="unknown-meeting")
        if meeting_id != self._wanted:
            self._want(meeting_id)
            meeting = self._meetings[meeting_id]
            self._become(
                MeetingState.JOINING, meeting_id=meeting.id, meeting_name=meeting.name, attempts=0, reconnects=0
            )
        return meeting_id

    def leave(self) -> None:
        """Want to be in no meeting."""
        if self._wanted is not None:
            self._want(None)
            self._become(MeetingState.STANDBY, meeting_id=None, meeting_name=None, attempts=0, reconnects=0)

    def _want(self, meeting_id: str | None) -> None:
        self._wanted = meeting_id
        # From here nothing of the room goes where it went; the goodbye to the MCU may take its time.
        self.session = None
        self._store.clear_problem(*SESSION_PROBLEMS, "no-meeting", "meeting-gone")
        self._changed.set()

    def connected(self) -> None:
        """The session's word that media flows."""
        if self.session is not None and self.status.state is not MeetingState.LIVE:
            # A session that fell silent may come back by itself: for the room that is the same as a new one.
            returned = self.status.state is MeetingState.REJOINING and self._live_since is not None
            self._live_since = time.monotonic()
            self._become(MeetingState.LIVE, attempts=0, reconnects=self.status.reconnects + returned)
            self._store.clear_problem(*SESSION_PROBLEMS)

    def lost(self, error: UplinkError) -> None:
        """The session's word that media have ceased: the room is told at once, not after the goodbye to a dead MCU."""
        if self.session is not None and self.status.state is MeetingState.LIVE:
            self._store.raise_problem(error.problem, str(error))
            self._become(MeetingState.REJOINING)

    def renew(self, error: UplinkError) -> None:
        """Take a new session in place of one that is live and does not do what it should."""
        if self.session is not None and self.status.state is MeetingState.LIVE:
            self.session.end(error)

    # the job

    async def run(self) -> None:
        """Follow the intent until cancelled; cancelled in a meeting, it says goodbye to the MCU."""
        while True:
            self._changed.clear()
            wanted = self._wanted
            if wanted is None:
                await self._changed.wait()
            else:
                await self._until_changed(self._stay_in(self._meetings[wanted]))

    async def _until_changed(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        changed = asyncio.ensure_future(self._changed.wait())
        try:
            await asyncio.wait((task, changed), return_when=asyncio.FIRST_COMPLETED)
        finally:
            changed.cancel()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        if task.done() and not task.cancelled():
            task.result()

    async def _stay_in(self, meeting: settings_module.Meeting) -> None:
        attempt = 0
        while True:
            self._live_since = None
            self._become(self.status.state)
            error: UplinkError
            try:
                self.session = self._open_session(meeting)
                await self.session.run()
                error = UplinkError("the session ended without a reason", problem="connection-lost")
            except UplinkError as failure:
                error = failure
            except Exception as bug:
                log.exception("session to %s failed unexpectedly", meeting.id)
                self._supervisor.count_bug()
                error = UplinkError(f"internal error: {bug}", problem="connection-lost")
            finally:
                self.session = None
            if self._changed.is_set():
                return  # the room wants something else by now; how this one ended is nobody's worry
            live_s = self._live_s()
            if live_s >= self._steady_s:
                attempt = 0
            if isinstance(error, Unreachable):
                # Nobody was bothered, so no wait has to grow by it: the line's return is to be noticed at once.
                delay = NEAR.delay_s(0, self._rng, error.retry_after_s)
            else:
                delay = self._backoff.delay_s(attempt, self._rng, error.retry_after_s)
                attempt += 1
            self._report(error, delay, was_live=live_s > 0)
            await self._pause(delay, may_end=not error.retry_after_s)

    async def _pause(self, delay: float, *, may_end: bool) -> None:
        """Wait; when the network changes meanwhile (a cable, an address, a route), no longer than a moment."""
        sleeping = asyncio.ensure_future(self._sleep(delay))
        if self._network_changed is None or not may_end:
            await sleeping
            return
        changed = asyncio.ensure_future(self._network_changed())
        try:
            await asyncio.wait((sleeping, changed), return_when=asyncio.FIRST_COMPLETED)
        finally:
            woken = changed.done() and not sleeping.done()
            for wait in (sleeping, changed):
                wait.cancel()
            await asyncio.gather(sleeping, changed, return_exceptions=True)
        if woken:
            # A whole building may have got its network back.
            await self._sleep(self._rng.uniform(0.0, min(delay, AFTER_CHANGE_S)))

    def _live_s(self) -> float:
        """Seconds that the session of now has been live; 0 when it never was."""
        return 0.0 if self._live_since is None else max(1e-9, time.monotonic() - self._live_since)

    def _report(self, error: UplinkError, delay: float, *, was_live: bool) -> None:
        status = self.status
        log.warning("meeting: %s; next try in %.1f s", error, delay)
        if error.problem in REFUSALS:
            state = MeetingState.FAULT
        elif was_live or status.state is MeetingState.REJOINING:
            state = MeetingState.REJOINING
        else:
            state = MeetingState.JOINING
        self._store.clear_problem(*(code for code in SESSION_PROBLEMS if code != error.problem))
        self._store.raise_problem(error.problem, str(error))
        self._become(
            state,
            attempts=status.attempts + 1,
            reconnects=status.reconnects + was_live,
            next_try_unix_s=self._now() + delay,
        )

    def _become(self, state: MeetingState, **changes: object) -> None:
        """The one place where the state changes. The next try is told by the change that it belongs to."""
        old = self.status
        new = replace(old, state=state, **{"next_try_unix_s": None, **changes})  # type: ignore[arg-type]
        if state is not old.state:
            new = replace(new, since_unix_s=self._now())
            log.info("meeting: %s -> %s", old.state, state)
        self._store.update(meeting=new)
