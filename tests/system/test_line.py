"""The bench's bad line, real: it does to datagrams what it is told, and a meeting of two units lives on it."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from appliance.demo.processes import Program, wait_for
from bench.line import path
from bench.line.call import CallPlan, hold
from bench.line.impairment import LinkSettings
from bench.line.path import LinePath, PathError
from bench.line.profiles import Profile

pytestmark = [
    pytest.mark.heavy,
    pytest.mark.netns,
    pytest.mark.timeout(120),
    pytest.mark.skipif(path.missing() is not None, reason=str(path.missing())),
]

PROBE = str(Path(__file__).with_name("line_probe.py"))


@asynccontextmanager
async def _echoing(line: LinePath, folder: Path) -> AsyncIterator[None]:
    log = folder / "echo.log"
    async with Program("echo", [*line.far.prefix, sys.executable, PROBE, "echo", line.far.host], log) as echo:

        async def listens() -> bool | None:
            return "listening" in log.read_text() or None

        await wait_for("echo", listens, [echo], 20)
        yield


async def _probe(line: LinePath, count: int, size: int = 200, every_ms: float = 1.0) -> dict[str, Any]:
    """Datagrams from the unit's end and back; what came."""
    words = (*line.unit.prefix, sys.executable, PROBE, "send", line.far.host, str(count), str(size), str(every_ms))
    process = await asyncio.create_subprocess_exec(*words, stdout=asyncio.subprocess.PIPE)
    out, _ = await process.communicate()
    assert process.returncode == 0
    figures: dict[str, Any] = json.loads(out)
    return figures


def _profile(**up: Any) -> Profile:
    return Profile(LinkSettings(**up), LinkSettings(), "a test's")


async def test_the_line_delays_each_way_and_loses_nothing(tmp_path: Path) -> None:
    both = LinkSettings(delay_ms=40.0)
    async with LinePath(Profile(both, both, "40 ms each way")) as line, _echoing(line, tmp_path):
        found = await _probe(line, 200)
        assert (found["came"], found["disordered"]) == (200, 0)
        # The quickest of many is hardly delayed by a busy machine.
        assert 80.0 <= found["quickest_ms"] < 90.0


async def test_the_line_loses_the_share_it_is_told_and_the_same_packets_each_time(tmp_path: Path) -> None:
    async with LinePath(_profile(loss=0.2), seed=5) as line, _echoing(line, tmp_path):
        came = []
        for _ in range(2):
            await line.restart(5)
            found = await _probe(line, 500)
            figures = await line.stats()
            assert figures["up"]["dropped"]["loss"] == 500 - found["came"]
            assert figures["down"]["delivered"] == found["came"]
            came.append(found["came"])
        assert came[0] == came[1]
        assert 340 < came[0] < 460


async def test_the_line_queues_what_is_above_its_rate_and_drops_what_is_above_its_queue(tmp_path: Path) -> None:
    # 800 kbit/s: a datagram of 1000 bytes with its headers takes 10 ms, so 500 ms of queue hold 50.
    async with LinePath(_profile(rate_kbps=800.0, queue_ms=500.0)) as line, _echoing(line, tmp_path):
        found = await _probe(line, 200, size=972, every_ms=0.2)
        figures = (await line.stats())["up"]
        assert figures["arrived"] == 200
        assert figures["dropped"]["queue"] == 200 - found["came"]
        # While they were sent, at 5000 a second, the wire took a few more.
        assert 50 <= found["came"] < 200
        assert 400 <= figures["queue_ms"]["max"] <= 510


async def test_a_cable_can_be_pulled_and_plugged_and_the_address_changed_under_way(tmp_path: Path) -> None:
    async with LinePath() as line, _echoing(line, tmp_path):
        assert (await _probe(line, 20))["came"] == 20
        await line.cut()
        assert (await _probe(line, 20))["came"] == 0
        assert (await line.stats())["up"]["dropped"]["cut"] == 20
        await line.plug()
        assert (await _probe(line, 20))["came"] == 20
        line.readdress_unit("10.77.0.9")
        assert (await _probe(line, 20))["came"] == 20


async def test_a_wrong_value_changes_nothing(tmp_path: Path) -> None:
    async with LinePath(_profile(loss=0.2)) as line, _echoing(line, tmp_path):
        with pytest.raises(PathError, match="loss is a probability"):
            await line.change(up={"loss": 20}, down={"loss": 1.0})
        with pytest.raises(PathError, match="unexpected keyword"):
            await line.change(up={"lost": 0.1})
        assert (await _probe(line, 50))["came"] > 10


async def test_a_line_leaves_nothing_behind() -> None:
    async with LinePath() as line:
        names = {line.unit.namespace, line.far.namespace}
        assert names <= await _namespaces()
    assert not names & await _namespaces()


async def _namespaces() -> set[str]:
    process = await asyncio.create_subprocess_exec("ip", "netns", "list", stdout=asyncio.subprocess.PIPE)
    out, _ = await process.communicate()
    return {line.split()[0] for line in out.decode().splitlines() if line.strip()}


async def test_two_units_see_and_hear_each_other_over_a_line_that_loses_bursts() -> None:
    said: list[str] = []
    row = await hold(CallPlan("ours", "burst5", seed=1, seconds=10.0, series=True), said.append)
    for way in (row, row["back"]):
        assert way["line"]["up"]["dropped"]["loss"] > 20, "the line was bad"
        # Loose, for a busy machine holds up pictures as well: they keep coming, and sound is there.
        assert way["frames_shown"] > 80
        assert way["longest_freeze_ms"] < 3000
        assert way["reconnects"] == 0
        assert way["mouth_to_ear_ms"]["p50"] is not None
        assert way["audio_silence_ms"] < 5000
        assert 80 < way["glass_to_glass_ms"]["p50"] < 1500
    assert row["nacks"] > 0
    assert len(row["series"]) >= 8
    assert len(said) == 1
