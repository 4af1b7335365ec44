"""A session of ours that could not be ended: it is ended late where that can be, and known of when the MCU refuses."""

import asyncio
import random
from contextlib import suppress

import pytest
from aiohttp import web

from appliance.errors import CredentialsRejected, UplinkError
from appliance.uplink import http, resource
from appliance.uplink.ghosts import LIFE_S, Ghosts
from appliance.uplink.http import HttpLimits, SignallingClient
from appliance.uplink.whip import WhipResource

from .whip_endpoint import ANSWER, OFFER, SDP_TYPE, Reply, ScriptedEndpoint, created, meeting


def whip(client: SignallingClient, url: str, ghosts: Ghosts) -> WhipResource:
    return WhipResource(client, url, rng=random.Random(1), ghosts=ghosts)


async def refusal(server: ScriptedEndpoint, ghosts: Ghosts) -> UplinkError:
    url = server.url("/whip")
    async with SignallingClient(meeting(url), HttpLimits(1, 1)) as client:
        with pytest.raises(UplinkError) as caught:
            await whip(client, url, ghosts).offer(OFFER)
        return caught.value


async def test_a_post_that_is_answered_long_after_leaving_still_has_its_session_deleted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(resource, "POST_GRACE_S", 0.05)
    may_answer = asyncio.Event()

    async def late(request: web.Request) -> web.Response:
        await may_answer.wait()
        return web.Response(status=201, headers={**SDP_TYPE, "Location": "/s/1"}, text=ANSWER)

    ghosts = Ghosts()
    async with ScriptedEndpoint() as server:
        url = server.url("/whip")
        server.on("POST", "/whip", late)
        server.on("DELETE", "/s/1", Reply(200))
        async with SignallingClient(meeting(url), HttpLimits(1, 5)) as client:
            session = whip(client, url, ghosts)
            offering = asyncio.ensure_future(session.offer(OFFER))
            async with asyncio.timeout(3):
                while not server.seen("POST"):
                    await asyncio.sleep(0.005)
            offering.cancel()
            with suppress(asyncio.CancelledError):
                await offering
            await session.close()
        assert server.seen("DELETE") == [], "whoever leaves is not kept waiting"
        assert ghosts.may_be_at(url)
        may_answer.set()
        async with asyncio.timeout(3):
            while http._CLOSING:
                await asyncio.sleep(0.005)
        assert [request.path for request in server.seen("DELETE")] == ["/s/1"]


@pytest.mark.parametrize("status", [403, 409])
async def test_a_refusal_while_a_session_of_ours_may_still_stand_is_no_fault_of_the_token(status: int) -> None:
    ghosts = Ghosts()
    async with ScriptedEndpoint() as server:
        server.on("POST", "/whip", Reply(status))
        ghosts.left_at(server.url("/whip"))
        error = await refusal(server, ghosts)
        assert (type(error), error.problem) == (UplinkError, "mcu-busy")
        assert "may still stand" in str(error)
        assert 3.0 <= error.retry_after_s < 5.0


async def test_a_wrong_token_is_a_wrong_token_all_the_same() -> None:
    ghosts = Ghosts()
    async with ScriptedEndpoint() as server:
        ghosts.left_at(server.url("/whip"))
        server.on("POST", "/whip", Reply(401))
        assert isinstance(await refusal(server, ghosts), CredentialsRejected)
        server.on("POST", "/whip", Reply(403))
        assert isinstance(await refusal(server, Ghosts()), CredentialsRejected)


async def test_a_post_whose_answer_is_lost_may_have_made_a_session() -> None:
    async def fall_silent(request: web.Request) -> web.Response:
        await asyncio.sleep(5)
        raise AssertionError("never answered")

    ghosts = Ghosts()
    async with ScriptedEndpoint() as server:
        server.on("POST", "/whip", fall_silent)
        url = server.url("/whip")
        async with SignallingClient(meeting(url), HttpLimits(0.2, 0.2)) as client:
            with pytest.raises(UplinkError):
                await whip(client, url, ghosts).offer(OFFER)
        assert ghosts.may_be_at(url)


async def test_a_session_that_was_ended_leaves_no_ghost() -> None:
    ghosts = Ghosts()
    async with ScriptedEndpoint() as server:
        server.on("POST", "/whip", created("/s/1"))
        server.on("DELETE", "/s/1", Reply(200))
        url = server.url("/whip")
        async with SignallingClient(meeting(url), HttpLimits(1, 1)) as client:
            session = whip(client, url, ghosts)
            await session.offer(OFFER)
            await session.close()
        assert not ghosts.may_be_at(url)


def test_ghosts_fade_and_are_few() -> None:
    now = 0.0
    ghosts = Ghosts(lambda: now)
    for number in range(100):
        ghosts.left_at(f"https://mcu/{number}")
    assert not ghosts.may_be_at("https://mcu/0")
    assert ghosts.may_be_at("https://mcu/99")
    now = LIFE_S + 1
    assert not ghosts.may_be_at("https://mcu/99")
