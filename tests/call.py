"""A real bridge point (engine and workers as processes) for tests, and what a person in the room would ask of it."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from appliance.control.client import ControlClient

from appliance.demo.measure import ShownFrame, audio_delays, read_recording, read_shown
from appliance.demo.measured import start_unit, workers_running
from appliance.demo.processes import Program, wait_for
from appliance.demo.unit import UnitPlan


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
        delays = audio_delays(read_recording(self.plan.taps, "mic"), read_recording(self.plan.taps, "speaker"))
        return [delay for _, delay in delays]

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
        """Wait until a picture captured after this moment (or after `since_ns`) is on our screen."""
        moment = time.monotonic_ns() if since_ns is None else since_ns

        async def newer() -> bool:
            newest = self.newest_picture_ns()
            return newest is not None and newest > moment

        return await self.until("new picture", newer, limit_s)

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


async def settled(seconds: float) -> None:
    """Let a call run for a while: the time is the test's subject, not a wait for something."""
    await asyncio.sleep(seconds)
