"""Which STUN and TURN servers help a connection through firewalls, in the form the ICE agent takes them."""

from dataclasses import dataclass, field

from aiortc import RTCIceServer
from aiortc.rtcicetransport import parse_stun_turn_uri

from appliance.errors import UplinkError


@dataclass(frozen=True, slots=True)
class IceServerConfig:
    """One server (RFC 7064, RFC 7065)."""

    url: str
    username: str | None = None
    credential: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class IceConfig:
    """All servers a peer may use, and no others; with `relay_only` the room's own addresses are told to nobody."""

    servers: tuple[IceServerConfig, ...] = ()
    relay_only: bool = False


def chosen_servers(config: IceConfig) -> list[RTCIceServer]:
    """The first STUN and the first TURN server: the agent takes one of each.

    Raises UplinkError for what it cannot use, instead of going on without the server that someone counts on.
    """
    chosen: dict[str, RTCIceServer] = {}
    for server in config.servers:
        try:
            parsed = parse_stun_turn_uri(server.url)
        except ValueError as error:
            raise UplinkError(
                f"the ICE server address {server.url!r} is malformed; correct the network settings"
            ) from error
        scheme, transport = parsed["scheme"], parsed.get("transport")
        if scheme == "stuns":
            raise UplinkError(f"STUN over TLS ({server.url}) is not supported; use stun: or turns: instead")
        if scheme != "stun" and transport not in (("tcp",) if scheme == "turns" else ("udp", "tcp")):
            raise UplinkError(
                f"the TURN transport of {server.url!r} is not supported; use udp, tcp, or turns: over tcp"
            )
        if scheme != "stun" and not (server.username and server.credential):
            raise UplinkError(
                f"the TURN server {server.url} needs a user name and a credential in the network settings"
            )
        chosen.setdefault(
            "stun" if scheme == "stun" else "turn", RTCIceServer(server.url, server.username, server.credential)
        )
    if config.relay_only and "turn" not in chosen:
        raise UplinkError(
            "only relayed connections are allowed, but no TURN server is set; add one to the network settings"
        )
    return list(chosen.values())
