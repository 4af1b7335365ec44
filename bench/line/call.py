"""One row of the table: a unit sends over the line to one far end, and what arrived there is measured."""

import asyncio
import os
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from appliance.control.client import ControlClient
from appliance.demo.measure import read_shown
from appliance.demo.processes import DemoError, cost_of, wait_for

from .ends import FarEnd, start_bridge_point, start_far_end, start_transfer, unit_plan
from .figures import Sample, row_of
from .machine import children_go_first
from .path import LinePath
from .profiles import PROFILES, Profile
from .tcp_load import carried_kbps

PICTURE_LIMIT_S = 20.0
# The start's keyframe, first estimates and buffers are not what a meeting looks like.
SETTLE_S = 3.0
# What was captured in the last moments is still on its way.
TAIL_S = 1.0
FPS = 30
LEAST_CAPTURED = 0.9


@dataclass(frozen=True, slots=True)
class CallPlan:
    """What is held: the receiver's name, the line, the length, and how much is told."""

    receiver: str
    profile: str
    seed: int = 1
    seconds: float = 40.0
    series: bool = False
    card: bool = False
    keep: Path | None = None
    # A TCP transfer shares the way of the unit's stream during the measured time.
    tcp: bool = False
    # Seconds into the measured time, and what the line becomes then.
    then: tuple[tuple[float, str], ...] = ()

    @property
    def line(self) -> Profile:
        return PROFILES[self.profile]


async def hold(plan: CallPlan, say: Callable[[str], None]) -> dict[str, Any]:
    """Hold the call and give its row. Raises DemoError or PathError when there is none."""
    async with AsyncExitStack() as parts:
        if plan.keep is not None:
            folder = plan.keep / f"{plan.profile}-{plan.seed}-{plan.receiver}"
            folder.mkdir(parents=True)
        else:
            folder = Path(parts.enter_context(TemporaryDirectory(prefix="bridgepoint-line-")))
        async with AsyncExitStack() as life:
            call = await _Call.connect(plan, folder, life, say)
            await call.measure(folder, life)
        # The programs have ended: their records are complete.
        return call.row()


class _Call:
    def __init__(self, plan: CallPlan, line: LinePath, far: FarEnd, taps: Path, client: ControlClient) -> None:
        self._plan = plan
        self._line = line
        self._far = far
        self._sender_taps = taps
        self._taps = far.taps or taps
        self._client = client
        self._engine_pid = 0
        self._connect_ms: float | None = None
        self._tcp_counts: Path | None = None
        self._samples: list[Sample] = []
        self._began_ns = self._ended_ns = 0

    @classmethod
    async def connect(cls, plan: CallPlan, folder: Path, life: AsyncExitStack, say: Callable[[str], None]) -> "_Call":
        """Line, far end and unit, and the first picture there."""
        profile = _without_cuts(plan.line)
        line = await life.enter_async_context(LinePath(profile, seed=plan.seed))
        far = await start_far_end(plan.receiver, line, folder, life)
        sender = unit_plan("Xã Tân Lập", folder / "unit", far.send_url, far.receive_url, line.unit, card=plan.card)
        started, client = await start_bridge_point(sender, life, far.programs)
        call = cls(plan, line, far, sender.taps, client)
        programs = [*far.programs, *started]
        call._engine_pid = started[0].pid
        joined_ns = time.monotonic_ns()
        await far.join()
        await client.ask("join")

        async def first_picture() -> bool | None:
            return any(frame.captured_ns is not None for frame in read_shown(call._taps / "shown.csv")) or None

        try:
            await wait_for("first picture", first_picture, programs, PICTURE_LIMIT_S)
        except DemoError:
            for program in programs:
                program.check()
            # A line on which no picture arrives is a result, too.
            say(f"{plan.profile}, {plan.receiver}: no picture within {PICTURE_LIMIT_S:.0f} s; measured all the same")
        else:
            call._connect_ms = round((time.monotonic_ns() - joined_ns) / 1e6, 1)
            say(f"{plan.profile}, {plan.receiver}: pictures after {call._connect_ms:.0f} ms")
        children_go_first()
        await asyncio.sleep(SETTLE_S)
        return call

    async def measure(self, folder: Path, life: AsyncExitStack) -> None:
        """The measured time, looked at each second; every row meets the same fates from its begin on."""
        plan = self._plan
        if plan.tcp:
            self._tcp_counts = await start_transfer(self._line, folder, life)
            children_go_first()
        await self._line.use(plan.line)
        await self._line.restart(plan.seed)
        self._began_ns = time.monotonic_ns()
        changes = sorted(plan.then)
        await self._sample()
        while (past_s := (time.monotonic_ns() - self._began_ns) / 1e9) < plan.seconds:
            if changes and past_s >= changes[0][0]:
                await self._line.use(PROFILES[changes.pop(0)[1]])
            next_s = min(plan.seconds, len(self._samples), *(at_s for at_s, _ in changes[:1]))
            await asyncio.sleep(max(0.0, next_s - past_s))
            if (time.monotonic_ns() - self._began_ns) / 1e9 >= min(plan.seconds, len(self._samples)):
                await self._sample()
        self._ended_ns = time.monotonic_ns()
        await asyncio.sleep(TAIL_S)
        await self._client.ask("leave")

    async def _sample(self) -> None:
        at_ns = time.monotonic_ns()
        state = await self._client.ask("status")
        cost = cost_of(self._engine_pid)
        self._samples.append(
            Sample(
                at_ns,
                state["numbers"].get("session", {}),
                {
                    "camera_frames": state["numbers"]["camera"].get("frames"),
                    "camera_bitrate_bps": state["numbers"]["camera"].get("bitrate_bps"),
                    "camera_fps": state["numbers"]["camera"].get("fps"),
                    "reconnects": state["meeting"]["reconnects"],
                    "state": state["meeting"]["state"],
                    "engine_cpu_s": cost.cpu_s if cost is not None else 0.0,
                },
                await self._far.numbers(),
                await self._line.stats(),
            )
        )

    def row(self) -> dict[str, Any]:
        """What the records and samples say."""
        plan = self._plan
        row = row_of(
            plan.receiver, self._sender_taps, self._taps, (self._began_ns, self._ended_ns), self._samples,
            series=plan.series,
        )  # fmt: skip
        row |= {"connect_ms": self._connect_ms, "load": round(os.getloadavg()[0], 1)}
        # A unit that cannot even capture at its rate says nothing about the line.
        row["machine_busy"] = row["frames_captured"] < LEAST_CAPTURED * FPS * row["seconds"]
        if self._tcp_counts is not None:
            row["tcp_kbps"] = carried_kbps(self._tcp_counts, self._began_ns, self._ended_ns)
        if plan.receiver == "ours":
            # The other way of the same call.
            row["back"] = row_of(
                "ours", self._taps, self._sender_taps, (self._began_ns, self._ended_ns),
                [replace(s, sender=s.far, far=s.sender, line=_turned(s.line)) for s in self._samples],
            )  # fmt: skip
        return row


def _without_cuts(profile: Profile) -> Profile:
    """The call is set up over the line, but its scheduled cuts are for the measured time."""
    return replace(profile, up=replace(profile.up, cuts=()), down=replace(profile.down, cuts=()))


def _turned(line: dict[str, Any]) -> dict[str, Any]:
    return {**line, "up": line["down"], "down": line["up"]}
