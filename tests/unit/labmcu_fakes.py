"""A peer of the lab MCU that the test moves, and a lab MCU on a real socket."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import aiohttp
from aiohttp.test_utils import TestServer

from appliance.errors import NegotiationFailed
from appliance.labmcu.server import LabMcuServer
from appliance.labmcu.sessions import McuOptions, Sessions
from appliance.labmcu.video_mixer import WallSettings
from appliance.media.clock import MediaClock
from appliance.media.values import AudioBlock, EncodedFrame
from appliance.rtp.peer import Peer

SMALL_WALL = WallSettings(320, 180, 30, 400_000)
SDP = {"Content-Type": "application/sdp"}


class FakeStream:
    """All four streams of a peer at once."""

    def __init__(self) -> None:
        self.voice: bytes | None = None
        self.pictures: list[EncodedFrame] = []
        self.packets: list[tuple[bytes, int]] = []
        self.keyframes_asked = 0
        self.frame: Callable[[EncodedFrame], None] = lambda _: None
        self.keyframe: Callable[[], None] = lambda: None

    def on_frame(self, callback: Callable[[EncodedFrame], None]) -> None:
        self.frame = callback

    def on_keyframe(self, callback: Callable[[], None]) -> None:
        self.keyframe = callback

    def on_bandwidth(self, callback: Callable[[int], None]) -> None:
        self.bandwidth = callback

    def request_keyframe(self) -> None:
        self.keyframes_asked += 1

    def pull(self, heard_at_ns: int) -> AudioBlock | None:
        return None if self.voice is None else AudioBlock(self.voice, heard_at_ns - 50_000_000)

    def send(self, *what: Any) -> None:
        if isinstance(what[0], EncodedFrame):
            self.pictures.append(what[0])
        else:
            self.packets.append((what[0], what[1]))


class FakePeer:
    """Connects when `may_connect` is set; ends when `closed` gets its reason."""

    def __init__(self) -> None:
        self.video_receiver = self.video_sender = FakeStream()
        self.audio_receiver = self.audio_sender = FakeStream()
        self.may_connect = asyncio.Event()
        self.may_connect.set()
        self.closed: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.direction: str | None = None
        self.closings = 0
        self.arrived = 1

    async def answer(self, offer_sdp: str, *, direction: str) -> str:
        if not offer_sdp.startswith("v=0"):
            raise NegotiationFailed("the far end sent something that is not a session description")
        self.direction = direction
        return "v=0 answer"

    async def wait_connected(self, timeout_s: float) -> None:
        await self.may_connect.wait()

    async def wait_closed(self) -> str:
        return await asyncio.shield(self.closed)

    async def close(self) -> None:
        self.closings += 1

    def numbers(self) -> dict[str, int]:
        return {"packets_received": self.arrived, "rtcp_received": 0}


@dataclass
class Mcu:
    """A lab MCU under test."""

    http: aiohttp.ClientSession
    sessions: Sessions
    peers: list[FakePeer] = field(default_factory=list)
    events: list[dict[str, str]] = field(default_factory=list)

    async def join(self, path: str, **headers: str) -> tuple[str, FakePeer]:
        """POST an offer; the session's address and the peer that took it."""
        async with self.http.post(path, data="v=0 offer", headers=SDP | headers) as answer:
            assert answer.status == 201, await answer.text()
            return answer.headers["Location"], self.peers[-1]

    async def leave(self, location: str) -> int:
        async with self.http.delete(location) as answer:
            return answer.status

    async def rooms(self) -> list[dict[str, Any]]:
        async with self.http.get("/api/rooms") as answer:
            return cast("list[dict[str, Any]]", (await answer.json())["rooms"])

    async def until(self, true: Callable[[], bool], limit_s: float = 5) -> None:
        async with asyncio.timeout(limit_s):
            while not true():
                await asyncio.sleep(0.005)


@asynccontextmanager
async def lab_mcu(*, token: str | None = None, echo: bool = False) -> AsyncIterator[Mcu]:
    """A lab MCU whose peers are fakes."""
    peers: list[FakePeer] = []
    events: list[dict[str, str]] = []

    def make_peer(_: str) -> Peer:
        peers.append(FakePeer())
        return cast("Peer", peers[-1])

    options = McuOptions(wall=SMALL_WALL, echo=echo)
    async with Sessions(options, MediaClock(), events.append, make_peer) as sessions:
        server = TestServer(LabMcuServer(sessions, token).application())
        await server.start_server()
        try:
            async with aiohttp.ClientSession(server.make_url("/")) as http:
                yield Mcu(http, sessions, peers, events)
        finally:
            await server.close()
