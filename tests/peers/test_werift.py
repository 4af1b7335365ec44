"""werift, a WebRTC stack in JavaScript, as the MCU: our unit publishes through it and receives itself back."""

from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import pytest

from appliance.demo.processes import Program, free_port, wait_for
from tests.call import a_unit, plan_for, settled

pytestmark = [pytest.mark.peer, pytest.mark.timeout(90)]


async def test_a_call_through_werift(node: str, programs: AsyncExitStack, tmp_path: Path) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    script = Path(__file__).with_name("werift_relay.mjs")
    relay = await programs.enter_async_context(Program("werift", [node, str(script), str(port)], tmp_path / "werift"))
    http = await programs.enter_async_context(aiohttp.ClientSession())

    async def counts() -> dict[str, object] | None:
        try:
            async with http.get(url) as answer:
                found: dict[str, object] = await answer.json(content_type=None)
                return found
        except aiohttp.ClientError:
            return None

    await wait_for("werift", counts, [relay], 15)
    async with a_unit(plan_for(tmp_path / "unit", f"{url}/whip", f"{url}/whep")) as unit:
        await unit.joined()
        await settled(6)
        shown = unit.shown()
        coded = [frame for frame in shown if frame.captured_ns is not None]
        assert len(coded) > 100
        assert (await unit.state())["numbers"]["screen"]["decode_errors"] == 0
        assert len(unit.heard_delays_ms()) >= 1
        await unit.leave()

        async def deleted() -> bool:
            return (await counts() or {}).get("deletes") == 2

        await unit.until("both sessions deleted", deleted, 5)
