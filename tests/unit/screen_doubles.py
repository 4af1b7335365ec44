"""Streams to show and displays that remember, for the screen's tests."""

from collections.abc import Iterator

import av
import numpy as np

from appliance.capture.pictures import frame_of
from appliance.capture.x264 import X264Encoder
from appliance.errors import DeviceError
from appliance.media import timecode
from appliance.media.values import EncodedFrame

MS = 1_000_000
FRAME_NS = 33_333_333


def stream(count: int, *, start_ns: int = 0, width: int = 320, height: int = 180) -> Iterator[EncodedFrame]:
    """`count` frames at 30 a second, each with its time as time code; the first a keyframe."""
    encoder = X264Encoder(width, height, 30, 800_000, 60)
    for number in range(count):
        pts_ns = start_ns + number * FRAME_NS
        planes = np.full((height * 3 // 2, width), 128, np.uint8)
        planes[:height] = 60 + number % 100
        timecode.draw(planes[:height], pts_ns, 1)
        frame = encoder.encode(frame_of(planes), pts_ns, keyframe=number == 0)
        assert frame is not None
        yield frame


class Wall:
    """A display that remembers, and can be lost."""

    def __init__(self) -> None:
        self.shown: list[tuple[av.VideoFrame, int | None]] = []
        self.lost: DeviceError | None = None
        self.closed = 0

    def show(self, frame: av.VideoFrame, pts_ns: int | None) -> None:
        self.shown.append((frame, pts_ns))

    def pump(self) -> None:
        if self.lost is not None:
            raise self.lost

    def close(self) -> None:
        self.closed += 1
