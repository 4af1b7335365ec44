"""Which STUN and TURN servers help a connection through firewalls, in the form the ICE agent takes them."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from aioice.candidate import Candidate
from aioice.ice import Connection, StunProtocol, relayed_candidate
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


@dataclass(frozen=True, slots=True)
class TurnServer:
    """A TURN server as the relay client takes it."""

    host: str
    port: int
    username: str
    credential: str = field(repr=False)
    transport: str  # "udp" or "tcp"
    tls: bool


@dataclass(frozen=True, slots=True)
class Servers:
    """`stun`: the first one, which is enough to learn our outer address. `turn`: all, the first preferred."""

    stun: tuple[RTCIceServer, ...]
    turn: tuple[TurnServer, ...]


def chosen_servers(config: IceConfig) -> Servers:
    """The servers to use. Firewalls differ, so each TURN server is asked: over UDP, TCP and TLS, say.

    Raises UplinkError for what cannot be used, instead of going on without the server that someone counts on.
    """
    stun: list[RTCIceServer] = []
    turn: list[TurnServer] = []
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
        if scheme == "stun":
            stun.append(RTCIceServer(server.url))
        else:
            turn.append(
                TurnServer(
                    str(parsed["host"]),
                    int(parsed["port"]),
                    server.username or "",
                    server.credential or "",
                    str(transport),
                    scheme == "turns",
                )
            )
    if config.relay_only and not turn:
        raise UplinkError(
            "only relayed connections are allowed, but no TURN server is set; add one to the network settings"
        )
    return Servers(tuple(stun[:1]), tuple(turn))


async def relay_candidates(
    connection: Connection, servers: Sequence[TurnServer], limit_s: float, *, hide_address: bool
) -> list[tuple[Candidate, StunProtocol]]:
    """A relay candidate of each TURN server that gives one in time; the agent itself asks only one server.

    `hide_address`: do not tell the far end where the relay sees us.
    """

    async def relay(server: TurnServer) -> tuple[Candidate, StunProtocol]:
        return await relayed_candidate(
            component=1,
            hide_related_address=hide_address,
            protocol_factory=lambda: StunProtocol(connection),
            turn_server=(server.host, server.port),
            turn_username=server.username,
            turn_password=server.credential,
            turn_ssl=server.tls,
            turn_transport=server.transport,
        )

    if not servers:
        return []
    tasks = [asyncio.ensure_future(relay(server)) for server in servers]
    await asyncio.wait(tasks, timeout=limit_s)
    for task in tasks:
        task.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    found: list[tuple[Candidate, StunProtocol]] = []
    for rank, result in enumerate(results):
        if not isinstance(result, BaseException):
            # Of equal relays the first of the settings is preferred (RFC 8445 section 5.1.2.1: local preference).
            result[0].priority -= rank << 8
            found.append(result)
    return found
