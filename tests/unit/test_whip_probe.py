"""Finding out whether an MCU is there, without joining."""

import pytest

from appliance.errors import UplinkError
from appliance.uplink.http import HttpLimits
from appliance.uplink.probe import probe

from .whip_endpoint import RawServer, Reply, ScriptedEndpoint, meeting


async def test_options_and_head_are_sent_with_the_token_and_tell_what_the_server_speaks() -> None:
    links = [("Accept-Post", "text/plain, application/sdp"), ("Link", "<stun:s.vn>; rel=ice-server")]
    async with ScriptedEndpoint() as server:
        server.on("OPTIONS", "/whip", Reply(200, links))
        server.on("HEAD", "/whep", Reply(200, {"Content-Type": "Application/SDP"}))
        whip, whep = await probe(meeting(server.url("/whip"), server.url("/whep")))
        assert (whip.speaks_sdp, whep.speaks_sdp) == (True, True)
        assert [ice.url for ice in whip.ice_servers] == ["stun:s.vn"]
        assert [request.method for request in server.requests] == ["OPTIONS", "HEAD"]
        assert [request.headers["Authorization"] for request in server.requests] == ["Bearer secret"] * 2


@pytest.mark.parametrize("status", [204, 401, 404, 405, 500])
async def test_any_answer_means_that_the_mcu_is_reached(status: int) -> None:
    async with ScriptedEndpoint() as server:
        server.on("OPTIONS", "/whip", Reply(status))
        server.on("HEAD", "/whip", Reply(status))
        assert [reached.status for reached in await probe(meeting(server.url("/whip")))] == [status, status]


async def test_no_answer_is_an_uplink_error() -> None:
    async with RawServer(b"") as server:
        with pytest.raises(UplinkError):
            await probe(meeting(server.url), HttpLimits(0.3, 0.3))
