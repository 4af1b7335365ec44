"""`python -m bench.recovery`: how long after the line's return picture and sound are back, case by case; needs root.

A unit meets itself at an echoing lab MCU over the bench's line. Each case ends the connection in its own way; what was
shown and heard is read from the unit's records. Figures count from the moment at which a connection is possible again.
"""

import argparse
import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from appliance.control.client import ControlClient
from appliance.demo.measure import NS, read_recording, read_shown
from appliance.demo.processes import Program, bridgepoint, wait_for
from appliance.demo.unit import UnitPlan
from appliance.media.values import BLOCK_SAMPLES

from .line import source
from .line.ends import PORT, start_bridge_point
from .line.path import LinePath
from .line.profiles import PROFILES

# A picture or a sound that is gone for longer is not back yet.
PICTURE_GAP_NS = 500_000_000
SOUND_GAP_BLOCKS = 10
_QUIET = 100.0  # mean square; the fan of the source is far above
SETTLED_S = 3.0
LIMIT_S = 30.0


class Scene:
    """The line, the MCU and the unit in its meeting."""

    def __init__(self, line: LinePath, plan: UnitPlan, client: ControlClient, engine: Program, mcu: "Mcu") -> None:
        self.line = line
        self.plan = plan
        self.client = client
        self.engine = engine
        self.mcu = mcu
        self.states: list[tuple[int, str, tuple[str, ...]]] = []

    async def follow(self) -> None:
        """Job: note each change of what the unit says."""
        async for state in self.client.watch():
            said = (state["meeting"]["state"], tuple(problem["code"] for problem in state["problems"]))
            if not self.states or self.states[-1][1:] != said:
                self.states.append((time.monotonic_ns(), *said))

    async def state(self) -> dict[str, Any]:
        found: dict[str, Any] = await self.client.ask("status")
        return found

    def picture_back_ns(self, since_ns: int) -> int | None:
        """When our own picture was back to stay, as the screen shows it; None while it is not."""
        shown = [f.shown_ns for f in read_shown(self.plan.taps / "shown.csv") if f.captured_ns is not None]
        return _back(shown, since_ns, PICTURE_GAP_NS)

    def sound_back_ns(self, since_ns: int) -> int | None:
        """The same of the sound that the speaker plays."""
        heard = read_recording(self.plan.taps, "speaker").between(since_ns - NS, time.monotonic_ns() + NS)
        blocks = heard.samples[: len(heard.samples) // BLOCK_SAMPLES * BLOCK_SAMPLES].reshape(-1, BLOCK_SAMPLES)
        loud = np.flatnonzero((blocks.astype(np.float64) ** 2).mean(axis=1) > _QUIET)
        block_ns = BLOCK_SAMPLES * NS // 48_000
        return _back([heard.start_ns + int(at) * block_ns for at in loud], since_ns, SOUND_GAP_BLOCKS * block_ns)


def _back(moments: list[int], since_ns: int, gap_ns: int) -> int | None:
    """The end of the last gap that reaches beyond `since_ns`; `since_ns` itself when there is none."""
    back, before = since_ns, None
    for moment in moments:
        if moment > since_ns and (before is None or moment - before > gap_ns):
            back = moment
        before = moment
    now_ns = time.monotonic_ns()
    # What was shown last must be of now, and have gone on for a while.
    is_there = before is not None and now_ns - before < 2 * gap_ns and now_ns - back > SETTLED_S * NS
    return back if is_there else None


class Mcu:
    """The lab MCU, which can be killed and started again at the same address."""

    def __init__(self, line: LinePath, folder: Path) -> None:
        self.url = f"http://{line.far.host}:{PORT}"
        words = bridgepoint("lab-mcu", "--echo", "--json", "--listen", f"{line.far.host}:{PORT}")
        self._command = [*line.far.prefix, *words]
        self._log = folder / "mcu.log"
        self._life: AsyncExitStack | None = None
        self.program: Program

    async def start(self) -> None:
        said = self._log.read_text().count('"listening"') if self._log.exists() else 0
        self.program = Program("lab MCU", self._command, self._log)
        self._life = AsyncExitStack()
        await self._life.enter_async_context(self.program)

        async def listens() -> bool | None:
            return self._log.read_text().count('"listening"') > said or None

        await wait_for("lab MCU", listens, [self.program], LIMIT_S)

    async def kill(self) -> None:
        # `ip netns exec` has become the program.
        os.kill(self.program.pid, signal.SIGKILL)
        await self.stop()

    async def stop(self) -> None:
        if self._life is not None:
            await self._life.aclose()
            self._life = None


@asynccontextmanager
async def a_scene(folder: Path, *, nat: bool = False) -> AsyncIterator[Scene]:
    """A unit in its meeting, with 20 ms of line each way."""
    async with AsyncExitStack() as parts:
        line = await parts.enter_async_context(LinePath(PROFILES["clean"]))
        await line.change(up={"delay_ms": 20.0}, down={"delay_ms": 20.0})
        if nat:
            await line.translate(1111)
        mcu = Mcu(line, folder)
        await mcu.start()
        parts.push_async_callback(mcu.stop)
        sound = source.write_sound(folder / "sound.wav")
        plan = UnitPlan.at_lab_mcu(
            "Xã Tân Lập", folder / "unit", mcu.url, measured=True, audio_file=sound, prefix=line.unit.prefix
        )
        (engine, *_), client = await start_bridge_point(plan, parts, [mcu.program])
        scene = Scene(line, plan, client, engine, mcu)
        await client.ask("join")
        began_ns = time.monotonic_ns()
        await back_after(scene, began_ns)
        following = asyncio.ensure_future(scene.follow())
        try:
            yield scene
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)


async def back_after(scene: Scene, moment_ns: int, limit_s: float = LIMIT_S) -> tuple[float, float]:
    """Wait until picture and sound are back to stay; seconds from the moment on for each."""

    async def both() -> tuple[int, int] | None:
        # Reading the records costs more than a look at the clock.
        await asyncio.sleep(0.3)
        picture_ns = scene.picture_back_ns(moment_ns)
        sound_ns = scene.sound_back_ns(moment_ns) if picture_ns is not None else None
        return (picture_ns, sound_ns) if picture_ns is not None and sound_ns is not None else None

    picture_ns, sound_ns = await wait_for("picture and sound", both, [scene.engine], limit_s)
    return (picture_ns - moment_ns) / NS, (sound_ns - moment_ns) / NS


# the cases: each ends the connection, waits, makes one possible again, and says when that was


async def cut(scene: Scene, seconds: float) -> int:
    """Somewhere in the network nothing passes; the unit's own link stays up."""
    await scene.line.cut()
    await asyncio.sleep(seconds)
    await scene.line.plug()
    return time.monotonic_ns()


async def cable(scene: Scene, seconds: float) -> int:
    """The unit's own cable: link, routes and all."""
    scene.line.unplug_unit()
    await asyncio.sleep(seconds)
    scene.line.plug_unit()
    return time.monotonic_ns()


async def address(scene: Scene, _: float) -> int:
    """A new lease gives another address."""
    scene.line.readdress_unit("10.77.0.9")
    return time.monotonic_ns()


async def nat(scene: Scene, _: float) -> int:
    """The router forgets its mappings and makes others."""
    await scene.line.translate(2222)
    return time.monotonic_ns()


async def mcu_restart(scene: Scene, seconds: float) -> int:
    """The MCU dies, and is started again."""
    await scene.mcu.kill()
    await asyncio.sleep(seconds)
    await scene.mcu.start()
    return time.monotonic_ns()


@dataclass(frozen=True, slots=True)
class Case:
    """What happens, for how long, and within what time all is to be back."""

    name: str
    happens: Callable[[Scene, float], Awaitable[int]]
    seconds: float
    promised_s: float


CASES = {
    case.name: case
    for case in (
        Case("cut-1", cut, 1.0, 2.0),
        Case("cut-2", cut, 2.0, 2.0),
        Case("cut-3", cut, 3.0, 2.0),
        Case("cut-10", cut, 10.0, 5.0),
        Case("cut-60", cut, 60.0, 5.0),
        Case("cable-2", cable, 2.0, 2.0),
        Case("cable-10", cable, 10.0, 5.0),
        Case("address", address, 0.0, 5.0),
        Case("nat", nat, 0.0, 5.0),
        Case("mcu-restart", mcu_restart, 3.0, 5.0),
    )
}


@dataclass(frozen=True, slots=True)
class Row:
    """One run. `told_s`: from the end of the connection until the room was told; None when it never was."""

    case: str
    picture_s: float
    sound_s: float
    promised_s: float
    told_s: float | None
    reconnects: int
    problems: tuple[str, ...]
    # What the media watchdog did about it: nothing, where the line was the fault.
    rungs: dict[str, int]

    @property
    def is_kept(self) -> bool:
        return max(self.picture_s, self.sound_s) <= self.promised_s


async def run(case: Case) -> Row:
    """Hold one call and let the case happen to it."""
    with TemporaryDirectory(prefix="bridgepoint-recovery-") as folder:
        async with a_scene(Path(folder), nat=case.happens is nat) as scene:
            began_ns = time.monotonic_ns()
            moment_ns = await case.happens(scene, case.seconds)
            picture_s, sound_s = await back_after(scene, moment_ns)
            meeting = (await scene.state())["meeting"]
            told = next((at for at, state, _ in scene.states if at > began_ns and state != "live"), None)
            problems = dict.fromkeys(code for at, _, codes in scene.states if at > began_ns for code in codes)
            return Row(
                case.name,
                round(picture_s, 2),
                round(sound_s, 2),
                case.promised_s,
                None if told is None else round((told - began_ns) / NS, 2),
                meeting["reconnects"],
                tuple(problems),
                (await scene.state())["numbers"].get("watchdog", {}),
            )


def _line(row: Row) -> str:
    told = "-" if row.told_s is None else f"{row.told_s:.2f}"
    return (
        f"| {row.case} | {row.picture_s:.2f} | {row.sound_s:.2f} | {row.promised_s:.0f} | {told} "
        f"| {row.reconnects} | {', '.join(row.problems) or '-'} |{f' {row.rungs}' if row.rungs else ''}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.recovery", description=__doc__.split("\n\n")[0])
    parser.add_argument("--case", action="append", choices=list(CASES), help="only this one (may be repeated)")
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="the rows as JSON, last line")
    args = parser.parse_args()
    rows: list[Row] = []
    if not args.json:
        print("| case | picture s | sound s | promised s | told after s | reconnects | problems told |")
        print("| --- | --- | --- | --- | --- | --- | --- |")
    for case in [CASES[name] for name in args.case or CASES]:
        for _ in range(args.runs):
            rows.append(asyncio.run(run(case)))
            if not args.json:
                print(_line(rows[-1]), flush=True)
    if args.json:
        print(json.dumps({"rows": [asdict(row) | {"kept": row.is_kept} for row in rows]}))
    sys.exit(0 if all(row.is_kept for row in rows) else 1)


if __name__ == "__main__":
    main()
