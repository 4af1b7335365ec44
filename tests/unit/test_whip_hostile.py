"""Hostile and broken HTTP: each costs one clear error."""

import asyncio
import contextlib
import socket
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.errors import NegotiationFailed, UplinkError
from appliance.uplink.http import HttpLimits, SignallingClient
from appliance.uplink.whip import WhipResource

from .whip_endpoint import ANSWER, OFFER, SDP_TYPE, RawServer, Reply, ScriptedEndpoint, created, failure, meeting, post


@pytest.mark.parametrize("status", [201, 500])
async def test_a_body_beyond_the_limit_is_cut_off(status: int) -> None:
    async with ScriptedEndpoint() as server:
        server.on("POST", "/whip", Reply(status, {**SDP_TYPE, "Location": "/session/1"}, b"v" * 70_000))
        error = await failure(meeting(server.url("/whip")))
        assert isinstance(error, NegotiationFailed) == (status == 201)
        assert len(server.seen("DELETE")) == (status == 201)


async def test_an_endless_body_is_cut_off_and_its_session_deleted() -> None:
    head = (
        b"HTTP/1.1 201 Created\r\nContent-Type: application/sdp\r\nLocation: /s\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    chunk = b"1000\r\n" + b"a" * 4096 + b"\r\n"
    async with RawServer(head, *[chunk] * 10_000) as server:
        assert "too long" in str(await failure(meeting(server.url)))


async def test_a_compressed_answer_is_refused_unread() -> None:
    async with ScriptedEndpoint() as server:
        server.on("POST", "/whip", created(Content_Encoding="gzip"))
        assert "compresses" in str(await failure(meeting(server.url("/whip"))))


async def test_a_body_that_drips_slowly_ends_at_the_total_timeout_and_its_session_is_deleted() -> None:
    head = b"HTTP/1.1 201 Created\r\nContent-Type: application/sdp\r\nLocation: /s\r\nContent-Length: 999\r\n\r\n"
    async with RawServer(head, *[b"v"] * 999, pause_s=0.05) as server:
        begun = time.monotonic()
        assert "within 0.4 s" in str(await failure(meeting(server.url)))
        assert time.monotonic() - begun < 3
        assert server.connections >= 2


async def test_headers_that_drip_slowly_end_at_the_total_timeout() -> None:
    async with RawServer(b"HTTP/1.1 201 Created\r\n", *[b"X: y\r\n"] * 999, pause_s=0.02) as server:
        assert "within 0.4 s" in str(await failure(meeting(server.url)))


async def test_a_server_that_never_answers_is_given_up() -> None:
    async with RawServer(hold=True) as server:
        assert "does not answer" in str(await failure(meeting(server.url)))


async def test_a_connection_that_is_never_taken_is_given_up() -> None:
    with socket.socket() as full, socket.socket() as first:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        first.connect(full.getsockname())
        host, port = full.getsockname()
        assert "within 0.3 s" in str(
            await failure(meeting(f"http://{host}:{port}/"), HttpLimits(connect_s=0.3, total_s=2))
        )


async def test_a_refused_connection_is_said_plainly() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    error = await failure(meeting(f"http://127.0.0.1:{port}/whip"))
    assert ("cannot be connected to" in str(error), error.problem) == (True, "mcu-unreachable")


async def test_an_unknown_host_is_said_plainly() -> None:
    error = await failure(meeting("https://no-such-host.invalid/whip"), HttpLimits())
    assert ("no-such-host.invalid is not known" in str(error), error.problem) == (True, "mcu-unreachable")


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 banana\r\n\r\n",
        b"HTTP/1.1 201 Created\r\nContent-Length: -5\r\n\r\n",
        b"HTTP/1.1 201 Created\r\nContent-Length: 5\r\nContent-Length: 9\r\n\r\nabcde",
        b"HTTP/1.1 201 Created\r\nContent-Type: application/sdp\r\nContent-Length: 500\r\n\r\nv=0",
        b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\nContent-Type: application/sdp\r\n\r\nzz\r\n",
        b"HTTP/1.1 201 Created\r\nX: " + b"a" * 100_000 + b"\r\n\r\n",
        b"HTTP/1.1 201 Created\r\n" + b"X: y\r\n" * 10_000 + b"\r\n",
        b"HTTP/1.1 999 Odd\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    ],
)
async def test_what_is_not_http_is_one_clear_error(raw: bytes) -> None:
    async with RawServer(raw) as server:
        await failure(meeting(server.url))


async def test_a_reset_in_the_middle_of_the_post_is_one_clear_error() -> None:
    async with RawServer(b"HTTP/1.1 2") as server:
        await failure(meeting(server.url))


async def test_a_connection_closed_between_post_and_delete_is_made_anew() -> None:
    body = ANSWER.encode()
    head = b"HTTP/1.1 201 Created\r\nContent-Type: application/sdp\r\nLocation: /s\r\nContent-Length: %d\r\n\r\n"
    async with RawServer(head % len(body) + body) as server:
        # The server closes after each answer without having said so; the DELETE's answer is then a 201, which is odd
        # but counts as an answer.
        resource = await post(meeting(server.url))
        assert server.connections == 2
        assert "201" in (resource.cannot_delete or "")


@given(
    status=st.integers(200, 599), kind=st.text(max_size=30), body=st.binary(max_size=200), location=st.text(max_size=40)
)
@settings(max_examples=40)
def test_any_answer_is_a_success_or_an_uplink_error(status: int, kind: str, body: bytes, location: str) -> None:
    def clean(text: str) -> bytes:
        return text.replace("\r", "").replace("\n", "").encode()

    raw = b"HTTP/1.1 %d X\r\nContent-Type: %s\r\nLocation: %s\r\nContent-Length: %d\r\n\r\n%s"

    async def run() -> None:
        async with RawServer(raw % (status, clean(kind), clean(location), len(body), body)) as server:
            config = meeting(server.url)
            async with SignallingClient(config, HttpLimits(0.2, 0.2)) as client:
                resource = WhipResource(client, config.send_url)
                try:
                    with contextlib.suppress(UplinkError):
                        await resource.offer(OFFER)
                finally:
                    async with asyncio.timeout(5):
                        await resource.close()

    asyncio.run(run())
