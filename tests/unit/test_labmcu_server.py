"""The lab MCU as its peers see it: WHIP and WHEP over HTTP, and its page."""

from urllib.parse import quote

import aiohttp
import pytest

from appliance.labmcu import sessions as sessions_module

from .labmcu_fakes import SDP, lab_mcu

AN_PHU = quote("Xã An Phú", safe="")


async def status_of(http: aiohttp.ClientSession, method: str, path: str, **more: object) -> int:
    async with http.request(method, path, **more) as answer:  # type: ignore[arg-type]
        return answer.status


# WHIP and WHEP over HTTP


async def test_an_offer_is_answered_with_a_session() -> None:
    async with lab_mcu() as mcu, mcu.http.post("/whip/giao-ban/a", data="v=0 offer", headers=SDP) as answer:
        assert answer.status == 201
        assert answer.content_type == "application/sdp"
        assert answer.headers["Location"].startswith("/session/")
        assert answer.headers["ETag"].startswith('"')
        assert await answer.text() == "v=0 answer"
        assert mcu.peers[0].direction == "receive"


async def test_a_listener_s_peer_sends() -> None:
    async with lab_mcu() as mcu:
        _, peer = await mcu.join("/whep/giao-ban/a")
        assert peer.direction == "send"


async def test_vietnamese_names_arrive_whole_in_whatever_form_they_are_written() -> None:
    async with lab_mcu() as mcu:
        await mcu.join(f"/whip/ph%C3%B2ng/{AN_PHU}")
        (room,) = await mcu.rooms()
        assert room["name"] == "phòng"
        assert room["participants"][0]["name"] == "Xã An Phú"
        decomposed = quote("Xa\u0303 An Phu\u0301", safe="")
        await mcu.join(f"/whip/ph%C3%B2ng/{decomposed}")
        assert len((await mcu.rooms())[0]["participants"]) == 1


async def test_a_charset_behind_the_content_type_is_fine() -> None:
    async with lab_mcu() as mcu:
        await mcu.join("/whip/r/a", **{"Content-Type": "application/SDP; charset=utf-8"})


@pytest.mark.parametrize("content_type", ["text/plain", "application/json", "application/sdpx"])
async def test_another_content_type_is_refused(content_type: str) -> None:
    async with lab_mcu() as mcu:
        headers = {"Content-Type": content_type}
        async with mcu.http.post("/whip/r/a", data="v=0", headers=headers) as answer:
            assert answer.status == 415
            assert answer.headers["Accept-Post"] == "application/sdp"


@pytest.mark.parametrize("offer", [b"", b"hello", b"\xff\xfe", b"m=video"])
async def test_an_offer_of_no_use_is_a_bad_request_and_leaves_nothing_behind(offer: bytes) -> None:
    async with lab_mcu() as mcu:
        assert await status_of(mcu.http, "POST", "/whip/r/a", data=offer, headers=SDP) == 400
        assert await mcu.rooms() == []
        assert all(peer.closings for peer in mcu.peers)


async def test_a_huge_offer_is_refused() -> None:
    async with lab_mcu() as mcu:
        offer = b"v=0" + bytes(100_000)
        assert await status_of(mcu.http, "POST", "/whip/r/a", data=offer, headers=SDP) == 413


@pytest.mark.parametrize("path", ["/whip/r/%0A", "/whip/r/" + "a" * 65, "/whip/r/%20", "/whip/r", "/whip/r/", "/x"])
async def test_a_name_that_cannot_be_shown_and_an_unknown_path_are_not_found(path: str) -> None:
    async with lab_mcu() as mcu:
        assert await status_of(mcu.http, "POST", path, data="v=0", headers=SDP) == 404


async def test_leaving_ends_the_session_once() -> None:
    async with lab_mcu() as mcu:
        location, peer = await mcu.join("/whip/r/a")
        assert await mcu.leave(location) == 200
        assert await mcu.rooms() == []
        assert await mcu.leave(location) == 404
        await mcu.until(lambda: peer.closings == 1)


async def test_options_say_what_may_be_done() -> None:
    async with lab_mcu() as mcu:
        async with mcu.http.options("/whip/r/a") as answer:
            assert answer.status == 204
            assert answer.headers["Allow"] == "POST, OPTIONS"
            assert answer.headers["Accept-Post"] == "application/sdp"
            # Without a token any site that a person visits could listen in.
            assert "Access-Control-Allow-Origin" not in answer.headers
        async with mcu.http.options("/session/1") as answer:
            assert answer.headers["Allow"] == "DELETE, OPTIONS"


@pytest.mark.parametrize(("method", "path"), [("PATCH", "/session/1"), ("GET", "/whep/r/a"), ("PUT", "/whip/r/a")])
async def test_what_is_not_supported_is_method_not_allowed(method: str, path: str) -> None:
    async with lab_mcu() as mcu:
        assert await status_of(mcu.http, method, path) == 405


@pytest.mark.parametrize("given", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic abc"}])
async def test_without_the_right_token_nobody_comes_in(given: dict[str, str]) -> None:
    async with lab_mcu(token="right") as mcu:
        for method, path in (("POST", "/whip/r/a"), ("POST", "/whep/r/a"), ("DELETE", "/session/1")):
            async with mcu.http.request(method, path, data="v=0", headers=SDP | given) as answer:
                assert answer.status == 401
                assert answer.headers["WWW-Authenticate"] == "Bearer"
        assert await status_of(mcu.http, "GET", "/api/rooms", headers=given) == 401
        assert mcu.peers == []


async def test_the_right_token_opens_and_admits_other_sites_pages() -> None:
    async with lab_mcu(token="right") as mcu:
        headers = SDP | {"Authorization": "bearer right"}
        async with mcu.http.post("/whip/r/a", data="v=0", headers=headers) as answer:
            assert answer.status == 201
            assert answer.headers["Access-Control-Allow-Origin"] == "*"
            assert "Location" in answer.headers["Access-Control-Expose-Headers"]
        async with mcu.http.options("/whip/r/a") as answer:
            assert "Authorization" in answer.headers["Access-Control-Allow-Headers"]


async def test_the_page_comes_without_a_token_and_loads_nothing_from_elsewhere() -> None:
    async with lab_mcu(token="right") as mcu:
        for path, kind in (("/", "text/html"), ("/page.js", "text/javascript"), ("/page.css", "text/css")):
            async with mcu.http.get(path) as answer:
                assert answer.status == 200
                assert answer.content_type in (kind, "application/javascript")
                assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
                text = await answer.text()
                assert "https://" not in text
                assert "http://" not in text


def test_a_browser_s_hidden_addresses_are_not_looked_up() -> None:
    offer = (
        "v=0\r\na=candidate:1 1 udp 2113937151 4886122f-b525.local 40428 typ host generation 0\r\n"
        "a=candidate:2 1 udp 2113937151 192.0.2.7 40429 typ host\r\n"
    )
    assert sessions_module._revealed(offer) == offer.replace("4886122f-b525.local 40428", "127.0.0.1 9")
