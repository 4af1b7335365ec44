"""The demonstration for people: a lab MCU and two bridge points in one meeting, until Ctrl-C."""

import asyncio
import socket
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NoReturn

from appliance.control.client import ControlClient

from .measured import START_LIMIT_S, start_mcu, start_unit, workers_running
from .processes import Program, free_port, last_words_of, wait_for
from .unit import UnitPlan

FOOTAGE = Path(__file__).with_name("footage")
MCU_PORT = 8080

_STATE_WORDS = {
    "standby": "sẵn sàng / ready",
    "joining": "đang vào họp / joining",
    "live": "đang họp / live",
    "rejoining": "đang kết nối lại / rejoining",
    "fault": "lỗi / fault",
}


async def show(say: Callable[[str], None], draw: Callable[[Sequence[str]], None]) -> NoReturn:
    """Run until cancelled. `say` prints progress, `draw` replaces the live lines. Raises DemoError."""
    with TemporaryDirectory(prefix="bridgepoint-") as folder:
        async with AsyncExitStack() as parts:
            root = Path(folder)
            say("1/4 lab MCU ...")
            mcu, mcu_url = await start_mcu(parts, root, echo=False, port=_port(MCU_PORT))
            plans = [
                UnitPlan.at_lab_mcu("Xã Tân Lập", root / "tan-lap", mcu_url, panel=f"127.0.0.1:{_port(8088)}"),
                UnitPlan.at_lab_mcu(
                    "Phường Bến Nghé",
                    root / "ben-nghe",
                    mcu_url,
                    video_file=FOOTAGE / "person.mkv",
                    audio_file=FOOTAGE / "speech.ogg",
                ),
            ]
            programs: list[Program] = [mcu]
            clients: list[tuple[UnitPlan, ControlClient]] = []
            for step, plan in enumerate(plans, 2):
                say(f"{step}/4 bridge point {plan.name} ...")
                programs += await start_unit(parts, plan)
                client = await wait_for(plan.name, partial(workers_running, plan.socket), programs, START_LIMIT_S)
                parts.push_async_callback(client.close)
                clients.append((plan, client))
            say("4/4 joining ...")
            with last_words_of(programs):
                for _, client in clients:
                    await client.ask("join")
            say("")
            say(f"  The wall, in any browser:   {mcu_url}/")
            if plans[0].panel:
                say(f"  Panel of {plans[0].name}:        http://{plans[0].panel}/")
                password = await wait_for("panel", partial(_panel_password, plans[0]), programs, START_LIMIT_S)
                say(f"    one-time password:        {password}")
            say(f"  Command line:               .venv/bin/bridgepoint --socket {plans[0].socket} status")
            say("  Ctrl-C ends all.")
            say("")
            # Each unit leaves its meeting when its engine is asked to end.
            with last_words_of(programs):
                while True:
                    for program in programs:
                        program.check()
                    states = [(plan, await client.ask("status")) for plan, client in clients]
                    draw([_line(plan, state) for plan, state in states])
                    await asyncio.sleep(1.0)


def _port(wanted: int) -> int:
    """The well-known port where it is free, so that the URLs stay the same from run to run."""
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind(("127.0.0.1", wanted))
        except OSError:
            return free_port()
    return wanted


async def _panel_password(plan: UnitPlan) -> str | None:
    """The panel prints its one-time password when it starts; here it went into its log."""
    try:
        lines = plan.folder.joinpath("panel.log").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    return next((line.split()[-1] for line in lines if "password" in line.lower()), None)


def _line(plan: UnitPlan, state: dict[str, Any]) -> str:
    numbers = state["numbers"]
    screen, session = numbers.get("screen", {}), numbers.get("session", {})
    word = _STATE_WORDS.get(state["meeting"]["state"], state["meeting"]["state"])
    sent, seen = session.get("video_out_frames_sent", 0), screen.get("shown", 0)
    problems = "; ".join(problem["cause"]["en"] for problem in state["problems"])
    freezes = screen.get("freezes", 0)
    return f"  {plan.name:<18} {word:<28} sent {sent:>6}  shown {seen:>6}  freezes {freezes:>3}  {problems}"
