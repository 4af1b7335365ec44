"""Choose the driver for a meeting."""

from urllib.parse import urlsplit

from appliance import settings
from appliance.media.h264_level import level_idc
from appliance.rtp.peer import IceConfig, IceServerConfig, Peer

from .ghosts import Ghosts
from .headers import is_loopback
from .line import Line
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
    unit: settings.Settings,
    events: SessionEvents,
    ghosts: Ghosts | None = None,
    line: Line | None = None,
    *,
    carried_bps: int | None = None,
) -> Session:
    """A session that has not begun; `run()` connects it.

    `ghosts`, `line`: one for all sessions of this unit; `carried_bps`: what the line carried of late.
    """
    config = ice_config(unit.network)
    video = unit.video
    level = level_idc(video.width, video.height, video.fps)

    def make_peer(url: str) -> Peer:
        return Peer(
            config,
            # ICE leaves loopback addresses out; an MCU on this very machine can be reached by nothing else.
            loopback=is_loopback(urlsplit(url).hostname or ""),
            level_idc=level,
            most_video_bps=video.bitrate_kbps * 1000,
            carried_bps=carried_bps,
        )

    match meeting.kind:
        case "whip":
            return WhipSession(meeting, events, make_peer, ghosts=ghosts, line=line)
