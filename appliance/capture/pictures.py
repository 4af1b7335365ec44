"""What picture sources have in common: the Picture, the PictureSource contract, the pace and the planes."""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, cast

import av
import numpy as np
import numpy.typing as npt

from appliance.media.clock import NS_PER_S, Clock
from appliance.media.values import EncodedFrame

Plane = npt.NDArray[np.uint8]
# Whoever runs a source looks at least this often whether it shall stop.
MAX_WAIT_S = 0.1


@dataclass(frozen=True, slots=True)
class VideoConfig:
    """What the camera worker needs of `settings.Video`, checked there.

    Settings themselves stay out of this process: their library alone would be a fifth of its memory.
    """

    source: Literal["testcard", "file", "v4l2"]
    device: str
    file: str | None
    width: int
    height: int
    fps: int
    bitrate_kbps: int
    keyframe_interval_s: int
    time_code: bool


@dataclass(frozen=True, slots=True)
class Picture:
    """A raw picture, yuv420p in the configured size, that its receiver may draw on until it reads the next one."""

    frame: av.VideoFrame
    captured_ns: int


class PictureSource(ABC):
    """An opened camera. Only one thread calls it; no call but `close` takes much longer than MAX_WAIT_S."""

    @abstractmethod
    def read(self) -> Picture | EncodedFrame | None:
        """The next picture when it is time for it; None when there is none yet. Raises DeviceError when it is lost.

        A camera that encodes by itself may give encoded frames instead.
        """

    @abstractmethod
    def set_framerate(self, fps: int) -> None: ...

    @abstractmethod
    def close(self) -> None:
        """Give the device back; soon, not at once, where a driver blocks: see `is_released`."""

    @property
    def is_released(self) -> bool:
        """After `close`: whether the device may be opened again."""
        return True

    # For cameras that encode; raw pictures leave both to our encoder.

    def request_keyframe(self) -> None:
        return

    def set_bitrate(self, bps: int) -> None:
        return


class Pacer:
    """Ticks on a fixed grid of MediaClock, so that nothing drifts: k / fps seconds, whole seconds included.

    A tick that was missed is skipped, not made up for.
    """

    def __init__(self, clock: Clock, fps: int, sleep: Callable[[float], None] = time.sleep) -> None:
        self._clock = clock
        self._sleep = sleep
        self._fps = fps
        self._due_ns = self._after(clock.now_ns())

    def set_framerate(self, fps: int) -> None:
        self._fps = fps
        self._due_ns = self._after(self._clock.now_ns())

    def wait(self) -> int | None:
        """The time, once the next tick has come; None when it is more than MAX_WAIT_S away (call again)."""
        left_s = (self._due_ns - self._clock.now_ns()) / NS_PER_S
        if left_s > 0:
            self._sleep(min(left_s, MAX_WAIT_S))
        now_ns = self._clock.now_ns()
        if now_ns < self._due_ns:
            return None
        self._due_ns = self._after(now_ns)
        return now_ns

    def _after(self, now_ns: int) -> int:
        """The first tick later than `now_ns`. Rounded up, so that a tick never lies before its own grid point."""
        tick = now_ns * self._fps // NS_PER_S + 1
        return -(-tick * NS_PER_S // self._fps)


def planes_of(frame: av.VideoFrame) -> tuple[Plane, Plane, Plane]:
    """Views of the Y, U and V planes of a yuv420p picture, without the padding of their lines."""
    height, width = frame.height, frame.width
    sizes = ((width, height), ((width + 1) // 2, (height + 1) // 2), ((width + 1) // 2, (height + 1) // 2))
    views: list[Plane] = []
    for plane, (columns, rows) in zip(frame.planes, sizes, strict=True):
        # PyAV does not declare planes as buffers; some of numpy's stubs mind, and some do not.
        memory: Plane = np.frombuffer(cast("Any", plane), np.uint8)
        views.append(memory[: plane.line_size * rows].reshape(rows, plane.line_size)[:, :columns])
    return views[0], views[1], views[2]


def black_frame(width: int, height: int) -> av.VideoFrame:
    """A black yuv420p picture."""
    frame = av.VideoFrame(width, height, "yuv420p")
    luma, u, v = planes_of(frame)
    luma[:], u[:], v[:] = 16, 128, 128
    return frame


def frame_of(planes: Plane) -> av.VideoFrame:
    """A picture from I420 planes stacked as (height * 3 / 2, width); both dimensions of the picture are even."""
    width, height = planes.shape[1], planes.shape[0] * 2 // 3
    frame = av.VideoFrame(width, height, "yuv420p")
    chroma = planes[height:].reshape(2, height // 2, width // 2)
    for view, part in zip(planes_of(frame), (planes[:height], chroma[0], chroma[1]), strict=True):
        view[:] = part
    return frame
