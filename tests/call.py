"""A real bridge point (engine and workers as processes) for tests, and what a person in the room would ask of it."""

import asyncio
import json
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np

from appliance.control.client import ControlClient
from appliance.demo.measure import NS, Recording, ShownFrame, audio_delays, read_recording, read_shown
from appliance.demo.measured import start_unit, workers_running
from appliance.demo.processes import Program, wait_for
from appliance.demo.unit import UnitPlan
from appliance.media.soundmark import find_beeps
from appliance.media.values import SAMPLE_RATE


class Unit:
    """A bridge point under test."""

    def __init__(self, plan: UnitPlan, engine: Program, client: ControlClient) -> None:
        self.plan = plan
        self.engine = engine
        self.client = client

    async def state(self) -> dict[str, Any]:
        state: dict[str, Any] = await self.client.ask("status")
        return state

    async def meeting(self) -> str:
        return str((await self.state())["meeting"]["state"])

    async def worker_pid(self, name: str) -> int | None:
        """The worker's process id while it runs."""
        worker = (await self.state())["workers"][name]
        return worker["pid"] if worker["state"] == "running" else None

    def shown(self, since_ns: int = 0) -> list[ShownFrame]:
        """Far-end pictures that were on screen since then."""
        return [frame for frame in read_shown(self.plan.taps / "shown.csv") if frame.shown_ns >= since_ns]

    def newest_picture_ns(self) -> int | None:
        """Capture time of the newest picture of a camera that this unit has shown."""
        codes = [frame.captured_ns for frame in self.shown() if frame.captured_ns is not None]
        return max(codes, default=None)

    def heard_delays_ms(self) -> list[float]:
        """Mouth to ear of our own sound, wherever it came back."""
        delays = audio_delays(read_recording(self.plan.taps, "mic"), self._heard())
        return [delay for _, delay in delays]

    def beeps(self, since_ns: int) -> list[int]:
        """When (MediaClock ns) each beep began that the speaker has played since then."""
        heard = self._heard(since_ns)
        return [heard.start_ns + at * NS // SAMPLE_RATE for at in find_beeps(heard.samples)]

    def heard_power(self, since_ns: int) -> float:
        """The mean square of what the speaker has played since then."""
        samples = self._heard(since_ns).samples.astype(np.float64)
        return float((samples * samples).mean()) if len(samples) else 0.0

    def _heard(self, since_ns: int = 0) -> Recording:
        return read_recording(self.plan.taps, "speaker").between(since_ns, self.now_ns() + NS)

    @staticmethod
    def now_ns() -> int:
        """The MediaClock."""
        return time.monotonic_ns()

    async def until(self, what: str, true: Callable[[], Awaitable[bool]], limit_s: float) -> float:
        """Wait until something holds; returns the seconds it took. Fails with the engine's last words."""
        began = time.monotonic()

        async def probe() -> bool | None:
            return await true() or None

        await wait_for(what, probe, [self.engine], limit_s)
        return time.monotonic() - began

    async def until_meeting(self, state: str, limit_s: float = 15) -> float:
        async def there() -> bool:
            return await self.meeting() == state

        return await self.until(f"meeting {state}", there, limit_s)

    async def until_new_picture(self, limit_s: float = 10, *, since_ns: int | None = None) -> float:
        """Wait until a picture captured after this moment (or after `since_ns`) is on our screen; seconds from then."""
        moment = self.now_ns() if since_ns is None else since_ns

        async def newer() -> bool:
            newest = self.newest_picture_ns()
            return newest is not None and newest > moment

        await self.until("new picture", newer, limit_s)
        shown = [f.shown_ns for f in self.shown() if f.captured_ns is not None and f.captured_ns > moment]
        return (min(shown) - moment) / NS

    async def until_shown(self, limit_s: float, *, since_ns: int) -> float:
        """Wait until any far-end picture is shown after `since_ns`; seconds from then to that picture."""

        async def shown() -> bool:
            return bool(self.shown(since_ns + 1))

        await self.until("a picture", shown, limit_s)
        return (self.shown(since_ns + 1)[0].shown_ns - since_ns) / NS

    async def until_beep(self, limit_s: float, *, since_ns: int = 0) -> float:
        """Wait until the speaker has begun a beep after `since_ns`; seconds from then to that beep."""

        async def beeped() -> bool:
            return bool(self.beeps(since_ns))

        await self.until("a beep", beeped, limit_s)
        return (self.beeps(since_ns)[0] - since_ns) / NS

    async def until_heard(self, moment_ns: int) -> None:
        """Wait until the record of what was played reaches up to that moment."""

        async def reached() -> bool:
            heard = self._heard()
            return heard.start_ns + len(heard.samples) * NS // SAMPLE_RATE >= moment_ns

        await self.until("the sound", reached, (moment_ns - self.now_ns()) / NS + 5)

    async def until_intent_saved(self) -> None:
        """Wait until the disk holds the wishes that the state shows."""

        async def saved() -> bool:
            state = await self.state()
            intent = json.loads(self.plan.folder.joinpath("intent.json").read_text())
            wanted = (state["meeting"]["id"], state["muted"], state["camera_on"])
            return (intent["meeting_id"], intent["muted"], intent["camera_on"]) == wanted

        await self.until("the intent on disk", saved, 3)

    async def joined(self) -> None:
        await self.client.ask("join")
        await self.until_meeting("live")
        await self.until_new_picture()

    async def leave(self) -> None:
        await self.client.ask("leave")
        await self.until_meeting("standby")

    def kill_engine(self) -> None:
        os.kill(self.engine.pid, signal.SIGKILL)


@asynccontextmanager
async def a_unit(plan: UnitPlan) -> AsyncIterator[Unit]:
    """Start the unit's programs and wait until its three workers run."""
    async with AsyncExitStack() as parts:
        engine, *_ = await start_unit(parts, plan)

        async def ready() -> ControlClient | None:
            return await workers_running(plan.socket)

        client = await wait_for("workers", ready, [engine], 30)
        parts.push_async_callback(client.close)
        yield Unit(plan, engine, client)


def plan_for(folder: Path, send_url: str, receive_url: str, **more: Any) -> UnitPlan:
    """A measured unit with test card and beep."""
    return UnitPlan("Xã Tân Lập", folder, send_url, receive_url, measured=True, **more)


def children_of(pid: int) -> list[int]:
    """Process ids whose parent is `pid`."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = entry.joinpath("stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[1]) == pid:
                found.append(int(entry.name))
    return found


def is_running(pid: int) -> bool:
    """True while the process exists and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


async def vanished(pids: list[int], limit_s: float) -> None:
    """Wait until none of the processes runs any more."""

    async def gone() -> bool | None:
        return not any(is_running(pid) for pid in pids) or None

    await wait_for(f"the end of {pids}", gone, [], limit_s)


async def settled(seconds: float) -> None:
    """Let a call run for a while: the time is the test's subject, not a wait for something."""
    await asyncio.sleep(seconds)
