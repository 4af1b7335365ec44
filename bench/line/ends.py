"""Who is at the far end of the line, and how each is started there. The sending unit sees a WHIP and a WHEP address."""

import json
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from appliance.control.client import ControlClient
from appliance.demo.measured import START_LIMIT_S, start_unit, workers_running
from appliance.demo.processes import Program, bridgepoint, wait_for
from appliance.demo.unit import UnitPlan

from . import source, tcp_load
from .path import End, LinePath
from .stock import command, missing

PORT = 8080


class FarEnd(Protocol):
    """One far end, started."""

    send_url: str
    receive_url: str
    # Where the records of what arrived are; None: the sending unit's own, whose pictures came back to it.
    taps: Path | None
    programs: list[Program]

    async def join(self) -> None:
        """Enter the call, where that needs a word."""

    async def numbers(self) -> dict[str, Any]:
        """Counters of now, for rows and series; empty where they are in the records."""


def why_not(receiver: str) -> str | None:
    """Why this far end cannot be had here, or None."""
    return None if receiver in ("ours", "lab-mcu") else missing(receiver)


async def start_far_end(receiver: str, line: LinePath, folder: Path, stack: AsyncExitStack) -> FarEnd:
    """Start it in the far namespace; it ends with `stack`."""
    match receiver:
        case "ours":
            return await UnitEnd.start(line, folder, stack)
        case "lab-mcu":
            return await McuEnd.start(line, folder, stack)
        case _:
            return await StockEnd.start(receiver, line, folder, stack)


def unit_plan(name: str, folder: Path, send_url: str, receive_url: str, end: End, *, card: bool = False) -> UnitPlan:
    """A measured unit at one end of the line, which sends what `source.py` has; `card`: test card and beep."""
    folder.mkdir(parents=True, exist_ok=True)
    return UnitPlan(
        name,
        folder,
        send_url,
        receive_url,
        video_file=None if card else source.VIDEO,
        audio_file=None if card else source.write_sound(folder / "sound.wav"),
        measured=True,
        prefix=end.prefix,
    )


async def start_bridge_point(
    plan: UnitPlan, stack: AsyncExitStack, programs: list[Program]
) -> tuple[list[Program], ControlClient]:
    """A unit whose three workers run, and its control socket."""
    started = list(await start_unit(stack, plan))
    probe = partial(workers_running, plan.socket)
    client = await wait_for(plan.name, probe, [*programs, *started], START_LIMIT_S)
    stack.push_async_callback(client.close)
    return started, client


async def _said(program: Program, log: Path, word: str, stack: AsyncExitStack) -> None:
    await stack.enter_async_context(program)

    async def said() -> bool | None:
        return _holds(log, word) or None

    await wait_for("the far end", said, [program], START_LIMIT_S)


async def start_transfer(line: LinePath, folder: Path, stack: AsyncExitStack) -> Path:
    """A TCP transfer from the unit's end to the far one, as fast as it goes; the file in which it is counted."""
    log, counts, address = folder / "tcp.log", folder / "tcp.csv", f"{line.far.host}:{tcp_load.PORT}"
    sink = Program("TCP sink", [*line.far.prefix, *command("tcp_load", "sink", address, str(counts))], log)
    await _said(sink, log, "listening", stack)
    sender = Program("TCP sender", [*line.unit.prefix, *command("tcp_load", "send", address)], folder / "send.log")
    await stack.enter_async_context(sender)
    return counts


def _holds(log: Path, word: str) -> bool:
    return word in log.read_text(errors="replace")


class UnitEnd:
    """A second bridge point; the two call each other, so both directions are measured."""

    def __init__(self, plan: UnitPlan, client: ControlClient, programs: list[Program], host: str) -> None:
        self.send_url, self.receive_url = f"http://{host}:{PORT}/whip/a", f"http://{host}:{PORT}/whep/b"
        self.taps: Path | None = plan.taps
        self.programs = programs
        self._client = client

    @classmethod
    async def start(cls, line: LinePath, folder: Path, stack: AsyncExitStack) -> "UnitEnd":
        host, log = line.far.host, folder / "exchange.log"
        exchange = Program("exchange", [*line.far.prefix, *command("exchange", f"{host}:{PORT}")], log)
        await _said(exchange, log, "listening", stack)
        base = f"http://{host}:{PORT}"
        plan = unit_plan("Phường Bến Nghé", folder / "far", f"{base}/whip/b", f"{base}/whep/a", line.far)
        started, client = await start_bridge_point(plan, stack, [exchange])
        return cls(plan, client, [exchange, *started], host)

    async def join(self) -> None:
        await self._client.ask("join")

    async def numbers(self) -> dict[str, Any]:
        state = await self._client.ask("status")
        return {**state["numbers"].get("session", {}), "reconnects": state["meeting"]["reconnects"]}


class McuEnd:
    """The lab MCU: the unit's picture goes up, into the wall, and down again; its sound comes back as it is."""

    def __init__(self, program: Program, host: str) -> None:
        base = f"http://{host}:{PORT}"
        self.send_url, self.receive_url = f"{base}/whip/giao-ban/unit", f"{base}/whep/giao-ban/unit"
        self.taps: Path | None = None
        self.programs = [program]

    @classmethod
    async def start(cls, line: LinePath, folder: Path, stack: AsyncExitStack) -> "McuEnd":
        host, log = line.far.host, folder / "mcu.log"
        listen = bridgepoint("lab-mcu", "--echo", "--json", "--listen", f"{host}:{PORT}")
        program = Program("lab MCU", [*line.far.prefix, *listen], log)
        await _said(program, log, '"listening"', stack)
        return cls(program, host)

    async def join(self) -> None:
        return

    async def numbers(self) -> dict[str, Any]:
        return {}


class StockEnd:
    """Somebody else's receiver behind our WHIP, and a small talker of ours behind our WHEP."""

    def __init__(self, program: Program, folder: Path, host: str) -> None:
        self.send_url, self.receive_url = f"http://{host}:{PORT}/whip", f"http://{host}:{PORT}/whep"
        self.taps: Path | None = folder
        self.programs = [program]

    @classmethod
    async def start(cls, receiver: str, line: LinePath, folder: Path, stack: AsyncExitStack) -> "StockEnd":
        host, log, records = line.far.host, folder / f"{receiver}.log", folder / "far"
        records.mkdir()
        words = command("far_end", receiver, str(records), f"{host}:{PORT}")
        program = Program(receiver, [*line.far.prefix, *words], log)
        await _said(program, log, "listening", stack)
        return cls(program, records, host)

    async def join(self) -> None:
        return

    async def numbers(self) -> dict[str, Any]:
        """What the receiver has last written of itself."""
        assert self.taps is not None
        path = self.taps / "stats.jsonl"
        lines = path.read_text().splitlines() if path.exists() else []
        # The last line may be half written.
        for line in reversed(lines[-2:]):
            try:
                found: dict[str, Any] = json.loads(line)
            except ValueError:
                continue
            return found
        return {}
