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

from .measure import audio_delays, audio_gaps, av_offset, percentiles, read_recording, read_shown, video_figures
from .processes import Cost, Program, bridgepoint, cost_of, free_port, wait_for
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
            figures = await _call(client, plan, programs, seconds, say)
        # The programs have ended: their records are complete.
        return figures | _from_records(plan.taps, figures)


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
    state = await client.ask("status")
    pids = {"engine": programs[1].pid} | {name: worker["pid"] for name, worker in state["workers"].items()}
    if len(programs) > 2:
        pids["panel"] = programs[2].pid
    before_numbers = state["numbers"]
    before = _costs(pids | {"mcu": programs[0].pid})
    joined_ns = time.monotonic_ns()
    await client.ask("join")

    async def live() -> bool | None:
        return (await client.ask("status"))["meeting"]["state"] == "live" or None

    await wait_for("meeting", live, programs, JOIN_LIMIT_S)
    say("live")
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        for program in programs:
            program.check()
        await asyncio.sleep(min(left, 0.5))
    state = await client.ask("status")
    after = _costs(pids | {"mcu": programs[0].pid})
    ended_ns = time.monotonic_ns()
    await client.ask("leave")
    cpu = {name: round(after[name].cpu_s - before[name].cpu_s, 2) for name in after if name in before}
    pss = {name: round(cost.pss_mb, 1) for name, cost in after.items()}
    return {
        "state": state["meeting"]["state"],
        "seconds": round((ended_ns - joined_ns) / 1e9, 1),
        "joined_ns": joined_ns,
        "ended_ns": ended_ns,
        "numbers": state["numbers"],
        "numbers_before": before_numbers,
        "problems": [problem["code"] for problem in state["problems"]],
        "cpu_s": {name: value for name, value in cpu.items() if name != "mcu"},
        "pss_mb": {name: value for name, value in pss.items() if name != "mcu"},
        "mcu": {"cpu_s": cpu.get("mcu"), "pss_mb": pss.get("mcu")},
    }


def _costs(pids: dict[str, int]) -> dict[str, Cost]:
    return {name: cost for name, pid in pids.items() if (cost := cost_of(pid)) is not None}


def _from_records(taps: Path, call: dict[str, Any]) -> dict[str, Any]:
    """Replace the raw parts of `call` by what the records of the unit show."""
    joined_ns, ended_ns = call.pop("joined_ns"), call.pop("ended_ns")
    numbers, before = call.pop("numbers"), call.pop("numbers_before")
    session = numbers["session"]
    shown = [frame for frame in read_shown(taps / "shown.csv") if joined_ns <= frame.shown_ns <= ended_ns]
    mic = read_recording(taps, "mic").between(joined_ns, ended_ns)
    speaker = read_recording(taps, "speaker").between(joined_ns, ended_ns)
    delays, gaps = audio_delays(mic, speaker), audio_gaps(mic, speaker)
    return {
        "connect_ms": round((shown[0].shown_ns - joined_ns) / 1e6, 1) if shown else None,
        "video": {
            "frames_captured": numbers["camera"]["frames"] - before.get("camera", {}).get("frames", 0),
            "frames_sent": session.get("video_out_frames_sent", 0),
            **video_figures(shown, ended_ns),
        },
        "audio": {
            "blocks_sent": session.get("audio_out_blocks_sent", 0),
            "blocks_played": numbers["sound"]["played"] - before.get("sound", {}).get("played", 0),
            "gaps": len(gaps),
            "gap_ms": round(sum(gaps), 1),
            "mouth_to_ear_ms": percentiles([delay for _, delay in delays]),
        },
        "av_offset_ms": av_offset(delays, shown),
    }
