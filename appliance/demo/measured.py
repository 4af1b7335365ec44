"""One bridge point in a meeting with the lab MCU for some seconds, and the figures of that call."""

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import aiohttp

from appliance.control.client import ControlClient
from appliance.errors import ControlError

from .figures import from_records
from .processes import Program, bridgepoint, free_port, last_words_of, wait_for
from .tally import Tally
from .unit import UnitPlan

Say = Callable[[str], None]
START_LIMIT_S = 30.0
JOIN_LIMIT_S = 20.0


async def measured(
    seconds: float, *, video: Path | None = None, audio: Path | None = None, panel: str | None = None, say: Say
) -> dict[str, Any]:
    """Hold a call of `seconds` and return its figures (docs/demo.md names them all).

    The lab MCU repeats the unit's own sound (`--echo`), so that mouth to ear can be measured. Raises DemoError.
    """
    with TemporaryDirectory(prefix="bridgepoint-") as folder:
        async with AsyncExitStack() as parts:
            root = Path(folder)
            mcu, mcu_url = await start_mcu(parts, root, echo=True)
            say(f"lab MCU at {mcu_url}")
            plan = UnitPlan.at_lab_mcu(
                "Xã Tân Lập",
                root / "unit",
                mcu_url,
                video_file=video,
                audio_file=audio,
                panel=panel,
                measured=True,
            )
            programs = [mcu, *await start_unit(parts, plan)]
            client = await wait_for("bridge point", lambda: workers_running(plan.socket), programs, START_LIMIT_S)
            parts.push_async_callback(client.close)
            say(f"bridge point {plan.name}: ready; joining")
            with last_words_of(programs):
                figures = await _call(client, plan, programs, seconds, say)
        # The programs have ended: their records are complete.
        return figures | from_records(plan.taps, *figures.pop("records"))


async def start_mcu(parts: AsyncExitStack, root: Path, *, echo: bool, port: int | None = None) -> tuple[Program, str]:
    """Start a lab MCU on loopback and wait until it answers."""
    listen = f"127.0.0.1:{port or free_port()}"
    command = bridgepoint("lab-mcu", "--listen", listen, *(["--echo"] if echo else []))
    mcu = Program("lab MCU", command, root / "mcu.log")
    await parts.enter_async_context(mcu)
    url = f"http://{listen}"
    async with aiohttp.ClientSession() as http:

        async def answers() -> bool | None:
            try:
                async with http.get(f"{url}/api/rooms") as answer:
                    return answer.status == 200 or None
            except aiohttp.ClientError:
                return None

        await wait_for("lab MCU", answers, [mcu], START_LIMIT_S)
    return mcu, url


async def start_unit(parts: AsyncExitStack, plan: UnitPlan) -> Sequence[Program]:
    """Write the unit's settings and start its programs."""
    plan.prepare()
    return [await parts.enter_async_context(program) for program in plan.programs()]


async def workers_running(socket: Path) -> ControlClient | None:
    """A client of the unit's control socket, once its three workers run."""
    try:
        client = await ControlClient.connect(socket)
    except ControlError:
        return None
    state = await client.ask("status")
    if sum(worker["state"] == "running" for worker in state["workers"].values()) == 3:
        return client
    await client.close()
    return None


async def _call(
    client: ControlClient, plan: UnitPlan, programs: Sequence[Program], seconds: float, say: Say
) -> dict[str, Any]:
    pids = {"mcu": programs[0].pid, "engine": programs[1].pid}
    if len(programs) > 2:
        pids["panel"] = programs[2].pid
    tally = Tally(await client.ask("status"), pids)
    joined_ns = time.monotonic_ns()
    await client.ask("join")

    async def live() -> bool | None:
        return (await client.ask("status"))["meeting"]["state"] == "live" or None

    await wait_for("meeting", live, programs, JOIN_LIMIT_S)
    live_ns = time.monotonic_ns()
    say("live")
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        for program in programs:
            program.check()
        await asyncio.sleep(min(left, 0.5))
        state = await client.ask("status")
        tally.note(state)
    ended_ns = time.monotonic_ns()
    await client.ask("leave")
    cpu, pss = tally.cpu_s, tally.pss_mb
    mcu = {"cpu_s": cpu.pop("mcu", None), "pss_mb": pss.pop("mcu", None)}
    return {
        "state": state["meeting"]["state"],
        "seconds": round((ended_ns - joined_ns) / 1e9, 1),
        "problems": [problem["code"] for problem in state["problems"]],
        "cpu_s": cpu,
        "pss_mb": pss,
        "mcu": mcu,
        "records": (joined_ns, live_ns, ended_ns, tally.counts),
    }
