"""Whatever happens to the line or to the MCU, picture and sound are back by themselves within the promised time."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from appliance.media.clock import MediaClock
from appliance.media.values import BLOCK_NS, SILENCE, AudioBlock
from appliance.rtp.opus import OpusEncoder
from appliance.rtp.peer import IceConfig, Peer
from bench import recovery
from bench.line import path
from bench.recovery import CASES, Row, a_scene, back_after
from tests.call import a_unit, plan_for, settled

pytestmark = [pytest.mark.heavy, pytest.mark.timeout(110)]
# Told of a loss within 3 s; a busy machine may look a little later.
TOLD_S = 3.3


async def _kept(case: str) -> Row:
    row = await recovery.run(CASES[case])
    assert row.picture_s <= row.promised_s, row
    assert row.sound_s <= row.promised_s, row
    return row


@pytest.mark.netns
@pytest.mark.skipif(path.missing() is not None, reason=str(path.missing()))
class TestTheLine:
    async def test_a_cut_of_two_seconds_is_over_when_it_is_over(self) -> None:
        row = await _kept("cut-2")
        # On a busy machine the unit may just have begun to tell of it.
        assert row.reconnects <= 1

    async def test_after_a_cut_of_three_seconds_the_same_session_goes_on(self, tmp_path: Path) -> None:
        async with a_scene(tmp_path) as scene:
            moment_ns = await recovery.cut(scene, 3.0)
            picture_s, sound_s = await back_after(scene, moment_ns)
            assert max(picture_s, sound_s) <= 2.0
            assert "rejoining" in [state for _, state, _ in scene.states]
            events = (tmp_path / "mcu.log").read_text()
            assert events.count('"joined"') == 2, "one session each way, and no other"

    async def test_a_pulled_cable_of_ten_seconds_is_told_and_made_good_within_five(self) -> None:
        row = await _kept("cable-10")
        assert row.told_s is not None
        assert row.told_s <= TOLD_S
        assert row.problems[0] == "connection-lost"
        assert row.reconnects == 1

    async def test_a_cut_somewhere_in_the_network_of_ten_seconds_is_made_good_within_five(self) -> None:
        row = await _kept("cut-10")
        assert row.told_s is not None
        assert row.told_s <= TOLD_S

    async def test_a_new_address_is_noticed_before_the_silence_is(self) -> None:
        row = await _kept("address")
        assert row.told_s is not None
        assert row.told_s < 2.0, "sooner than silence would be"

    async def test_another_interface_takes_over_when_the_cable_is_pulled(self, tmp_path: Path) -> None:
        async with a_scene(tmp_path) as scene:
            async with scene.line.spare():
                scene.line.unplug_unit()
                moment_ns = time.monotonic_ns()
                picture_s, sound_s = await back_after(scene, moment_ns)
            assert max(picture_s, sound_s) <= 5.0

    async def test_a_router_that_forgets_us_costs_a_new_session(self) -> None:
        row = await _kept("nat")
        assert row.problems == ("connection-lost",)

    async def test_an_mcu_that_is_killed_and_started_again_has_the_unit_back(self) -> None:
        row = await _kept("mcu-restart")
        assert row.told_s is not None
        assert row.told_s <= TOLD_S

    async def test_without_any_network_the_room_is_told_so(self, tmp_path: Path) -> None:
        async with a_scene(tmp_path) as scene:
            scene.line.unplug_unit()

            async def told() -> bool | None:
                codes = [problem["code"] for problem in (await scene.state())["problems"]]
                return codes == ["no-network"] or None

            await recovery.wait_for("the problem", told, [scene.engine], 45)
            scene.line.plug_unit()
            picture_s, sound_s = await back_after(scene, time.monotonic_ns())
            assert max(picture_s, sound_s) <= 5.0
            assert (await scene.state())["problems"] == []


@asynccontextmanager
async def an_mcu_without_pictures() -> AsyncIterator[str]:
    """Takes what we send, and sends sound alone."""
    peers: list[Peer] = []
    clock, opus = MediaClock(), OpusEncoder()

    async def post(request: web.Request) -> web.Response:
        peer = Peer(IceConfig(), loopback=True)
        peers.append(peer)
        direction = "receive" if request.match_info["kind"] == "whip" else "send"
        answer = await peer.answer(await request.text(), direction=direction)  # type: ignore[arg-type]
        if direction == "send":
            speaking.append(peer)
        headers = {"Location": f"/session/{len(peers)}"}
        return web.Response(status=201, text=answer, content_type="application/sdp", headers=headers)

    async def delete(_: web.Request) -> web.Response:
        return web.Response()

    async def speak() -> None:
        next_ns = clock.now_ns()
        while True:
            next_ns += BLOCK_NS
            await asyncio.sleep(max(0, next_ns - clock.now_ns()) / 1e9)
            block = AudioBlock(SILENCE, next_ns)
            for peer in speaking:
                peer.audio_sender.send(opus.encode(block.samples), block.pts_ns, -127)

    speaking: list[Peer] = []
    app = web.Application()
    app.router.add_post("/{kind:whip|whep}", post)
    app.router.add_delete("/session/{number}", delete)
    async with AsyncExitStack() as stack:
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        job = asyncio.ensure_future(speak())
        try:
            yield f"http://127.0.0.1:{runner.addresses[0][1]}"
        finally:
            job.cancel()
            await asyncio.wait((job,))
            await asyncio.gather(*(peer.close() for peer in peers))
            opus.close()


async def test_a_far_end_that_sends_sound_and_no_picture_is_a_problem_within_five_seconds(tmp_path: Path) -> None:
    async with (
        an_mcu_without_pictures() as url,
        a_unit(plan_for(tmp_path / "unit", f"{url}/whip", f"{url}/whep")) as unit,
    ):
        await unit.client.ask("join")
        await unit.until_meeting("live")

        async def told() -> bool:
            return [problem["code"] for problem in (await unit.state())["problems"]] == ["no-far-picture"]

        assert await unit.until("the problem", told, 8) <= 5.5
        await settled(15)
        state = await unit.state()
        assert state["meeting"]["state"] == "live"
        assert state["meeting"]["reconnects"] == 0, "a meeting of voices goes on undisturbed"
        assert state["numbers"]["screen"]["card"], "and the screen says what is missing"
