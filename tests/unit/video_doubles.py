"""What the camera's tests share: time that they turn, footage that they make, and pictures read back."""

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from appliance.capture.pictures import VideoConfig
from appliance.media import timecode
from appliance.media.clock import NS_PER_S
from appliance.media.timecode import Luma, TimeCode
from appliance.media.values import EncodedFrame


class TurnedClock:
    """A MediaClock that moves only when somebody sleeps on it."""

    def __init__(self, start_ns: int = 1_000 * NS_PER_S) -> None:
        self.time_ns = start_ns

    def now_ns(self) -> int:
        return self.time_ns

    def sleep(self, seconds: float) -> None:
        # As the kernel does: never too short.
        self.time_ns += round(seconds * NS_PER_S) + 1


def a_config(**changes: Any) -> VideoConfig:
    values: dict[str, Any] = {
        "source": "testcard",
        "device": "/dev/video0",
        "file": None,
        "width": 320,
        "height": 180,
        "fps": 30,
        "bitrate_kbps": 500,
        "keyframe_interval_s": 10,
        "time_code": False,
    }
    return VideoConfig(**values | changes)


def numbered_picture(number: int, width: int, height: int) -> Luma:
    """A picture that carries its number as a time code."""
    luma = np.full((height, width), 90, np.uint8)
    timecode.draw(luma, number * 1_000_000, 0)
    return luma


def write_footage(
    path: Path,
    count: int,
    *,
    fps: int = 25,
    size: tuple[int, int] = (320, 180),
    codec: str = "mjpeg",
    pixel_format: str = "yuvj420p",
    container_format: str | None = None,
    options: dict[str, str] | None = None,
    level: int | None = None,
    noise: int = 0,
) -> Path:
    """Numbered pictures as a video file; `level` makes them plain grey instead, `noise` hard to encode."""
    rng = np.random.default_rng(5)
    width, height = size
    with av.open(str(path), "w", format=container_format) as container:
        stream: Any = container.add_stream(codec, rate=fps, options=options or {})
        stream.width, stream.height, stream.pix_fmt = width, height, pixel_format
        stream.codec_context.qmin = stream.codec_context.qmax = 2
        stream.codec_context.time_base = Fraction(1, fps)
        for number in range(count):
            luma = numbered_picture(number, width, height)
            if level is not None:
                luma[:] = level
            if noise:
                luma[timecode.height_of(width) :] += rng.integers(
                    0, noise, (height - timecode.height_of(width), width), np.uint8
                )
            planes = np.concatenate((luma, np.full((height // 2, width), 128, np.uint8)))
            frame = av.VideoFrame.from_ndarray(planes, "yuv420p").reformat(format=pixel_format)
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def luma_of(frame: Any) -> Luma:
    return np.ascontiguousarray(frame.to_ndarray()[: frame.height])


class Decoder:
    """Shows what the far end would see."""

    def __init__(self) -> None:
        self._codec: Any = av.CodecContext.create("h264", "r")
        self._codec.thread_type = "SLICE"

    def show(self, frame: EncodedFrame) -> Luma:
        pictures = self._codec.decode(av.Packet(frame.data))
        assert len(pictures) == 1
        return luma_of(pictures[0])

    def codes(self, frames: Iterable[EncodedFrame]) -> list[TimeCode | None]:
        return [timecode.read(self.show(frame)) for frame in frames]
