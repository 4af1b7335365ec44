"""WHEP over HTTP against a scripted server: not ready yet, and the counter-offer."""

import asyncio
import random
import time
from dataclasses import replace

import pytest
from aiohttp import web

from appliance.errors import CredentialsRejected, NegotiationFailed, UplinkError
from appliance.uplink.http import HttpLimits, SignallingClient
from appliance.uplink.whep import Accepted, CounterOffer, WhepResource

from .whip_endpoint import ANSWER, OFFER, SDP_TYPE, Reply, ScriptedEndpoint, created, meeting

COUNTER = "v=0\r\ns=counter\r\n"


class Waits:
    """Stands for asyncio.sleep and remembers how long it was asked to."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)


async def offer(server: ScriptedEndpoint, waits: Waits | None = None) -> Accepted | CounterOffer:
    async with SignallingClient(meeting(server.url("/whep")), HttpLimits(0.5, 0.5)) as client:
        resource = WhepResource(client, server.url("/whep"), rng=random.Random(1), sleep=waits or Waits())
        try:
            return await resource.offer(OFFER)
        finally:
            await resource.close()


def counter_offer(**headers: str) -> Reply:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(406, {**SDP_TYPE, "Location": "/session/1", **named}, COUNTER)


async def test_an_accepted_offer_gives_the_answer_and_delete_ends_the_session() -> None:
    async with ScriptedEndpoint() as server:
        server.on("POST", "/whep", created())
        server.on("DELETE", "/session/1", Reply(204))
        assert await offer(server) == Accepted(ANSWER)
        assert [request.method for request in server.requests] == ["POST", "DELETE"]


async def test_not_ready_is_tried_again_with_exponential_back_off_from_retry_after() -> None:
    waits = Waits()
    async with ScriptedEndpoint() as server:
        server.on("POST", "/whep", *[Reply(409, {"Retry-After": "1"})] * 3, created())
        assert isinstance(await offer(server, waits), Accepted)
    for waited, least in zip(waits.seconds, (1, 2, 4), strict=True):
        assert least <= waited <= least * 1.1


async def test_not_ready_without_a_time_starts_short() -> None:
    waits = Waits()
    async with ScriptedEndpoint() as server:
        server.on("POST", "/whep", Reply(409), Reply(409), created())
        await offer(server, waits)
    assert [round(waited, 1) for waited in waits.seconds] in ([0.3, 0.5], [0.2, 0.5], [0.3, 0.6])


@pytest.mark.parametrize(("status", "patience"), [(409, 10), (404, 3)])
async def test_a_server_that_stays_unready_is_given_up_in_bounded_time(status: int, patience: float) -> None:
    waits = Waits()
    async with ScriptedEndpoint() as server:
        server.on("POST", "/whep", Reply(status))
        with pytest.raises(UplinkError) as caught:
            await offer(server, waits)
    assert str(status) in str(caught.value)
    assert patience / 4 < sum(waits.seconds) <= patience


async def test_a_long_retry_after_is_left_to_whoever_tries_anew() -> None:
    waits = Waits()
    async with ScriptedEndpoint() as server:
        server.on("POST", "/whep", Reply(409, {"Retry-After": "60"}))
        with pytest.raises(UplinkError) as caught:
            await offer(server, waits)
    assert waits.seconds == []
    assert (caught.value.problem, 60 <= caught.value.retry_after_s <= 75) == ("mcu-busy", True)


async def answer_counter(server: ScriptedEndpoint) -> None:
    """Take a counter-offer, PATCH an answer, close."""
    async with SignallingClient(meeting(server.url("/whep")), HttpLimits(0.5, 0.5)) as client:
        resource = WhepResource(client, server.url("/whep"), rng=random.Random(1))
        try:
            counter = await resource.offer(OFFER)
            assert isinstance(counter, CounterOffer)
            assert counter.sdp == COUNTER
            await resource.answer(counter, ANSWER)
        finally:
            await resource.close()


@pytest.mark.parametrize("etag", [None, "*", "unquoted", 'W/"weak"', '"strong"'])
async def test_a_counter_offer_is_answered_by_patch_with_the_etag_to_the_byte(etag: str | None) -> None:
    async with ScriptedEndpoint() as server:
        server.on("POST", "/whep", counter_offer(**({} if etag is None else {"ETag": etag})))
        server.on("PATCH", "/session/1", Reply(204, {"ETag": "ignored"}))
        await answer_counter(server)
        (patch,) = server.seen("PATCH")
        assert (patch.headers["Content-Type"], patch.body) == ("application/sdp", ANSWER)
        assert patch.headers["Authorization"] == "Bearer secret"
        assert patch.headers.get("If-Match") == etag
        assert [request.path for request in server.seen("DELETE")] == ["/session/1"]


@pytest.mark.parametrize("status", [400, 404, 405, 412, 422, 428, 500, 501])
async def test_a_refused_answer_to_a_counter_offer_ends_the_try_and_deletes_the_session(status: int) -> None:
    async with ScriptedEndpoint() as server:
        server.on("POST", "/whep", counter_offer())
        server.on("PATCH", "/session/1", Reply(status))
        with pytest.raises(UplinkError, match=str(status)):
            await answer_counter(server)
        assert len(server.seen("DELETE")) == 1


async def test_an_expired_counter_offer_is_not_answered() -> None:
    dated = {
        "Content-Type": 'application/sdp; valid-until="Wed, 09 Oct 2024 11:59:59 GMT"',
        "Date": "Wed, 09 Oct 2024 12:00:00 GMT",
    }
    async with ScriptedEndpoint() as server:
        server.on("POST", "/whep", counter_offer(**dated))
        with pytest.raises(NegotiationFailed, match="expired"):
            await answer_counter(server)
        assert server.seen("PATCH") == []
        assert len(server.seen("DELETE")) == 1


async def test_an_answer_that_is_not_taken_before_the_counter_offer_expires_is_given_up() -> None:
    async def never(_: web.Request) -> web.Response:
        await asyncio.Event().wait()
        raise AssertionError

    async with ScriptedEndpoint() as server:
        server.on("POST", "/whep", counter_offer())
        server.on("PATCH", "/session/1", never)
        async with SignallingClient(meeting(server.url("/whep"))) as client:
            resource = WhepResource(client, server.url("/whep"))
            counter = await resource.offer(OFFER)
            assert isinstance(counter, CounterOffer)
            with pytest.raises(NegotiationFailed, match="expired"):
                await resource.answer(replace(counter, expires_s=time.monotonic() + 0.1), ANSWER)
            await resource.close()


@pytest.mark.parametrize("location", ["https://10.0.0.9/s", None])
async def test_a_counter_offer_at_a_foreign_address_is_not_answered(location: str | None) -> None:
    headers = {"Location": location} if location else {}
    async with ScriptedEndpoint() as server:
        server.on("POST", "/whep", Reply(406, {**SDP_TYPE, **headers}, COUNTER))
        with pytest.raises(NegotiationFailed, match="cannot be answered"):
            await answer_counter(server)
        assert [request.method for request in server.requests] == ["POST"]


async def test_406_without_sdp_is_a_plain_refusal() -> None:
    async with ScriptedEndpoint() as server:
        server.on("POST", "/whep", Reply(406, {"Content-Type": "text/plain"}, "no"))
        with pytest.raises(UplinkError, match="406"):
            await offer(server)


async def test_whep_rejects_credentials_like_whip() -> None:
    async with ScriptedEndpoint() as server:
        server.on("POST", "/whep", Reply(403))
        with pytest.raises(CredentialsRejected):
            await offer(server)


async def test_whoever_leaves_while_the_post_is_on_its_way_still_deletes_the_session() -> None:
    arrived, go_on = asyncio.Event(), asyncio.Event()
    async with ScriptedEndpoint() as server:

        async def slow(_: web.Request) -> web.Response:
            arrived.set()
            await go_on.wait()
            return web.Response(status=201, headers={**SDP_TYPE, "Location": "/session/9"}, text=ANSWER)

        server.on("POST", "/whep", slow)
        async with SignallingClient(meeting(server.url("/whep")), HttpLimits(2, 2)) as client:
            resource = WhepResource(client, server.url("/whep"))
            job = asyncio.ensure_future(resource.offer(OFFER))
            await arrived.wait()
            job.cancel()
            await asyncio.wait((job,))
            assert job.cancelled()
            go_on.set()
            await resource.close()
        assert [request.path for request in server.seen("DELETE")] == ["/session/9"]


async def test_leaving_does_not_wait_for_a_post_that_is_never_answered() -> None:
    arrived = asyncio.Event()
    async with ScriptedEndpoint() as server:

        async def never(_: web.Request) -> web.Response:
            arrived.set()
            await asyncio.Event().wait()
            raise AssertionError

        server.on("POST", "/whep", never)
        async with SignallingClient(meeting(server.url("/whep"))) as client:
            resource = WhepResource(client, server.url("/whep"))
            job = asyncio.ensure_future(resource.offer(OFFER))
            await arrived.wait()
            job.cancel()
            await asyncio.wait((job,))
            async with asyncio.timeout(1.5):
                await resource.close()
        assert server.seen("DELETE") == []
