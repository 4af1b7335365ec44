"""Where a redirect leads, TLS at each hop, and what of it gets the token."""

import asyncio
import ssl
from pathlib import Path

import pytest

from .whip_endpoint import Reply, ScriptedEndpoint, created, failure, make_certificates, meeting, post


@pytest.mark.parametrize("status", [307, 308])
async def test_a_redirect_is_followed_with_the_same_post_and_body(status: int) -> None:
    async with ScriptedEndpoint() as server:
        server.on("POST", "/whip", Reply(status, {"Location": "/node2/whip"}))
        server.on("POST", "/node2/whip", created("session"))
        await post(meeting(server.url("/whip")))
        first, second = server.seen("POST")
        assert (second.path, second.body) == ("/node2/whip", first.body)
        assert second.headers["Content-Type"] == "application/sdp"
        assert second.headers["Authorization"] == "Bearer secret"
        assert server.seen("DELETE")[0].path == "/node2/session"


@pytest.mark.parametrize("status", [300, 301, 302, 303, 304])
async def test_a_redirect_that_would_lose_the_offer_is_an_error_and_never_a_get(status: int) -> None:
    async with ScriptedEndpoint() as server:
        server.on("POST", "/whip", Reply(status, {"Location": "/other"}))
        assert (await failure(meeting(server.url("/whip")))).problem == "mcu-answer"
        assert [request.method for request in server.requests] == ["POST"]


async def test_a_redirect_to_another_origin_gets_the_offer_but_no_token() -> None:
    async with ScriptedEndpoint() as server, ScriptedEndpoint() as other:
        server.on("POST", "/whip", Reply(307, {"Location": other.url("/whip")}))
        other.on("POST", "/whip", created("/session/1"))
        other.on("DELETE", "/session/1", Reply(200))
        resource = await post(meeting(server.url("/whip")))
        assert [request.method for request in other.requests] == ["POST", "DELETE"]
        assert all("Authorization" not in request.headers for request in other.requests)
        assert resource.cannot_delete is None


async def test_a_redirect_to_an_allow_listed_host_keeps_the_token() -> None:
    async with ScriptedEndpoint() as server, ScriptedEndpoint() as other:
        server.on("POST", "/whip", Reply(307, {"Location": other.url("/whip")}))
        other.on("POST", "/whip", created("/session/1"))
        await post(meeting(server.url("/whip"), token_hosts=("127.0.0.1",)))
        assert all(request.headers["Authorization"] == "Bearer secret" for request in other.requests)


async def test_a_redirect_from_https_to_http_is_refused(tmp_path: Path) -> None:
    certificates = await asyncio.to_thread(make_certificates, tmp_path)
    async with ScriptedEndpoint(certificates.server) as server, ScriptedEndpoint() as plain:
        server.on("POST", "/whip", Reply(307, {"Location": plain.url("/whip")}))
        error = await failure(meeting(server.url("/whip"), ca_file=certificates.ca_file))
        assert "unencrypted" in str(error)
        assert plain.requests == []


async def test_a_redirect_loop_ends_with_an_error() -> None:
    async with ScriptedEndpoint() as server:
        server.on("POST", "/a", Reply(307, {"Location": "/b"}))
        server.on("POST", "/b", Reply(308, {"Location": "/a"}))
        assert "circle" in str(await failure(meeting(server.url("/a"))))
        assert len(server.requests) == 2


async def test_five_redirects_are_followed_and_the_sixth_is_not() -> None:
    async with ScriptedEndpoint() as server:
        for hop in range(6):
            server.on("POST", f"/{hop}", Reply(307, {"Location": f"/{hop + 1}"}))
        server.on("POST", "/6", created())
        await post(meeting(server.url("/1")))
        assert "more than 5" in str(await failure(meeting(server.url("/0"))))


@pytest.mark.parametrize("location", [None, "", "ftp://x.vn/", "https://", "https://user:pw@x.vn/", "data:,x"])
async def test_a_redirect_to_nowhere_is_an_error(location: str | None) -> None:
    async with ScriptedEndpoint() as server:
        server.on("POST", "/whip", Reply(307, {} if location is None else {"Location": location}))
        assert "nowhere" in str(await failure(meeting(server.url("/whip"))))


async def test_a_pinned_ca_is_trusted_and_an_unknown_one_is_not(tmp_path: Path) -> None:
    certificates = await asyncio.to_thread(make_certificates, tmp_path)
    async with ScriptedEndpoint(certificates.server) as server:
        server.on("POST", "/whip", created())
        await post(meeting(server.url("/whip"), ca_file=certificates.ca_file, allow_http=False))
        error = await failure(meeting(server.url("/whip"), allow_http=False))
        assert ("certificate" in str(error), error.problem) == (True, "mcu-answer")


async def test_each_hop_of_a_redirect_is_verified(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    known = await asyncio.to_thread(make_certificates, tmp_path / "a")
    unknown = await asyncio.to_thread(make_certificates, tmp_path / "b")
    async with ScriptedEndpoint(known.server) as server, ScriptedEndpoint(unknown.server) as other:
        server.on("POST", "/whip", Reply(307, {"Location": other.url("/whip")}))
        assert "certificate" in str(await failure(meeting(server.url("/whip"), ca_file=known.ca_file)))
        assert other.requests == []


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
async def test_tls_1_2_is_spoken_and_anything_older_refused(tmp_path: Path) -> None:
    certificates = await asyncio.to_thread(make_certificates, tmp_path)
    context = certificates.server
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.set_ciphers("ALL:@SECLEVEL=0")
    async with ScriptedEndpoint(context) as server:
        server.on("POST", "/whip", created())
        config = meeting(server.url("/whip"), ca_file=certificates.ca_file)
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        await post(config)
        context.maximum_version = ssl.TLSVersion.TLSv1_1
        server.requests.clear()
        await failure(config)
        assert server.requests == []


async def test_a_missing_ca_file_is_named() -> None:
    error = await failure(meeting("https://localhost/whip", ca_file="/nonexistent/ca.pem"))
    assert "/nonexistent/ca.pem" in str(error)
