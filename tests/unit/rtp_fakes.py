"""Stand-ins for the RTP tests: a clock to turn, a transport that remembers, pictures and a stock aiortc far end."""

import heapq
import itertools
import random
import struct
from collections.abc import Callable
from fractions import Fraction

import aioice.ice
import av
import numpy as np
import pytest

from appliance.media.values import EncodedFrame
from appliance.rtp import rtcp
from appliance.rtp.plane import StreamParameters
from appliance.rtp.sdp import ABS_SEND_TIME_URI, AUDIO_LEVEL_URI, MID_URI

START = b"\0\0\0\1"
SPS, PPS = b"\x67\x42\xc0\x1f" + b"\x11" * 12, b"\x68\xce\x3c\x80"


class TurnedClock:
    def __init__(self, now_ns: int = 1_000_000_000_000) -> None:
        self.time_ns = now_ns

    def now_ns(self) -> int:
        return self.time_ns

    def turn(self, ms: float) -> None:
        self.time_ns += round(ms * 1e6)


class TurnedTimers:
    """`call_later` of a loop whose time is a TurnedClock's."""

    class Timer:
        def __init__(self, what: Callable[[], None]) -> None:
            self.what: Callable[[], None] | None = what

        def cancel(self) -> None:
            self.what = None

    def __init__(self, clock: TurnedClock) -> None:
        self._clock = clock
        self._order = itertools.count()
        self._due: list[tuple[int, int, TurnedTimers.Timer]] = []

    def call_later(self, delay_s: float, what: Callable[[], None]) -> Timer:
        timer = TurnedTimers.Timer(what)
        heapq.heappush(self._due, (self._clock.time_ns + round(delay_s * 1e9), next(self._order), timer))
        return timer

    def turn(self, ms: float) -> None:
        """Let so much time pass, with all that is due in it."""
        end_ns = self._clock.time_ns + round(ms * 1e6)
        while self._due and self._due[0][0] <= end_ns:
            self._fire()
        self._clock.time_ns = end_ns

    def until(self, true: Callable[[], bool]) -> None:
        """Let time pass until something holds."""
        while not true():
            assert self._due, "it will never hold: nothing is due any more"
            self._fire()

    def _fire(self) -> None:
        self._clock.time_ns, _, timer = heapq.heappop(self._due)
        if timer.what is not None:
            timer.what()


class RememberingTransport:
    def __init__(self) -> None:
        self.rtp: list[bytes] = []
        self.rtcp: list[bytes] = []
        self.congested = False

    def send_rtp(self, packet: bytes) -> bool:
        self.rtp.append(packet)
        return True

    def send_rtcp(self, packet: bytes) -> bool:
        self.rtcp.append(packet)
        return True

    def reports(self) -> list[tuple[int, int, bytes]]:
        return [part for compound in self.rtcp for part in rtcp.split(compound)]


def header(packet: bytes) -> tuple[int, bool, int, int, int]:
    """(payload type, marker, sequence, timestamp, SSRC)."""
    _, second, sequence, timestamp, ssrc = struct.unpack_from("!BBHII", packet)
    return second & 0x7F, bool(second & 0x80), sequence, timestamp, ssrc


def payload(packet: bytes) -> bytes:
    words = int.from_bytes(packet[14:16], "big") if packet[0] & 0x10 else -1
    return packet[12 + 4 * (words + 1) :]


def parameters(kind: str = "video", **changes: object) -> StreamParameters:
    values: dict[str, object] = {
        "kind": kind,
        "mid": "1",
        "payload_type": 102 if kind == "video" else 111,
        "clock_rate": 90_000 if kind == "video" else 48_000,
        "rtx_payload_type": 103 if kind == "video" else None,
        "cname": "unit",
        "feedback": frozenset(("nack", "nack pli", "ccm fir", "goog-remb")) if kind == "video" else frozenset(),
        "extensions": {MID_URI: 1, AUDIO_LEVEL_URI: 2, ABS_SEND_TIME_URI: 3},
    }
    return StreamParameters(**(values | changes))  # type: ignore[arg-type]


def picture(size: int, pts_ns: int = 0, *, keyframe: bool = False, seed: int = 1) -> EncodedFrame:
    """An access unit of about `size` bytes that packetizes like a real one."""
    body = random.Random(seed).randbytes(size).replace(b"\0", b"\1")
    head = START + SPS + START + PPS if keyframe else b""
    return EncodedFrame(head + START + (b"\x65" if keyframe else b"\x41") + body, pts_ns, keyframe)


def encoded_pictures(count: int, *, width: int = 320, height: int = 180, fps: int = 30) -> list[bytes]:
    """Real access units from x264: moving bars, constrained baseline, parameter sets repeated."""
    encoder = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height, encoder.pix_fmt = width, height, "yuv420p"
    encoder.time_base = Fraction(1, fps)
    encoder.options = {"preset": "ultrafast", "tune": "zerolatency", "profile": "baseline", "x264-params": "keyint=250"}
    frames = []
    for index in range(count):
        luma = np.tile((np.arange(width) * 3 + index * 5) % 220 + 16, (height, 1)).astype(np.uint8)
        chroma = np.full((height // 2, width), 128, np.uint8)
        frame = av.VideoFrame.from_ndarray(np.vstack((luma, chroma)), format="yuv420p")
        frame.pts = index
        frames += [bytes(packet) for packet in encoder.encode(frame)]
    return frames


@pytest.fixture
def stock_on_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets an unmodified aiortc peer offer 127.0.0.1, which aioice leaves out."""
    monkeypatch.setattr(aioice.ice, "get_host_addresses", lambda **_: ["127.0.0.1"])
