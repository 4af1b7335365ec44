"""The engine dies or is stopped in a meeting: nothing of it stays behind, and it comes back to the meeting."""

import os
import signal

import pytest

from appliance.demo.unit import UnitPlan
from tests.call import a_unit, children_of, is_running, vanished

from .conftest import LabMcu

pytestmark = pytest.mark.timeout(60)


async def test_no_worker_outlives_a_killed_engine_and_the_next_one_returns_to_the_meeting(
    plan: UnitPlan, mcu: LabMcu
) -> None:
    async with a_unit(plan) as unit:
        await unit.joined()
        await unit.client.ask("mute", on=True)
        await unit.client.ask("camera", on=False)
        await unit.until_intent_saved()
        workers = children_of(unit.engine.pid)
        assert len(workers) == 3
        unit.kill_engine()
        await vanished(workers, 2.0)
    async with a_unit(plan) as unit:
        await unit.until_meeting("live")
        state = await unit.state()
        assert state["muted"], "a power cut must not open the microphone"
        assert not state["camera_on"], "a power cut must not open the camera"
        await unit.client.ask("camera", on=True)
        await unit.until_new_picture()
        assert await mcu.inside() == [plan.name], "the unit's old session must be gone"


async def test_a_frozen_worker_does_not_outlive_a_killed_engine(plan: UnitPlan) -> None:
    async with a_unit(plan) as unit:
        await unit.joined()
        workers = children_of(unit.engine.pid)
        for worker in workers:
            os.kill(worker, signal.SIGSTOP)
        unit.kill_engine()
        await vanished(workers, 2.0)


async def test_a_stopped_engine_says_goodbye_and_keeps_the_meeting_in_mind(plan: UnitPlan, mcu: LabMcu) -> None:
    async with a_unit(plan) as unit:
        await unit.joined()
        workers = children_of(unit.engine.pid)
    assert not any(is_running(worker) for worker in workers)
    assert await mcu.inside() == []
    assert mcu.events().count('"reason": "left"') == 2, "WHIP and WHEP sessions are deleted"
    async with a_unit(plan) as unit:
        await unit.until_meeting("live")


async def test_after_leaving_a_restarted_engine_stays_out(plan: UnitPlan, mcu: LabMcu) -> None:
    async with a_unit(plan) as unit:
        await unit.joined()
        await unit.leave()
        await unit.until_intent_saved()

        async def empty() -> bool:
            return await mcu.inside() == []

        await unit.until("an empty room", empty, 3)
        unit.kill_engine()
    async with a_unit(plan) as unit:
        assert await unit.meeting() == "standby"
    assert await mcu.inside() == []
