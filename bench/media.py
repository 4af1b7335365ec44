"""The media that every candidate of a benchmark sends, and how their time codes are read back."""

import threading
import time
from collections.abc import Callable

import av
import numpy as np
import numpy.typing as npt

from appliance.capture.pictures import Picture, VideoConfig
from appliance.capture.video_factory import open_source
from appliance.media import timecode
from appliance.media.clock import MediaClock

WIDTH, HEIGHT, FPS = 1280, 720, 30
BITRATE = 2_000_000
Luma = npt.NDArray[np.uint8]


class TestCard:
    """Test cards with their time code at 30 a second, each a picture of its own."""

    def __init__(self) -> None:
        config = VideoConfig("testcard", "", None, WIDTH, HEIGHT, FPS, BITRATE // 1000, 10, time_code=True)
        self._source = open_source(config, "Bench", MediaClock())

    def read(self) -> bytes:
        """Wait for the next picture; I420. Blocks its thread."""
        while True:
            picture = self._source.read()
            if isinstance(picture, Picture):
                planes = picture.frame.to_ndarray()
                timecode.draw(planes[:HEIGHT], picture.captured_ns, 1)
                return planes.tobytes()


def frame_of(i420: bytes) -> av.VideoFrame:
    return av.VideoFrame.from_ndarray(np.frombuffer(i420, np.uint8).reshape(HEIGHT * 3 // 2, WIDTH), format="yuv420p")


class Latencies:
    """Glass to glass, read off the pictures as they come out of a decoder."""

    def __init__(self) -> None:
        self.first_ns: int | None = None
        self.pictures = 0
        self._latencies: list[float] = []

    def picture(self, luma: Luma) -> None:
        now_ns = time.monotonic_ns()
        self.pictures += 1
        code = timecode.read(luma)
        if code is None:
            codes = timecode.read_wall(luma)
            code = codes[0] if codes else None
        if code is not None:
            self.first_ns = self.first_ns or now_ns
            self._latencies.append((now_ns - timecode.to_ns(code.time_ms, now_ns)) / 1e6)

    def figures(self) -> dict[str, float | None]:
        # The start's keyframe and buffers are not what a meeting looks like.
        steady = self._latencies[len(self._latencies) // 10 :]
        if not steady:
            return {"p50": None, "p95": None}
        return {name: round(float(np.percentile(steady, at)), 1) for name, at in (("p50", 50), ("p95", 95))}


def in_thread(work: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread
