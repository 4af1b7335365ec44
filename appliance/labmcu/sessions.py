"""The WHIP and WHEP sessions of all rooms: opened, replaced, watched, and ended when their peer is gone."""

import asyncio
import ipaddress
import logging
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from appliance.errors import ApplianceError
from appliance.media.clock import NS_PER_S, Clock
from appliance.rtp.peer import IceConfig, Peer

from .layout import MAX_TILES
from .room import Listener, Participant, Room
from .video_mixer import WallSettings

log = logging.getLogger(__name__)

_CONNECT_LIMIT_S = 10.0
_SILENCE_LIMIT_NS = 5 * NS_PER_S
_LOOK_EVERY_S = 0.5
_MAX_ROOMS = 16
_MAX_LISTENERS = 32
# The host and port of a candidate that a browser hides behind a name for mDNS (draft-ietf-mmusic-mdns-ice-candidates).
_HIDDEN = re.compile(r"^(a=candidate:\S+ \d+ udp \d+ )\S+\.local \d+ ", re.MULTILINE | re.IGNORECASE)
_CANDIDATE = re.compile(r"^a=candidate:\S+ \d+ udp \d+ (\S+)", re.MULTILINE | re.IGNORECASE)


class RoomFull(ApplianceError):  # noqa: N818  the trade's word
    """No more of this kind can be taken in."""


class Kind(StrEnum):
    """Which way the media goes; the value is the path's first part."""

    WHIP = "whip"
    WHEP = "whep"


@dataclass(frozen=True, slots=True)
class McuOptions:
    """How the lab MCU runs."""

    host: str = "127.0.0.1"
    wall: WallSettings = field(default_factory=WallSettings)
    echo: bool = False

    @property
    def loopback(self) -> bool:
        """Whether everybody is on this machine: then the media stays on its loopback addresses as well."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"


@dataclass(slots=True)
class Session:
    """One peer's connection."""

    kind: Kind
    room: Room
    name: str
    peer: Peer
    id: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    ended: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Sessions:
    """All sessions; a room exists while anybody is in it. Used in one loop, as an async context manager."""

    def __init__(
        self,
        options: McuOptions,
        clock: Clock,
        on_event: Callable[[dict[str, str]], None],
        make_peer: Callable[[str], Peer] | None = None,
    ) -> None:
        """`on_event` hears who joins and leaves: {"event", "kind", "room", "name"}, and "reason" where there is one."""
        self._options = options
        self._make_peer = make_peer or self._answerer
        self._clock = clock
        self._on_event = on_event
        self._sessions: dict[str, Session] = {}
        self._rooms: dict[str, Room] = {}
        self._jobs: dict[Room, asyncio.Task[None]] = {}
        self._holding: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> "Sessions":
        return self

    async def __aexit__(self, *_: object) -> None:
        for session in tuple(self._sessions.values()):
            self._end(session, "the lab MCU stops")
        while pending := {*self._holding, *self._jobs.values()}:
            await asyncio.wait(pending)

    async def open(self, kind: Kind, room_name: str, name: str, offer: str) -> tuple[Session, str]:
        """Take an offer; the session and our answer. Raises NegotiationFailed or RoomFull.

        An older session of the same name and direction ends: a unit that comes back after a crash must not wait.
        """
        self._check_room_for(kind, room_name, name)
        peer = self._make_peer(offer)
        try:
            answer = await peer.answer(_revealed(offer), direction="receive" if kind is Kind.WHIP else "send")
            # Others may have come in while candidates were gathered.
            self._check_room_for(kind, room_name, name)
        except BaseException:
            await peer.close()
            raise
        older = self._find(kind, room_name, name)
        session = Session(kind, self._room(room_name), name, peer)
        self._sessions[session.id] = session
        media = self._media(session)
        if older is not None:
            self._end(older, "replaced by a newer session")
        holding = asyncio.create_task(self._hold(session, media), name=f"{kind} {room_name}/{name}")
        self._holding.add(holding)
        holding.add_done_callback(self._holding.discard)
        self._tell("joined", session)
        return session, answer

    async def close(self, session_id: str) -> bool:
        """End a session on its peer's wish. False when there is none of that id."""
        session = self._sessions.get(session_id)
        if session is None:
            return False
        self._end(session, "left")
        return True

    def snapshot(self) -> list[dict[str, Any]]:
        """All rooms for `/api/rooms`."""
        return [room.snapshot() for room in self._rooms.values()]

    def _answerer(self, offer: str) -> Peer:
        # A browser never pairs its network's addresses with a loopback address, and offers no loopback address itself.
        stays = self._options.loopback and all(host == "127.0.0.1" for host in _CANDIDATE.findall(offer))
        bitrate_bps = self._options.wall.bitrate_bps
        return Peer(IceConfig(servers=(), relay_only=False), loopback=stays, most_video_bps=bitrate_bps)

    def _find(self, kind: Kind, room_name: str, name: str) -> Session | None:
        for session in self._sessions.values():
            if session.kind is kind and session.room.name == room_name and session.name == name:
                return session
        return None

    def _check_room_for(self, kind: Kind, room_name: str, name: str) -> None:
        if room_name not in self._rooms and len(self._rooms) >= _MAX_ROOMS:
            raise RoomFull(f"there are {_MAX_ROOMS} rooms already; leave one first")
        names = {s.name for s in self._sessions.values() if s.kind is kind and s.room.name == room_name}
        limit = MAX_TILES if kind is Kind.WHIP else _MAX_LISTENERS
        if name not in names and len(names) >= limit:
            raise RoomFull(f"the room {room_name} is full ({limit}); wait until somebody leaves")

    def _room(self, name: str) -> Room:
        room = self._rooms.get(name)
        if room is None:
            room = Room(name, self._options.wall, self._clock, echo=self._options.echo)
            self._rooms[name] = room
            job = asyncio.create_task(room.run(), name=f"room {name}")
            self._jobs[room] = job
            job.add_done_callback(lambda done: self._room_ended(room, done))
        return room

    def _room_ended(self, room: Room, job: asyncio.Task[None]) -> None:
        self._jobs.pop(room, None)
        if not job.cancelled() and (error := job.exception()) is not None:
            log.error("room %s has failed; its sessions end", room.name, exc_info=error)
            for session in tuple(self._sessions.values()):
                if session.room is room:
                    self._end(session, "the room has failed")

    def _end(self, session: Session, reason: str) -> None:
        """Take the session out at once; its peer is told in the background."""
        if self._sessions.pop(session.id, None) is None:
            return
        session.ended.set_result(None)
        self._tell("left", session, reason)
        if not any(other.room is session.room for other in self._sessions.values()):
            del self._rooms[session.room.name]
            job = self._jobs.get(session.room)
            if job is not None:
                job.cancel()

    def _tell(self, event: str, session: Session, reason: str | None = None) -> None:
        told = {"event": event, "kind": str(session.kind), "room": session.room.name, "name": session.name}
        if reason is not None:
            told["reason"] = reason
        self._on_event(told)

    @staticmethod
    def _media(session: Session) -> Participant | Listener:
        """What the session is in its room. A participant has its tile at once; a listener waits for its transport."""
        peer, room = session.peer, session.room
        if session.kind is Kind.WHEP:
            peer.video_sender.on_keyframe(room.mixer.request_keyframe)
            listener = Listener(session.name, peer.audio_sender, peer.video_sender)
            peer.video_sender.on_bandwidth(lambda bps: room.limit(listener, bps))
            return listener
        tile = room.tile_source(session.name)
        peer.video_receiver.on_frame(tile.feed)
        participant = Participant(session.name, peer.audio_receiver, tile)
        room.enter(participant)
        return participant

    async def _hold(self, session: Session, media: Participant | Listener) -> None:
        """The life of a session after its answer, until it is ended or its peer is gone.

        It is ended by its future and never cancelled: a task cancelled before its first step would clean up nothing.
        """
        life = asyncio.create_task(self._live(session, media))
        await asyncio.wait((life, session.ended), return_when=asyncio.FIRST_COMPLETED)
        life.cancel()
        await asyncio.wait((life,))
        if isinstance(media, Participant):
            session.room.leave(media)
        else:
            session.room.unlisten(media)
        if not life.cancelled():
            error = life.exception()
            if error is not None and not isinstance(error, ApplianceError):
                log.error("%s %s/%s has failed", session.kind, session.room.name, session.name, exc_info=error)
            self._end(session, life.result() if error is None else str(error))
        await session.peer.close()

    async def _live(self, session: Session, media: Participant | Listener) -> str:
        """Receive or send until the peer is gone; the reason."""
        if isinstance(media, Listener):
            return await self._until_gone(session, media)
        decoding = asyncio.create_task(media.tile.run(session.peer.video_receiver.request_keyframe))
        gone = asyncio.create_task(self._until_gone(session, media))
        try:
            await asyncio.wait((decoding, gone), return_when=asyncio.FIRST_COMPLETED)
            if decoding.done():
                # Decoding ends by a bug only: its traceback belongs into the log.
                decoding.result()
            return await gone
        finally:
            for task in (decoding, gone):
                task.cancel()
            await asyncio.wait((decoding, gone))

    async def _until_gone(self, session: Session, media: Participant | Listener) -> str:
        """Wait for the transport, then for its end; the reason why it ended."""
        peer = session.peer
        await peer.wait_connected(_CONNECT_LIMIT_S)
        alive_ns = looked_ns = self._clock.now_ns()
        arrived = 0
        if isinstance(media, Participant):
            media.is_connected = True
        else:
            session.room.listen(media)
        closed = asyncio.create_task(peer.wait_closed())
        try:
            while True:
                await asyncio.wait((closed,), timeout=_LOOK_EVERY_S)
                if closed.done():
                    return closed.result()
                now_ns, before = self._clock.now_ns(), arrived
                arrived = _arrived(peer)
                # When we were the ones who slept, what has come meanwhile still waits in the socket. A listener that
                # has never reported anything cannot be judged by its silence: ICE's consent checks do that.
                if arrived != before or now_ns - looked_ns > NS_PER_S or (session.kind is Kind.WHEP and not arrived):
                    alive_ns = now_ns
                looked_ns = now_ns
                if now_ns - alive_ns > _SILENCE_LIMIT_NS:
                    return f"nothing has arrived for {_SILENCE_LIMIT_NS // NS_PER_S} s"
        finally:
            closed.cancel()


def _revealed(offer: str) -> str:
    """The offer without hidden addresses: looking such a name up takes a second and often fails.

    The browser's own checks tell us where it is. In the names' place stands a port that discards everything (RFC 863),
    because an ICE agent that is told of no address at all gives up before those checks arrive.
    """
    return _HIDDEN.sub(r"\g<1>127.0.0.1 9 ", offer)


def _arrived(peer: Peer) -> int:
    """How many packets of the far end have come: media and reports."""
    numbers = peer.numbers()
    return int(numbers["packets_received"]) + int(numbers["rtcp_received"])
