"""Choose the driver for a meeting."""

from urllib.parse import urlsplit

from appliance import settings
from appliance.rtp.peer import IceConfig, IceServerConfig, Peer

from .headers import is_loopback
from .session import Session, SessionEvents
from .whip_session import WhipSession


def ice_config(network: settings.Network) -> IceConfig:
    """The ICE servers of the settings, and no others: none is ever asked that nobody chose."""
    servers = tuple(
        IceServerConfig(
            server.url,
            server.username,
            server.credential.get_secret_value() if server.credential is not None else None,
        )
        for server in network.ice_servers
    )
    return IceConfig(servers, network.relay_only)


def open_session(
    meeting: settings.Meeting,
    network: settings.Network,
    events: SessionEvents,
    *,
    most_video_bps: int | None = None,
    carried_bps: int | None = None,
) -> Session:
    """A session that has not begun; `run()` connects it.

    `most_video_bps`: what the encoder is set to make at most; `carried_bps`: what the line carried of late.
    """
    config = ice_config(network)

    def make_peer(url: str) -> Peer:
        # ICE leaves loopback addresses out; an MCU on this very machine can be reached by nothing else.
        loopback = is_loopback(urlsplit(url).hostname or "")
        return Peer(config, loopback=loopback, most_video_bps=most_video_bps, carried_bps=carried_bps)

    match meeting.kind:
        case "whip":
            return WhipSession(meeting, events, make_peer)
