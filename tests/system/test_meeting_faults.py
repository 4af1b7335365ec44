"""The MCU and the network fail under a meeting; commands come twice and at odd moments."""

import asyncio
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path

import pytest

from appliance.demo.unit import UnitPlan
from tests import namespaces
from tests.call import Unit, a_unit, settled
from tests.namespaces import ip

from .conftest import LabMcu

pytestmark = pytest.mark.timeout(90)

NOTICED_S = 3.0


async def _room_is_told(unit: Unit, since_ns: int) -> None:
    """The state says so within 3 s, and the screen shows its card: never a black or standing picture."""
    await unit.until_meeting("rejoining", NOTICED_S + 1)
    assert unit.now_ns() - since_ns <= (NOTICED_S + 0.3) * 1e9

    async def card() -> bool:
        state = await unit.state()
        return bool(state["problems"]) and state["numbers"]["screen"]["card"]

    await unit.until("the card", card, 2)


async def test_a_restarted_mcu_has_the_unit_back_by_itself(unit: Unit, mcu: LabMcu) -> None:
    await unit.joined()
    moment = unit.now_ns()
    os.kill(mcu.program.pid, signal.SIGKILL)
    await _room_is_told(unit, moment)
    await mcu.stop()
    await mcu.start()
    await unit.until_meeting("live", 30)
    await unit.until_new_picture(since_ns=unit.now_ns())
    state = await unit.state()
    assert state["meeting"]["reconnects"] >= 1
    assert state["problems"] == []


async def test_an_mcu_that_ends_in_order_is_noticed_at_once(unit: Unit, mcu: LabMcu) -> None:
    await unit.joined()
    await mcu.stop()
    await unit.until_meeting("rejoining", 1)


async def test_joining_before_the_mcu_is_there_succeeds_when_it_comes(unit: Unit, mcu: LabMcu) -> None:
    await mcu.stop()
    await unit.client.ask("join")

    async def told() -> bool:
        return [problem["code"] for problem in (await unit.state())["problems"]] == ["mcu-unreachable"]

    await unit.until("the problem", told, 3)
    assert await unit.meeting() == "joining"
    await mcu.start()
    await unit.until_meeting("live", 30)


async def test_commands_may_come_twice_and_in_haste(unit: Unit, mcu: LabMcu) -> None:
    for _ in range(3):
        await asyncio.gather(*(unit.client.ask("join") for _ in range(3)))
        await asyncio.gather(*(unit.client.ask("leave") for _ in range(3)))
    await unit.client.ask("leave")
    assert await unit.meeting() == "standby"
    await unit.client.ask("join")
    await unit.until_meeting("live")
    await unit.client.ask("join")
    assert await unit.meeting() == "live"
    assert await mcu.inside() == [unit.plan.name]
    await unit.leave()

    async def empty() -> bool:
        return await mcu.inside() == []

    await unit.until("an empty room", empty, 3)


async def test_mute_and_camera_off_hold_back_sound_and_picture(unit: Unit) -> None:
    await unit.joined()
    await unit.until_beep(10)
    await unit.client.ask("mute", on=True)
    await unit.client.ask("camera", on=False)
    # What was on its way may still arrive.
    await settled(1.0)
    began = unit.now_ns()
    await unit.until_heard(began + 2_500_000_000)
    assert unit.beeps(began) == []
    # Opus makes 0 or 1 of 32768 of silence.
    assert unit.heard_power(began) < 2
    pictures = unit.shown(began)
    assert len(pictures) > 10, "the wall goes on"
    assert [picture for picture in pictures if picture.captured_ns is not None] == []
    await unit.client.ask("camera", on=True)
    await unit.client.ask("mute", on=False)
    moment = unit.now_ns()
    await unit.until_new_picture(2, since_ns=moment)
    await unit.until_beep(3, since_ns=moment)


@pytest.fixture
async def line(tmp_path: Path) -> AsyncIterator[tuple[LabMcu, UnitPlan, Callable[[str], None]]]:
    """An MCU and a unit in network namespaces of their own, with one cable; the third value pulls and plugs it."""
    namespaces.need()
    centre, room = f"bp-mcu-{os.getpid()}", f"bp-unit-{os.getpid()}"
    for name in (centre, room):
        ip("netns", "add", name)
    try:
        ip("link", "add", "cable0", "netns", centre, "type", "veth", "peer", "name", "cable1", "netns", room)
        for name, device, address in ((centre, "cable0", "10.78.0.1/24"), (room, "cable1", "10.78.0.2/24")):
            ip("-n", name, "addr", "add", address, "dev", device)
            for link in ("lo", device):
                ip("-n", name, "link", "set", link, "up")
        mcu = LabMcu(tmp_path, "10.78.0.1", prefix=("ip", "netns", "exec", centre))
        await mcu.start()
        plan = UnitPlan.at_lab_mcu(
            "Xã Tân Lập", tmp_path / "unit", mcu.url, measured=True, prefix=("ip", "netns", "exec", room)
        )
        yield mcu, plan, lambda state: ip("-n", room, "link", "set", "cable1", state)
        await mcu.stop()
    finally:
        for name in (centre, room):
            with suppress(subprocess.CalledProcessError):
                ip("netns", "delete", name)


@pytest.mark.netns
async def test_a_pulled_network_cable_is_told_and_plugged_in_again_the_meeting_goes_on(
    line: tuple[LabMcu, UnitPlan, Callable[[str], None]],
) -> None:
    _, plan, cable = line
    async with a_unit(plan) as unit:
        await unit.joined()
        moment = unit.now_ns()
        cable("down")
        await _room_is_told(unit, moment)
        cable("up")
        await unit.until_meeting("live", 30)
        await unit.until_new_picture(since_ns=unit.now_ns())


@pytest.mark.netns
async def test_a_short_break_of_the_line_ends_no_meeting(
    line: tuple[LabMcu, UnitPlan, Callable[[str], None]],
) -> None:
    _, plan, cable = line
    async with a_unit(plan) as unit:
        await unit.joined()
        cable("down")
        await settled(1.0)
        cable("up")
        await unit.until_new_picture(5, since_ns=unit.now_ns())
        state = (await unit.state())["meeting"]
        assert (state["state"], state["reconnects"]) == ("live", 0)
