"""Header parsers of WHIP and WHEP: Link, Retry-After, Location, Content-Type."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.uplink.headers import (
    MAX_LINKS,
    counter_offer_life_s,
    ice_servers,
    is_loopback,
    origin,
    parse_content_type,
    parse_links,
    parse_retry_after,
    resolve,
)
from appliance.uplink.resource import RETRY_AFTER_CAP_S, wait_s

NOON = "Wed, 09 Oct 2024 12:00:00 GMT"
anything = st.text(max_size=200) | st.text(alphabet='<>;,="\\ \t:/abcrel-\x00', max_size=200)


def test_ice_servers_come_from_several_headers_and_from_comma_joined_ones() -> None:
    servers = ice_servers(
        parse_links(
            [
                '<stun:stun.example.net>; rel="ice-server"',
                '<turn:turn.example.net?transport=udp>; rel="ice-server"; username="user"; credential="pass"; '
                'credential-type="password", <turns:turn.example.net?transport=tcp>; rel=ice-server; username=u',
            ]
        )
    )
    assert [(server.url, server.username, server.credential) for server in servers] == [
        ("stun:stun.example.net", None, None),
        ("turn:turn.example.net?transport=udp", "user", "pass"),
        ("turns:turn.example.net?transport=tcp", "u", None),
    ]


def test_a_credential_may_hold_commas_semicolons_and_escaped_quotes() -> None:
    (server,) = ice_servers(parse_links([r'<turn:t.vn>; rel="ice-server"; credential="a,b;c\"d\\e"; username="x"']))
    assert server.credential == r'a,b;c"d\e'
    assert "a,b" not in repr(server)


def test_unknown_link_relations_are_ignored() -> None:
    links = parse_links(['</events>; rel="urn:ietf:params:whep:ext:core:server-sent-events", <stun:s.vn>; rel=next'])
    assert len(links) == 2
    assert ice_servers(links) == ()


def test_an_ice_server_link_to_a_web_page_is_no_ice_server() -> None:
    assert ice_servers(parse_links(['<https://x.vn/>; rel="ice-server"'])) == ()


@given(st.lists(anything, max_size=5))
def test_any_link_header_gives_a_bounded_list(values: list[str]) -> None:
    links = parse_links(values)
    assert len(links) <= MAX_LINKS
    for server in ice_servers(links):
        assert server.url.lower().startswith(("stun", "turn"))


quotable = st.text(alphabet=st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=40)


@given(quotable, quotable)
def test_any_quoted_credential_survives_the_header(username: str, credential: str) -> None:
    def quoted(text: str) -> str:
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'

    header = f"<turn:t.vn>; rel=ice-server; username={quoted(username)}; credential={quoted(credential)}"
    (server,) = ice_servers(parse_links([f"{header}, {header}"]))[:1]
    assert (server.username, server.credential) == (username, credential)


def test_a_hundred_links_in_one_header_stop_at_the_limit() -> None:
    assert len(parse_links([", ".join(["<stun:s.vn>; rel=ice-server"] * 100)])) == MAX_LINKS


@pytest.mark.parametrize(
    ("value", "seconds"), [("7", 7.0), (" 0 ", 0.0), ("-3", None), ("soon", None), ("", None), ("9" * 5000, math.inf)]
)
def test_retry_after_in_seconds(value: str, seconds: float | None) -> None:
    assert parse_retry_after(value) == seconds


def test_a_retry_after_date_is_held_against_the_servers_own_clock() -> None:
    assert parse_retry_after("Wed, 09 Oct 2024 12:00:30 GMT", NOON) == 30.0
    assert parse_retry_after("Wed, 09 Oct 2024 11:00:00 GMT", NOON) == 0.0
    # Without the server's Date there is only our clock, for which that time has passed.
    assert parse_retry_after(NOON) == 0.0


@given(anything, st.none() | anything)
def test_any_retry_after_becomes_a_bounded_wait(value: str, date: str | None) -> None:
    asked = parse_retry_after(value, date)
    assert asked is None or asked >= 0
    assert 0 <= wait_s(asked, 2.0, random.Random(1)) <= RETRY_AFTER_CAP_S


@given(st.floats(min_value=0, max_value=119), st.integers())
def test_a_wait_is_never_shorter_than_asked_up_to_the_cap(asked: float, seed: int) -> None:
    assert asked <= wait_s(asked, 2.0, random.Random(seed)) <= RETRY_AFTER_CAP_S


def test_waits_of_many_units_are_spread_even_at_the_cap() -> None:
    assert len({wait_s(3600.0, 2.0, random.Random(seed)) for seed in range(20)}) == 20
    assert len({wait_s(10.0, 2.0, random.Random(seed)) for seed in range(20)}) == 20


@pytest.mark.parametrize(
    ("location", "url"),
    [
        ("https://b.vn/s/1", "https://b.vn/s/1"),
        ("/s/1", "https://a.vn:8443/s/1"),
        ("s/1", "https://a.vn:8443/whip/s/1"),
        ("../s/1?action=delete&token=x%2Fy", "https://a.vn:8443/s/1?action=delete&token=x%2Fy"),
        ("?session=1", "https://a.vn:8443/whip/room?session=1"),
        ("//b.vn/s", "https://b.vn/s"),
        ("", None),
        ("ftp://a.vn/s", None),
        ("https://user:pw@a.vn/s", None),
        ("https://a.vn:99999/s", None),
        ("http://[::1/s", None),
        ("/s\r\nX: y", None),
        ("javascript:alert(1)", None),
    ],
)
def test_location_is_resolved_against_the_final_url(location: str, url: str | None) -> None:
    assert resolve("https://a.vn:8443/whip/room", location) == url


@given(anything)
def test_any_location_is_an_http_url_or_nothing(location: str) -> None:
    url = resolve("https://a.vn/whip", location)
    assert url is None or (origin(url) is not None and " " not in url and "\n" not in url)


def test_origins_know_the_default_ports_and_ignore_case() -> None:
    assert origin("https://A.vn/x") == origin("HTTPS://a.vn:443/y")
    assert origin("http://a.vn/") != origin("https://a.vn/")


@pytest.mark.parametrize(
    "value",
    ["application/sdp", "Application/SDP", "application/sdp; charset=utf-8", ' APPLICATION/sdp ;charset="UTF-8"'],
)
def test_content_type_in_any_case_and_with_a_charset(value: str) -> None:
    assert parse_content_type(value)[0] == "application/sdp"


@given(anything, st.none() | anything)
def test_any_content_type_parses(value: str, date: str | None) -> None:
    parse_content_type(value)
    assert isinstance(counter_offer_life_s(value, date), float)


def test_a_counter_offer_lives_until_its_date_or_thirty_seconds() -> None:
    dated = 'application/sdp; valid-until="Wed, 09 Oct 2024 12:00:10 GMT"'
    assert counter_offer_life_s(dated, NOON) == 10.0
    assert counter_offer_life_s("application/sdp", NOON) == 30.0
    assert counter_offer_life_s('application/sdp; valid-until="tomorrow"', NOON) == 30.0


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("localhost", True),
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("10.0.0.1", False),
        ("a.vn", False),
    ],
)
def test_loopback_hosts_are_known(host: str, local: bool) -> None:
    assert is_loopback(host) is local
