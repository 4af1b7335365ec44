"""A real unit's meeting, with a kill in the middle, and what its minutes tell of it."""

import asyncio
import json
import time
from typing import Any

import pytest

from appliance.demo.processes import bridgepoint
from appliance.demo.unit import ROOM, UnitPlan
from appliance.minutes.figures import COUNTERS, GAUGES
from appliance.minutes.reading import Walk
from appliance.minutes.segments import FOLDER
from tests.call import Unit, a_unit, children_of, settled, vanished

pytestmark = pytest.mark.timeout(90)


def noted(plan: UnitPlan) -> list[dict[str, Any]]:
    """The lines that stand on the disk now."""
    return [dict(held.entry.fields) for held in Walk(plan.folder / FOLDER)]


async def until_noted(unit: Unit, kind: str, times: int = 1, **fields: Any) -> None:
    async def there() -> bool:
        lines = [line for line in noted(unit.plan) if {**line, "kind": kind, **fields} == line]
        return len(lines) >= times

    await unit.until(f"{kind} in the minutes", there, 5)


async def minutes_command(plan: UnitPlan, *arguments: str) -> tuple[int, str]:
    command = bridgepoint("--state-dir", str(plan.folder), "minutes", *arguments)
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    output, _ = await process.communicate()
    return process.returncode or 0, output.decode()


async def test_a_meeting_with_a_kill_in_its_middle_is_told_exactly(plan: UnitPlan) -> None:
    async with a_unit(plan) as unit:
        before = time.time()
        await unit.joined()
        joined = time.monotonic()
        await unit.client.ask("mute", on=True)
        await unit.until_intent_saved()
        await until_noted(unit, "switch", muted=True)
        await settled(2.0)
        workers = children_of(unit.engine.pid)
        unit.kill_engine()
        killed = time.monotonic()
        await vanished(workers, 2.0)
    code, output = await minutes_command(plan, "show", "--json")
    assert code == 0
    assert json.loads(output)["status"] == "open", "while the unit is off, nobody knows the end"
    async with a_unit(plan) as unit:
        await unit.until_meeting("live")
        await unit.until_new_picture()
        back = time.monotonic()
        await settled(2.0)
        await unit.leave()
        left, after = time.monotonic(), time.time()
        await until_noted(unit, "end")
    code, output = await minutes_command(plan, "show", "--json")
    assert code == 0
    record = json.loads(output)
    assert (record["unit"], record["meeting"]["id"]) == (plan.name, ROOM)
    assert (record["status"], record["interruptions"], record["reconnects"]) == ("ended", 1, 0)
    assert record["chain"]["intact"]
    assert before * 1000 - 1 <= record["began_unix_ms"] <= record["ended_unix_ms"] <= after * 1000 + 1
    kinds = [event["kind"] for event in record["events"]]
    happened = [kind for kind in kinds if not kind.startswith(("problem", "worker"))]
    assert happened == ["start", "state", "switch", "resumed", "state", "end"]
    (cut,) = [fault for fault in record["faults"] if fault["code"] == "program-cut"]
    # It was cut off at the kill, but the last line before it is the mute of two seconds earlier.
    assert (back - killed) * 1000 - 3000 <= cut["lasted_ms"] <= (back - joined) * 1000
    assert abs(record["duration_ms"] - (left - before_mono(before, after, left)) * 1000) < 3000
    assert record["live_ms"] >= 1900
    assert sum(minute.get("frames_sent", 0) for minute in record["quality"]) > 30
    assert sum(minute.get("frames_shown", 0) for minute in record["quality"]) > 30
    assert sum(minute.get("packets_in", 0) for minute in record["quality"]) > 100
    code, output = await minutes_command(plan, "verify", "--json", "--hash", record["lines"]["hash"])
    assert code == 0
    assert json.loads(output)["hash_found"] == record["lines"]["last"]


def before_mono(before_wall: float, after_wall: float, after_mono: float) -> float:
    """The monotonic time of a moment on the wall clock."""
    return after_mono - (after_wall - before_wall)


async def test_every_figure_of_the_minutes_is_told_by_the_parts(plan: UnitPlan) -> None:
    """Guards the names of numbers: one that is renamed in its part would go missing here in silence."""
    async with a_unit(plan) as unit:
        await unit.joined()

        async def reported() -> bool:
            return (await unit.state())["numbers"].get("session", {}).get("video_out_rtt_ms") is not None

        await unit.until("a round trip", reported, 15)
        await settled(1.5)  # the gauges are read once a second
        await unit.leave()
        await until_noted(unit, "quality")
    (minute,) = [line for line in noted(plan) if line["kind"] == "quality"]
    assert [name for name in (*COUNTERS, *GAUGES) if name not in minute] == []


async def test_a_unit_stopped_in_a_meeting_goes_on_with_the_same_record(plan: UnitPlan) -> None:
    async with a_unit(plan) as unit:
        await unit.joined()
    assert [line["kind"] for line in noted(plan)][-2:] == ["quality", "stopped"]
    async with a_unit(plan) as unit:
        await unit.until_meeting("live")
        await until_noted(unit, "state", 2, state="live")
        await unit.leave()
        await until_noted(unit, "end", reason="left")
    code, output = await minutes_command(plan, "list", "--json")
    assert code == 0
    (meeting,) = json.loads(output)["meetings"]
    assert (meeting["number"], meeting["status"], meeting["interruptions"]) == (1, "ended", 1)


async def test_minutes_that_cannot_be_written_disturb_no_meeting(plan: UnitPlan) -> None:
    plan.folder.mkdir()
    plan.folder.joinpath(FOLDER).write_text("a file where the folder should be")
    async with a_unit(plan) as unit:
        await unit.joined()

        async def told() -> bool:
            return "storage-failing" in [problem["code"] for problem in (await unit.state())["problems"]]

        await unit.until("the Problem", told, 5)
        await unit.until_new_picture()
        plan.folder.joinpath(FOLDER).unlink()
        await until_noted_later(unit)
        assert await unit.meeting() == "live"


async def until_noted_later(unit: Unit) -> None:
    """The keeper tries again after 5 s, then 10 s."""

    async def started() -> bool:
        folder = unit.plan.folder / FOLDER
        return folder.is_dir() and any(line["kind"] == "start" for line in noted(unit.plan))

    await unit.until("the minutes", started, 20)
