"""Stand-ins for the media peers of a session, moved by the test; and an engine that remembers what it was told."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

from appliance.errors import NegotiationFailed, UplinkError
from appliance.media.values import AudioBlock, EncodedFrame

from .whip_endpoint import ANSWER, OFFER


class FakeStream:
    """Sender and receiver of either kind at once."""

    def __init__(self) -> None:
        self.sent: list[Any] = []
        self.keyframes_asked = 0
        self.last_packet_ns = 0
        self.frame: Callable[[EncodedFrame], None] = lambda _: None
        self.keyframe: Callable[[], None] = lambda: None
        self.bandwidth: Callable[[int], None] = lambda _: None
        self.hold: Callable[[int], None] = lambda _: None
        self.bitrate: Callable[[int], None] = lambda _: None

    def on_frame(self, callback: Callable[[EncodedFrame], None]) -> None:
        self.frame = callback

    def wait_for_picture(self, wanted_delay_ns: Callable[[], int | None]) -> None:
        self.picture_delay_ns = wanted_delay_ns

    def wanted_delay_ns(self) -> int | None:
        return 25_000_000

    def on_keyframe(self, callback: Callable[[], None]) -> None:
        self.keyframe = callback

    def on_bandwidth(self, callback: Callable[[int], None]) -> None:
        self.bandwidth = callback

    def on_hold(self, callback: Callable[[int], None]) -> None:
        self.hold = callback

    def on_bitrate(self, callback: Callable[[int], None]) -> None:
        self.bitrate = callback

    def send(self, *what: Any) -> None:
        self.sent.append(what)

    def request_keyframe(self) -> None:
        self.keyframes_asked += 1

    def pull(self, heard_at_ns: int) -> AudioBlock | None:
        return AudioBlock(b"far", heard_at_ns)

    def numbers(self) -> dict[str, Any]:
        return {"packets": len(self.sent)}


class FakePeer:
    """Connects as soon as an answer is accepted, unless told otherwise."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.video = self.video_receiver = FakeStream()
        self.audio = self.audio_receiver = FakeStream()
        self.may_connect = asyncio.Event()
        self.may_connect.set()
        self.ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.closings = 0
        self.reject = False
        self.last_heard_ns = 0
        self.answers = True

    def add_senders(self) -> tuple[FakeStream, FakeStream]:
        return self.video, self.audio

    def add_receivers(self) -> tuple[FakeStream, FakeStream]:
        return self.video, self.audio

    async def create_offer(self) -> str:
        return OFFER

    async def accept_answer(self, _: str) -> None:
        if self.reject:
            raise NegotiationFailed("the answer is of no use")

    async def answer(self, _: str, *, direction: str, whole: bool) -> str:
        assert (direction, whole) == ("receive", True)
        return ANSWER

    async def wait_connected(self, _: float) -> None:
        await self.may_connect.wait()

    async def wait_closed(self) -> str:
        return await asyncio.shield(self.ended)

    async def close(self) -> None:
        self.closings += 1

    @property
    def path(self) -> tuple[str, str] | None:
        return ("127.0.0.1", "127.0.0.1")

    def probe(self, *, afresh: bool = False) -> None:
        if self.answers:
            self.last_heard_ns = time.monotonic_ns()

    def numbers(self) -> dict[str, Any]:
        return {"path": "host"}


class Heard:
    """A SessionEvents that remembers."""

    def __init__(self) -> None:
        self.frames: list[EncodedFrame] = []
        self.live = asyncio.Event()
        self.times_connected = 0
        self.keyframes_wanted = 0
        self.bps: list[int] = []
        self.holds: list[int] = []
        self.losses: list[UplinkError] = []
        self.silences: list[bool] = []

    def lost(self, error: UplinkError) -> None:
        self.losses.append(error)

    def connected(self) -> None:
        self.times_connected += 1
        self.live.set()

    def far_silent(self, silent: bool) -> None:
        self.silences.append(silent)

    def far_video(self, frame: EncodedFrame) -> None:
        self.frames.append(frame)

    def keyframe_wanted(self) -> None:
        self.keyframes_wanted += 1

    def bandwidth(self, bps: int) -> None:
        self.bps.append(bps)

    def hold_pictures(self, ms: int) -> None:
        self.holds.append(ms)
