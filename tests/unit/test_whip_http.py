"""WHIP over HTTP against a scripted server: what counts as success, where the token goes, how a session is deleted."""

import asyncio
import gc
import logging
import socket
from pathlib import Path

import pytest

from appliance.errors import CredentialsRejected, NegotiationFailed, UplinkError
from appliance.uplink import http

from .whip_endpoint import (
    ANSWER,
    OFFER,
    SDP_TYPE,
    Reply,
    ScriptedEndpoint,
    created,
    failure,
    make_certificates,
    meeting,
    post,
)


async def test_the_offer_is_posted_as_sdp_with_the_token_and_the_session_deleted_with_it() -> None:
    async with ScriptedEndpoint() as server:
        server.on("POST", "/whip", created("/session/1", ETag='"e1"'))
        server.on("DELETE", "/session/1", Reply(200))
        resource = await post(meeting(server.url("/whip")))
        sent, deleted = server.requests
        assert (sent.method, sent.headers["Content-Type"], sent.body) == ("POST", "application/sdp", OFFER)
        assert sent.headers["Authorization"] == deleted.headers["Authorization"] == "Bearer secret"
        assert resource.cannot_delete is None


async def test_without_a_token_there_is_no_authorization_header_at_all() -> None:
    async with ScriptedEndpoint() as server:
        server.on("POST", "/whip", created())
        await post(meeting(server.url("/whip"), token=None))
        assert all("Authorization" not in request.headers for request in server.requests)


@pytest.mark.parametrize("etag", ["*", "unquoted", 'W/"weak"', '"strong"'])
async def test_delete_carries_no_if_match_whatever_the_etag(etag: str) -> None:
    async with ScriptedEndpoint() as server:
        server.on("POST", "/whip", created(ETag=etag))
        resource = await post(meeting(server.url("/whip")))
        assert resource.etag == etag
        assert "If-Match" not in server.seen("DELETE")[0].headers


@pytest.mark.parametrize("status", [200, 202, 204])
async def test_only_201_is_a_success_and_what_another_2xx_made_is_deleted(status: int) -> None:
    async with ScriptedEndpoint() as server:
        server.on("POST", "/whip", Reply(status, {**SDP_TYPE, "Location": "/session/1"}, ANSWER))
        assert isinstance(await failure(meeting(server.url("/whip"))), NegotiationFailed)
        assert [request.path for request in server.seen("DELETE")] == ["/session/1"]


@pytest.mark.parametrize("kind", ["text/html", "application/json", "application/sdp-fragment", ""])
async def test_201_with_another_type_is_an_error_and_the_session_deleted(kind: str) -> None:
    async with ScriptedEndpoint() as server:
        server.on("POST", "/whip", Reply(201, {"Content-Type": kind, "Location": "/session/1"}, ANSWER))
        assert isinstance(await failure(meeting(server.url("/whip"))), NegotiationFailed)
        assert len(server.seen("DELETE")) == 1


@pytest.mark.parametrize("kind", ["Application/SDP", "application/sdp; charset=UTF-8", "application/sdp;charset=utf-8"])
async def test_the_answers_type_may_have_any_case_and_a_charset(kind: str) -> None:
    async with ScriptedEndpoint() as server:
        server.on("POST", "/whip", Reply(201, {"content-type": kind, "LOCATION": "/session/1"}, ANSWER))
        await post(meeting(server.url("/whip")))
        assert len(server.seen("DELETE")) == 1


async def test_a_relative_location_with_a_query_is_deleted_to_the_byte() -> None:
    async with ScriptedEndpoint() as server:
        server.on("POST", "/a/whip", created("sessions/1?action=delete&token=x%2Fy%3D"))
        await post(meeting(server.url("/a/whip")))
        assert server.seen("DELETE")[0].path == "/a/sessions/1?action=delete&token=x%2Fy%3D"


async def test_a_session_without_location_stands_and_is_reported_as_not_deletable(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with ScriptedEndpoint() as server:
        server.on("POST", "/whip", created(None))
        resource = await post(meeting(server.url("/whip")))
        assert resource.cannot_delete
        assert "cannot be deleted" in caplog.text
        assert server.seen("DELETE") == []


async def test_location_without_origin_gets_the_token_of_the_server_that_answered() -> None:
    async with ScriptedEndpoint() as server:
        server.on("POST", "/whip", created("session/1"))
        await post(meeting(server.url("/whip")))
        assert server.seen("DELETE")[0].headers["Authorization"] == "Bearer secret"


async def test_location_of_another_origin_gets_no_token_and_no_request() -> None:
    async with ScriptedEndpoint() as server, ScriptedEndpoint() as other:
        server.on("POST", "/whip", created(other.url("/session/1")))
        resource = await post(meeting(server.url("/whip")))
        assert "another server" in (resource.cannot_delete or "")
        assert other.requests == []


@pytest.mark.parametrize("location", ["https://10.1.2.3/s", "https://192.168.0.9:8443/s", "https://[fe80::1]/s"])
async def test_location_at_a_private_address_is_never_called(location: str) -> None:
    async with ScriptedEndpoint() as server:
        server.on("POST", "/whip", created(location))
        assert (await post(meeting(server.url("/whip")))).cannot_delete


async def test_location_at_an_allow_listed_host_gets_the_token() -> None:
    async with ScriptedEndpoint() as server, ScriptedEndpoint() as other:
        server.on("POST", "/whip", created(other.url("/session/1")))
        other.on("DELETE", "/session/1", Reply(200))
        host = other.origin.removeprefix("http://")
        await post(meeting(server.url("/whip"), token_hosts=(host,)))
        assert other.requests[0].headers["Authorization"] == "Bearer secret"


async def test_unencrypted_location_after_https_gets_no_token(tmp_path: Path) -> None:
    certificates = await asyncio.to_thread(make_certificates, tmp_path)
    async with ScriptedEndpoint(certificates.server) as server, ScriptedEndpoint() as plain:
        server.on("POST", "/whip", created(plain.url("/session/1")))
        settings = meeting(server.url("/whip"), ca_file=certificates.ca_file, token_hosts=("127.0.0.1",))
        assert (await post(settings)).cannot_delete
        assert plain.requests == []


@pytest.mark.parametrize("status", [401, 403])
async def test_rejected_credentials_wait_at_least_thirty_seconds(status: int) -> None:
    async with ScriptedEndpoint() as server:
        server.on("POST", "/whip", Reply(status))
        error = await failure(meeting(server.url("/whip")))
        assert isinstance(error, CredentialsRejected)
        assert (error.retry_after_s, error.problem) == (30.0, "mcu-credentials")
        assert len(server.requests) == 1


@pytest.mark.parametrize("status", [400, 404, 405, 406, 409, 415, 418, 422, 451, 499])
async def test_any_4xx_is_treated_alike(status: int) -> None:
    async with ScriptedEndpoint() as server:
        server.on("POST", "/whip", Reply(status))
        error = await failure(meeting(server.url("/whip")))
        assert (error.problem, str(status) in str(error)) == ("mcu-answer", True)
        assert error.retry_after_s >= 2.0


@pytest.mark.parametrize("status", [500, 501, 502, 504, 599])
async def test_any_5xx_is_a_busy_centre(status: int) -> None:
    async with ScriptedEndpoint() as server:
        server.on("POST", "/whip", Reply(status))
        error = await failure(meeting(server.url("/whip")))
        assert (error.problem, type(error)) == ("mcu-busy", UplinkError)


async def test_problem_details_go_to_the_log_only(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    body = '{"title": "Room is locked", "detail": "until noon\\nFORGED LINE"}'
    async with ScriptedEndpoint() as server:
        server.on("POST", "/whip", Reply(400, {"Content-Type": "application/problem+json"}, body))
        error = await failure(meeting(server.url("/whip")))
        assert "locked" not in str(error)
        assert "Room is locked" in caplog.text
        assert "\nFORGED" not in caplog.text


@pytest.mark.parametrize("body", [b"[" * 60000, b"\xff\xfe", b"[1,2]", b"{", b""])
async def test_broken_problem_details_change_nothing(body: bytes) -> None:
    async with ScriptedEndpoint() as server:
        server.on("POST", "/whip", Reply(500, {"Content-Type": "application/problem+json"}, body))
        assert (await failure(meeting(server.url("/whip")))).problem == "mcu-busy"


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    ("asked", "low", "high"),
    [
        ("7", 7, 9),
        ("86400", 90, 120),
        ("Wed, 09 Oct 2024 12:00:20 GMT", 20, 25),
        ("Thu, 10 Oct 2024 12:00:00 GMT", 90, 120),
        ("never", 2, 3),
        (None, 2, 3),
    ],
)
async def test_retry_after_is_obeyed_in_both_forms_and_capped(
    status: int, asked: str | None, low: float, high: float
) -> None:
    headers = {"Date": "Wed, 09 Oct 2024 12:00:00 GMT"} | ({"Retry-After": asked} if asked else {})
    async with ScriptedEndpoint() as server:
        server.on("POST", "/whip", Reply(status, headers))
        error = await failure(meeting(server.url("/whip")))
        assert error.problem == "mcu-busy"
        assert low <= error.retry_after_s <= high


@pytest.mark.parametrize("status", [200, 204, 404, 410])
async def test_delete_is_done_when_the_session_is_gone(status: int) -> None:
    async with ScriptedEndpoint() as server:
        server.on("POST", "/whip", created())
        server.on("DELETE", "/session/1", Reply(status))
        assert (await post(meeting(server.url("/whip")))).cannot_delete is None
        assert len(server.seen("DELETE")) == 1


async def test_delete_is_repeated_on_5xx_three_times_at_most() -> None:
    async with ScriptedEndpoint() as server:
        server.on("POST", "/whip", created())
        server.on("DELETE", "/session/1", Reply(503), Reply(500), Reply(200))
        assert (await post(meeting(server.url("/whip")))).cannot_delete is None
        assert len(server.seen("DELETE")) == 3
        server.on("DELETE", "/session/1", Reply(500))
        assert (await post(meeting(server.url("/whip")))).cannot_delete
        assert len(server.seen("DELETE")) == 3 + 4


async def test_a_refused_delete_is_not_repeated() -> None:
    async with ScriptedEndpoint() as server:
        server.on("POST", "/whip", created())
        server.on("DELETE", "/session/1", Reply(405))
        assert (await post(meeting(server.url("/whip")))).cannot_delete
        assert len(server.seen("DELETE")) == 1


async def test_get_and_head_are_never_needed() -> None:
    async with ScriptedEndpoint() as server:
        server.on("POST", "/whip", created())
        await post(meeting(server.url("/whip")))
        assert {request.method for request in server.requests} == {"POST", "DELETE"}


async def test_ice_servers_of_the_answer_are_noted_and_unknown_links_ignored() -> None:
    links = [
        ("Link", '<stun:s.vn>; rel="ice-server"'),
        ("Link", '<https://x.vn/ext>; rel="urn:ietf:params:whip:ext:unknown"'),
        ("Link", '<turn:t.vn?transport=tcp>; rel="ice-server"; username="u"; credential="a,b;c"'),
    ]
    async with ScriptedEndpoint() as server:
        server.on("POST", "/whip", Reply(201, [*SDP_TYPE.items(), ("Location", "/session/1"), *links], ANSWER))
        resource = await post(meeting(server.url("/whip")))
        assert [server.url for server in resource.ice_servers] == ["stun:s.vn", "turn:t.vn?transport=tcp"]


async def test_nothing_is_left_open_after_a_session() -> None:
    async with ScriptedEndpoint() as server:
        server.on("POST", "/whip", created(), Reply(500))
        before = asyncio.all_tasks()
        await post(meeting(server.url("/whip")))
        await failure(meeting(server.url("/whip")))
        await asyncio.sleep(0)
        assert {task for task in asyncio.all_tasks() - before if "appliance" in repr(task)} == set()
    gc.collect()  # an unclosed socket or session would warn, and a warning fails the test


async def test_each_request_has_a_connection_of_its_own_for_an_old_one_may_lead_nowhere_after_a_cut() -> None:
    async with ScriptedEndpoint() as server:
        server.on("POST", "/whip", created("/session/1"))
        server.on("DELETE", "/session/1", Reply(200))
        await post(meeting(server.url("/whip")))
        assert [request.headers["Connection"] for request in server.requests] == ["close", "close"]


def test_a_request_that_nobody_acknowledges_fails_before_tcp_gets_slow() -> None:
    with http._impatient_socket((socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", 1))) as made:
        assert made.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == http.UNACKNOWLEDGED_MS
