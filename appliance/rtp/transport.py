"""ICE, DTLS and SRTP of one connection, on aiortc's building blocks: the one module that touches their private names.

aiortc moves each packet through a queue, a task and four coroutines. Here SRTP goes straight between socket and
streams; only STUN and DTLS take aiortc's way. Each private name used is pinned by a test.
"""
# ruff: noqa: SLF001

import asyncio
import logging
import struct
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

import pylibsrtp
from aioice import stun
from aiortc import (
    RTCCertificate,
    RTCDtlsParameters,
    RTCDtlsTransport,
    RTCIceCandidate,
    RTCIceGatherer,
    RTCIceParameters,
    RTCIceTransport,
)
from aiortc.rtcconfiguration import RTCIceTransportPolicy
from OpenSSL import SSL

from appliance.errors import MediaLost, UplinkError

from .ice import IceConfig, chosen_servers, relay_candidates
from .sdp import Candidate
from .sdp_text import LocalTransport
from .streams import Streams

log = logging.getLogger(__name__)

# aiortc offers ECDSA only; GStreamer 1.22, hardware MCUs and old gateways have RSA certificates.
CIPHERS = ":".join(
    f"ECDHE-{key}-{cipher}"
    for cipher in ("AES128-GCM-SHA256", "CHACHA20-POLY1305", "AES128-SHA", "AES256-SHA")
    for key in ("ECDSA", "RSA")
).encode()
# A STUN or TURN server that does not answer costs this much of the time to connect.
GATHER_LIMIT_S = 3
CLOSE_LIMIT_S = 1.5
MAX_DATAGRAM = 1500  # what libsrtp's buffer takes
# Media may overtake the last message of the DTLS handshake: a keyframe's worth is kept.
_MAX_EARLY = 256
_MAX_HANDSHAKE_QUEUE = 64
_MAX_UNSENT_BYTES = 256 * 1024
# A probe is repeated after 50, 100, 200 and 400 ms, and its answer awaited for as long again (RFC 8489 section 6.2.1).
_PROBE_REPEATS = 4


class _Certificate(RTCCertificate):
    """Our certificate (ECDSA); the far end's may be RSA as well."""

    def _create_ssl_context(self, srtp_profiles: list[Any]) -> SSL.Context:
        context = super()._create_ssl_context(srtp_profiles)
        context.set_cipher_list(CIPHERS)
        return context


class SecureTransport:
    """One bundled transport and the streams on it. An `RtpTransport` for its streams."""

    def __init__(self, config: IceConfig, *, loopback: bool) -> None:
        policy = RTCIceTransportPolicy.RELAY if config.relay_only else RTCIceTransportPolicy.ALL
        self._relay_only = config.relay_only
        servers = chosen_servers(config)
        self._turn_servers = servers.turn
        self._gatherer = RTCIceGatherer(list(servers.stun), policy)
        self._ice = RTCIceTransport(self._gatherer)
        self._dtls = RTCDtlsTransport(self._ice, [_Certificate.generateCertificate()])
        self._connection = self._gatherer._connection
        self._gather_component: Callable[..., Any] = self._connection.get_component_candidates
        # An instance attribute hides the method: our time limit, and loopback addresses, which aioice leaves out.
        self._connection.get_component_candidates = partial(self._gather, loopback)  # type: ignore[method-assign]
        self.streams = Streams()
        self._early: deque[bytes] = deque(maxlen=_MAX_EARLY)
        self._protect: Callable[[bytes], bytes] | None = None
        self._protect_rtcp: Callable[[bytes], bytes] | None = None
        self._unprotect: Callable[[bytes], bytes] | None = None
        self._unprotect_rtcp: Callable[[bytes], bytes] | None = None
        self._pair: Any = None
        self._sendto: Callable[[bytes, Any], None] = lambda _data, _address: None
        self._address: Any = None
        self._unsent_bytes: Callable[[], int] = lambda: 0
        self._gathering: asyncio.Task[None] | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._probing: asyncio.Task[None] | None = None
        self._connected = asyncio.Event()
        self.last_heard_ns = 0  # when anything came that is proven to be the far end's
        self.closed: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._counts = dict.fromkeys(("not_authentic", "malformed", "unsent"), 0)

    # setting up

    async def _gather(self, loopback: bool, component: int, addresses: list[str]) -> Any:
        if loopback and not self._relay_only:
            addresses = ["127.0.0.1"]
        candidates, relays = await asyncio.gather(
            self._gather_component(component=component, addresses=addresses, timeout=GATHER_LIMIT_S),
            relay_candidates(self._connection, self._turn_servers, GATHER_LIMIT_S, hide_address=self._relay_only),
        )
        self._connection._protocols += [protocol for _, protocol in relays]
        return [*candidates, *(candidate for candidate, _ in relays)]

    async def gather(self, *, controlling: bool) -> None:
        """Find our candidates. Raises UplinkError when there is none.

        `controlling`: our role in ICE (RFC 8445 section 6.1.1), needed already here: the far end's first checks come
        before its answer, and a wrong role then leads to a role conflict that may never be resolved.
        """
        self._connection.ice_controlling = controlling
        # In a task of its own: aioice would leave sockets behind if it were cancelled in the middle.
        self._gathering = asyncio.ensure_future(self._gatherer.gather())
        try:
            await asyncio.shield(self._gathering)
        except OSError as error:
            raise UplinkError(f"the network cannot be used: {error}; check the network cable") from error
        if not self._connection.local_candidates:
            if self._relay_only:
                raise UplinkError("the TURN server gave no relay address; check its address, user name and credential")
            raise UplinkError("this unit has no network address; check the network cable")
        if self._turn_servers and all(c.type != "relay" for c in self._connection.local_candidates):
            log.warning("rtp: the TURN server gave no relay address; going on without it")
        for protocol in self._connection._protocols:
            original = protocol.datagram_received
            protocol.datagram_received = partial(self._datagram, original)  # type: ignore[method-assign]

    def describe(self, setup: str) -> LocalTransport:
        """What our SDP says of this transport."""
        parameters = self._gatherer.getLocalParameters()
        return LocalTransport(
            parameters.usernameFragment or "",
            parameters.password or "",
            tuple(
                Candidate(c.foundation, c.priority, c.ip, c.port, c.type) for c in self._gatherer.getLocalCandidates()
            ),
            tuple((f.algorithm, f.value) for f in self._dtls.getLocalParameters().fingerprints[:1]),
            setup,
        )

    def connect(
        self,
        *,
        role: str,
        ice_parameters: RTCIceParameters,
        dtls_parameters: RTCDtlsParameters,
        candidates: list[Candidate],
    ) -> None:
        """Begin to connect; `wait_connected` tells how it ends."""
        self._dtls._set_role(role)
        self._dtls.on("statechange", self._state_changed)
        self._ice.on("statechange", self._state_changed)
        self._connecting = asyncio.ensure_future(self._run(ice_parameters, dtls_parameters, candidates))

    async def _run(
        self, ice_parameters: RTCIceParameters, dtls_parameters: RTCDtlsParameters, candidates: list[Candidate]
    ) -> None:
        # All at once: an mDNS name that nobody knows takes a second.
        await asyncio.gather(*(self._add_candidate(candidate) for candidate in candidates))
        await self._ice.addRemoteCandidate(None)
        await self._ice.start(ice_parameters)
        if self._ice.state != "completed":
            self._end("no network path to the MCU was found (ICE); check firewall and TURN settings")
            return
        await self._dtls.start(dtls_parameters)
        if self._dtls.state != "connected":
            self._end("the encrypted connection to the MCU could not be set up (DTLS); its certificate may not match")
            return
        outgoing, incoming = self._dtls._tx_srtp, self._dtls._rx_srtp
        self._protect, self._protect_rtcp = outgoing.protect, outgoing.protect_rtcp
        self._unprotect, self._unprotect_rtcp = incoming.unprotect, incoming.unprotect_rtcp
        self.streams.start(self)
        self._connected.set()
        while self._early:
            self._media(self._early.popleft())

    async def _add_candidate(self, candidate: Candidate) -> None:
        try:
            await self._ice.addRemoteCandidate(
                RTCIceCandidate(
                    component=1,
                    foundation=candidate.foundation,
                    ip=candidate.host,
                    port=candidate.port,
                    priority=candidate.priority,
                    protocol="udp",
                    type=candidate.kind,
                )
            )
        except OSError as error:  # no multicast for an mDNS name here; the others may do
            log.info("rtp: the far end's address %s cannot be resolved: %s", candidate.host, error)

    def _state_changed(self) -> None:
        if self._dtls.state == "closed":
            ssl = self._dtls._ssl
            by_far_end = ssl is not None and ssl.get_shutdown() & SSL.RECEIVED_SHUTDOWN
            self._end("the far end said goodbye (DTLS close_notify)" if by_far_end else "the network path was lost")
        elif self._ice.state == "failed" and self._connected.is_set():
            self._end("the far end no longer answers (ICE consent)")

    def _end(self, reason: str) -> None:
        """The one place where the connection ends; nothing is sent after it."""
        if self.closed.done():
            return
        self.streams.stop()
        self._protect = self._protect_rtcp = self._unprotect = self._unprotect_rtcp = None
        self._early.clear()
        self.closed.set_result(reason)

    async def wait_connected(self, timeout_s: float) -> None:
        """See `Peer.wait_connected`."""
        waits: list[asyncio.Future[Any]] = [asyncio.ensure_future(self._connected.wait()), self.closed]
        if self._connecting is not None:
            waits.append(self._connecting)  # a bug in it is to be seen, not waited for
        try:
            done, _ = await asyncio.wait(waits, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
            if self._connecting in done and not self._connecting.cancelled():
                self._connecting.result()
        finally:
            waits[0].cancel()
        if self.closed.done():
            raise (MediaLost if self._connected.is_set() else UplinkError)(self.closed.result())
        if not self._connected.is_set():
            raise UplinkError(
                f"the connection to the MCU was not there within {timeout_s:.0f} s; check firewall and TURN settings"
            )

    # packets in

    def _datagram(self, original: Callable[[bytes, Any], None], data: bytes, address: Any) -> None:
        """Every datagram of this connection's sockets (RFC 7983 tells the protocols apart by the first byte)."""
        first = data[0] if data else 255
        if 127 < first < 192:
            self._media(data)
        elif first < 4 or 19 < first < 64:
            queue = self._connection._queue
            if queue.qsize() >= _MAX_HANDSHAKE_QUEUE:  # garbage before the handshake; nobody reads it yet
                queue.get_nowait()
                self._counts["malformed"] += 1
            try:
                original(data, address)
            except (ValueError, LookupError, AssertionError, struct.error):  # garbage that looks like STUN
                self._counts["malformed"] += 1
        else:
            self._counts["malformed"] += 1

    def _media(self, data: bytes) -> None:
        unprotect, unprotect_rtcp = self._unprotect, self._unprotect_rtcp
        if unprotect is None or unprotect_rtcp is None:
            if not self.closed.done():
                self._early.append(data)
            return
        arrival_ns = time.monotonic_ns()
        counts = self._counts
        if not 12 <= len(data) <= MAX_DATAGRAM:
            counts["malformed"] += 1
            return
        try:
            if 192 <= data[1] <= 223:
                packet = unprotect_rtcp(data)
                self.last_heard_ns = arrival_ns
                self.streams.take_rtcp(packet, arrival_ns)
            else:
                packet = unprotect(data)
                self.last_heard_ns = arrival_ns
                self.streams.take_rtp(packet, arrival_ns)
        except pylibsrtp.Error:
            counts["not_authentic"] += 1

    # signs of life

    def probe(self, *, afresh: bool = False) -> None:
        """Ask the far end for a sign of life by a check of consent (RFC 7675 section 5.1); one at a time.

        `afresh`: do not wait for the slow repetitions of one that is under way.
        """
        pair = self._connection._nominated.get(1)
        if pair is None or self.closed.done():
            return
        if self._probing is not None and not self._probing.done():
            if not afresh:
                return
            self._probing.cancel()
        self._probing = asyncio.ensure_future(self._probe(pair))

    async def _probe(self, pair: Any) -> None:
        password = self._connection.remote_password or ""
        try:
            await pair.protocol.request(
                self._connection.build_request(pair, nominate=False),
                pair.remote_addr,
                integrity_key=password.encode(),
                retransmissions=_PROBE_REPEATS,
            )
        except (stun.TransactionError, OSError):  # no answer; when that ends the session is the watchdog's decision
            return
        self.last_heard_ns = time.monotonic_ns()

    @property
    def path(self) -> tuple[str, str] | None:
        """Our address and the far end's (or the relay's) on the wire; None while there is no connection."""
        pair = self._connection._nominated.get(1)
        if pair is None:
            return None
        outer = pair.protocol.transport
        turn = getattr(outer, "_TurnTransport__inner_protocol", None)
        wire = outer if turn is None else turn.transport
        ours = wire.get_extra_info("sockname")
        theirs = pair.remote_addr if turn is None else wire.get_extra_info("peername")
        return (str(ours[0]), str(theirs[0])) if ours and theirs else None

    # packets out

    def send_rtp(self, packet: bytes) -> bool:
        return self._send(self._protect, packet)

    def send_rtcp(self, packet: bytes) -> bool:
        return self._send(self._protect_rtcp, packet)

    def _send(self, protect: Callable[[bytes], bytes] | None, packet: bytes) -> bool:
        pair = self._connection._nominated.get(1)
        if protect is None or pair is None or len(packet) > MAX_DATAGRAM - 160:
            self._counts["unsent"] += 1
            return False
        if pair is not self._pair:
            self._take_pair(pair)
        if self._unsent_bytes() > 2 * _MAX_UNSENT_BYTES:
            self._counts["unsent"] += 1
            return False
        self._sendto(protect(packet), self._address)
        return True

    @property
    def congested(self) -> bool:
        """See `RtpTransport`."""
        return self._unsent_bytes() > _MAX_UNSENT_BYTES

    def _take_pair(self, pair: Any) -> None:
        """Remember how to send on the pair that ICE has nominated."""
        self._pair, self._address = pair, pair.remote_addr
        outer = pair.protocol.transport
        turn = getattr(outer, "_TurnTransport__inner_protocol", None)
        self._sendto = outer.sendto if turn is None else partial(_send_relayed, outer, turn)
        self._unsent_bytes = (outer if turn is None else turn.transport).get_write_buffer_size

    # the end

    async def close(self, reason: str) -> None:
        """Say goodbye and give back every socket and task within about CLOSE_LIMIT_S."""
        self._end(reason)
        for task in (self._connecting, self._probing):
            if task is not None:
                task.cancel()
                await asyncio.wait((task,))
        if self._gathering is not None:
            await asyncio.wait((self._gathering,))  # bounded by GATHER_LIMIT_S
            if not self._gathering.cancelled():
                self._gathering.exception()  # told to whoever waited for it; if nobody did, it does not matter any more
        pump = self._dtls._task
        protocols = list(self._connection._protocols)
        try:
            async with asyncio.timeout(CLOSE_LIMIT_S):
                await self._dtls.stop()
                if pump is not None:
                    await asyncio.wait((pump,))
                await self._ice.stop()
        except TimeoutError:
            # A TURN server that does not answer our goodbye; its allocation ends by itself.
            for protocol in protocols:
                _abort(protocol.transport)
            await asyncio.sleep(0)
        self._dtls.remove_all_listeners()
        self._ice.remove_all_listeners()

    def numbers(self) -> dict[str, Any]:
        """Counters of the whole transport, and the path in use."""
        pair = self._connection._nominated.get(1)
        connected = self._connected.is_set() and not self.closed.done()
        return {
            **self.streams.numbers(),
            **self._counts,
            "connected": connected,
            "path": pair.local_candidate.type if pair is not None else None,
        }


def _send_relayed(outer: Any, turn: Any, data: bytes, address: Any) -> None:
    """Through TURN: straight into the bound channel; while there is none, aioice binds one and sends in a task."""
    channel = turn.peer_to_channel.get(address)
    if channel is None or time.time() > turn.channel_refresh_at[channel] or turn.transport.is_closing():
        outer.sendto(data, address)
    else:
        turn._send(struct.pack("!HH", channel, len(data)) + data)


def _abort(transport: Any) -> None:
    turn = getattr(transport, "_TurnTransport__inner_protocol", None)
    if turn is None:
        transport.abort()
        return
    closing = transport._TurnTransport__close_task
    if closing is not None:
        closing.cancel()
    turn.transport.abort()
