"""What a message or a log line says of addresses and of a server's words: no key, no token, nothing to obey."""

import logging

import pytest

from appliance.uplink.headers import brief, plain
from appliance.uplink.http import HttpLimits

from .whip_endpoint import Reply, ScriptedEndpoint, created, failure, meeting, post

KEY = "stream-key-5f3a"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (f"https://mcu.example/whip/{KEY}?access_token={KEY}", "https://mcu.example/…"),
        (f"http://[2001:db8::1]:8080/{KEY}", "http://[2001:db8::1]:8080/…"),
        ("https://", "an unusable address"),
        (f"http://user:{KEY}@mcu.example/", "an unusable address"),
        ("", "an unusable address"),
    ],
)
def test_an_address_is_shown_without_its_keys(url: str, shown: str) -> None:
    assert brief(url) == shown


def test_what_a_server_says_is_bounded_and_on_one_line() -> None:
    assert plain("a\x1b[31m\nb\u2028c") == "a [31m b c"
    assert len(plain("x" * 5000)) == 120


@pytest.mark.parametrize(
    "reply",
    [
        Reply(307, {"Location": f"https://other.example/{KEY}?k={KEY}"}),
        Reply(307, {"Location": f"ftp://{KEY}"}),
        Reply(500, {"Content-Type": "application/problem+json"}, '{"title": "no Bearer secret here", "detail": "x"}'),
        Reply(201, {"Content-Type": "text/" + "x" * 3000, "Location": f"/s/{KEY}"}, "v=0"),
        created(f"https://10.0.0.9/s/{KEY}"),
    ],
    ids=["redirect", "redirect-to-nowhere", "problem", "type", "foreign-session"],
)
async def test_neither_token_nor_key_reaches_a_message(reply: Reply, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger="appliance")
    async with ScriptedEndpoint() as server:
        server.on("POST", f"/whip/{KEY}", reply)
        config = meeting(server.url(f"/whip/{KEY}"))
        if reply.status == 201 and "application/sdp" in dict(reply.headers).values():
            told = str((await post(config)).cannot_delete)
        else:
            told = str(await failure(config))
    for text in (told, caplog.text):
        assert KEY not in text
        assert "secret" not in text
    assert len(told) < 400


async def test_requests_ask_for_no_compression_and_carry_no_cookies() -> None:
    async with ScriptedEndpoint() as server:
        server.on("POST", "/whip", Reply(307, {"Location": "/next", "Set-Cookie": "a=b"}))
        server.on("POST", "/next", created(Set_Cookie="c=d"))
        await post(meeting(server.url("/whip")))
        for request in server.requests:
            assert request.headers["Accept-Encoding"] == "identity"
            assert "Cookie" not in request.headers


async def test_no_proxy_is_taken_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    async with ScriptedEndpoint() as server:
        server.on("POST", "/whip", created())
        await post(meeting(server.url("/whip")))


def test_the_limits_are_those_of_the_documents() -> None:
    limits = HttpLimits()
    assert (limits.connect_s, limits.total_s, limits.body_bytes, limits.redirects) == (5.0, 15.0, 65_536, 5)
