"""A real unit and a real lab MCU over a real, slow path: what rate control makes of it, read off the line itself.

Needs root, for the network namespaces of bench.line. The line limits what the unit sends; the way back is a good one.
"""

import asyncio
import json
import statistics
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from appliance.control.client import ControlClient
from appliance.demo.measure import read_shown
from appliance.demo.measured import start_unit, workers_running
from appliance.demo.processes import Program, bridgepoint, wait_for
from appliance.demo.shown import FOOTAGE
from appliance.demo.unit import UnitPlan

from .line.impairment import LinkSettings
from .line.path import LinePath
from .line.profiles import PROFILES

_PORT = 8090
_TCP_PORT = 8091
GOOD = LinkSettings(delay_ms=40)
_TCP_SINK = """
import socket, sys
server = socket.create_server(("", int(sys.argv[1])))
while True:
    connection, _ = server.accept()
    while connection.recv(65536):
        pass
"""
_TCP_SOURCE = """
import socket, sys
connection = socket.create_connection((sys.argv[1], int(sys.argv[2])))
print(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16).rstrip(b"\\0").decode(), flush=True)
sent = 0
while True:
    sent += connection.send(bytes(8192))
"""


@dataclass(frozen=True, slots=True)
class Look:
    """Four times a second. Counters count from the start of the call."""

    t: float
    queue_ms: float
    delivered_bytes: int
    dropped: int
    target_bps: int
    bounded_by: str
    phase: str
    acked_bps: int
    own_queue_ms: float
    rung: int
    size: str
    fps: int
    frames: int
    held: int
    video_bytes: int


@dataclass
class RealRun:
    """What was seen of one call."""

    looks: list[Look] = field(default_factory=list)
    decode_errors: int = 0
    freezes: list[tuple[float, float]] = field(default_factory=list)
    numbers: dict[str, Any] = field(default_factory=dict)

    def between(self, begin: float, end: float) -> list[Look]:
        return [look for look in self.looks if begin <= look.t < end]

    def row(self, begin: float, end: float) -> dict[str, Any] | None:
        """None: too few looks, on a machine that was too busy."""
        part = self.between(begin, end)
        if len(part) < 3:
            return None
        seconds = part[-1].t - part[0].t
        queues = sorted(look.queue_ms for look in part)
        return {
            "line_kbps": round((part[-1].delivered_bytes - part[0].delivered_bytes) * 8 / seconds / 1000),
            "ours_kbps": round((part[-1].video_bytes - part[0].video_bytes) * 8 / seconds / 1000),
            "target_kbps": round(statistics.mean(look.target_bps for look in part) / 1000),
            "queue_p50_ms": round(queues[len(queues) // 2]),
            "queue_p95_ms": round(queues[len(queues) * 95 // 100]),
            "dropped": part[-1].dropped - part[0].dropped,
            "fps": round((part[-1].frames - part[0].frames) / seconds, 1),
            "size": statistics.mode(look.size for look in part),
            "freeze_ms": round(sum(length for at, length in self.freezes if begin <= at < end)),
        }


Script = Callable[[LinePath, float], Awaitable[None]]


async def call(up: LinkSettings, seconds: float, script: Script, *, card: bool = False) -> RealRun:
    """Hold a call of `seconds` whose way up is `up` at first; `script(line, begun)` changes the line meanwhile."""
    run = RealRun()
    with TemporaryDirectory(prefix="bridgepoint-rate-") as folder:
        async with AsyncExitStack() as parts:
            profile = replace(PROFILES["clean"], up=up, down=LinkSettings(delay_ms=up.delay_ms))
            line = await parts.enter_async_context(LinePath(profile))
            root = Path(folder)
            command = [*line.far.prefix, *bridgepoint("lab-mcu", "--listen", f"{line.far.host}:{_PORT}", "--json")]
            mcu = await parts.enter_async_context(Program("lab MCU", command, root / "mcu.log"))

            async def listens() -> bool | None:
                return '"listening"' in (root / "mcu.log").read_text() or None

            await wait_for("lab MCU", listens, [mcu], 30)
            plan = UnitPlan.at_lab_mcu(
                "Xã Tân Lập",
                root / "unit",
                f"http://{line.far.host}:{_PORT}",
                video_file=None if card else FOOTAGE / "person.mkv",
                measured=True,
                prefix=line.unit.prefix,
            )
            programs = [mcu, *await start_unit(parts, plan)]
            client = await wait_for("unit", lambda: workers_running(plan.socket), programs, 30)
            parts.push_async_callback(client.close)
            await client.ask("join")

            async def live() -> bool | None:
                return (await client.ask("status"))["meeting"]["state"] == "live" or None

            await wait_for("meeting", live, programs, 20)
            begun, begun_ns = time.monotonic(), time.monotonic_ns()
            await line.restart(1)
            changing = asyncio.ensure_future(script(line, begun))
            try:
                await _watch(run, line, client, begun, seconds)
            finally:
                changing.cancel()
                await asyncio.gather(changing, return_exceptions=True)
            run.decode_errors = await _decode_errors(line, root)
            run.numbers = (await client.ask("status"))["numbers"]
            await client.ask("leave")
        run.freezes = _freezes(plan.taps / "shown.csv", begun_ns)
    return run


async def _watch(run: RealRun, line: LinePath, client: ControlClient, begun: float, seconds: float) -> None:
    while (t := time.monotonic() - begun) < seconds:
        stats, state = (await line.stats())["up"], await client.ask("status")
        session, camera = state["numbers"].get("session", {}), state["numbers"].get("camera", {})
        if camera and "video_out_target_bps" in session:
            run.looks.append(
                Look(
                    t,
                    stats["queue_now_ms"] or 0.0,
                    stats["delivered_bytes"],
                    sum(stats["dropped"].values()),
                    session["video_out_target_bps"],
                    session["video_out_bounded_by"],
                    session["video_out_rate_phase"],
                    session["video_out_acked_bps"] or 0,
                    session["video_out_queue_ms"],
                    camera["rung"],
                    f"{camera['width']}x{camera['height']}",
                    camera["fps"],
                    session["video_out_frames_sent"],
                    camera["held"],
                    session["video_out_bytes_sent"] + session["audio_out_bytes_sent"],
                )
            )
        await asyncio.sleep(0.25)


async def _decode_errors(line: LinePath, root: Path) -> int:
    """What the lab MCU could not decode: size changes in mid-stream must be none of it."""
    script = f"import urllib.request; print(urllib.request.urlopen('http://{line.far.host}:{_PORT}/api/rooms').read().decode())"
    process = await asyncio.create_subprocess_exec(
        *(*line.far.prefix, "python3", "-c", script), stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    return sum(p["decode_errors"] for room in json.loads(out)["rooms"] for p in room["participants"])


def _freezes(shown: Path, begun_ns: int) -> list[tuple[float, float]]:
    """(second of the call, ms) of each gap above 150 ms between new pictures of ours on our screen, through the MCU."""
    found, newest, last_ns = [], -1, None
    for frame in read_shown(shown):
        if frame.captured_ns is None or frame.captured_ns <= newest:
            continue
        newest = frame.captured_ns
        if last_ns is not None and frame.shown_ns - last_ns > 150_000_000:
            found.append(((last_ns - begun_ns) / 1e9, (frame.shown_ns - last_ns) / 1e6))
        last_ns = frame.shown_ns
    return found


async def tcp_beside(line: LinePath, begin_s: float, end_s: float, begun: float) -> None:
    """A TCP upload without end through the same line, from `begin_s` to `end_s`."""
    sink = await asyncio.create_subprocess_exec(*line.far.prefix, "python3", "-c", _TCP_SINK, str(_TCP_PORT))
    source = None
    try:
        await asyncio.sleep(max(0.5, begin_s - (time.monotonic() - begun)))
        source = await asyncio.create_subprocess_exec(
            *(*line.unit.prefix, "python3", "-c", _TCP_SOURCE, line.far.host, str(_TCP_PORT)),
            stdout=asyncio.subprocess.DEVNULL,
        )
        await asyncio.sleep(end_s - (time.monotonic() - begun))
    finally:
        for process in (source, sink):
            if process is not None and process.returncode is None:
                process.kill()
                await process.wait()


async def at(begun: float, second: float) -> None:
    await asyncio.sleep(max(0.0, second - (time.monotonic() - begun)))
