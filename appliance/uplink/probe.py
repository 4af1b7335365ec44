"""Ask whether the MCU's WHIP and WHEP addresses answer, without joining: for `bridgepoint doctor`."""

import time
from dataclasses import dataclass

from appliance import settings

from .headers import LinkedIceServer, ice_servers, parse_content_type, parse_links
from .http import HttpLimits, SignallingClient
from .resource import SDP


@dataclass(frozen=True, slots=True)
class Reached:
    """Something answered. `speaks_sdp`: it said so by itself; many good servers do not, so False proves nothing."""

    url: str
    status: int
    took_ms: float
    speaks_sdp: bool
    ice_servers: tuple[LinkedIceServer, ...]


async def probe(meeting: settings.Meeting, limits: HttpLimits | None = None) -> tuple[Reached, ...]:
    """OPTIONS to the WHIP address and HEAD to the WHEP address, both with the token.

    Any HTTP answer means that the MCU is reached: servers differ in what they make of these methods, so a status tells
    of the token and the address only when it refuses. Raises UplinkError when there is no answer.
    """
    reached = []
    async with SignallingClient(meeting, limits) as client:
        for method, url, said in (
            ("OPTIONS", meeting.send_url, "Accept-Post"),
            ("HEAD", meeting.receive_url, "Content-Type"),
        ):
            begun = time.monotonic()
            answer = await client.request(method, url, home=url)
            kinds = [parse_content_type(kind)[0] for kind in answer.headers.get(said, "").split(",")]
            reached.append(
                Reached(
                    answer.url,
                    answer.status,
                    (time.monotonic() - begun) * 1000,
                    SDP in kinds,
                    ice_servers(parse_links(answer.headers.getall("Link", []))),
                )
            )
    return tuple(reached)
