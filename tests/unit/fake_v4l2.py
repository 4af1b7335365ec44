"""A USB camera that stands where PyAV opens the device; its streams are really coded."""

import errno
import threading
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av

from appliance.media.clock import MediaClock

from .video_doubles import write_footage

FORMATS = {"mjpeg": ("mjpeg", "yuvj422p"), "yuyv422": ("rawvideo", "yuyv422"), "h264": ("libx264", "yuv420p")}


class FakeCamera:
    """A USB camera as PyAV's Video4Linux input shows it: it refuses, alters or accepts what is asked for.

    `modes` are the formats it has: pixel format -> {(width, height): frames a second}. As a driver does, it answers a
    size that it lacks with its first one.
    """

    def __init__(self, folder: Path, modes: dict[str, dict[tuple[int, int], int]], **h264_options: str) -> None:
        self._folder = folder
        self._modes = modes
        self._h264_options = {"profile": "baseline", "bf": "0", "g": "10", "tune": "zerolatency"} | h264_options
        self.asked: list[str | None] = []
        self.opened: list[FakeContainer] = []
        self.given: list[tuple[int, int]] = []
        self.unplugged = threading.Event()
        self.paused = threading.Event()
        self.open_error: int | None = None
        self.stamps_ns: int | None = 20_000_000
        self.keyframes_forced = 0
        self.bitrates: list[int] = []

    def open(self, device: str, *, format: str, options: dict[str, str]) -> Any:  # noqa: A002
        assert device == "/dev/video0"
        assert format == "v4l2"
        if self.open_error is not None or self.unplugged.is_set():
            av.error.err_check(-(self.open_error or errno.ENODEV))
        pixel_format = options.get("input_format")
        self.asked.append(pixel_format)
        pixel_format = pixel_format or next(iter(self._modes))
        if pixel_format not in self._modes:
            av.error.err_check(-errno.EINVAL)
        sizes = self._modes[pixel_format]
        width, height = (int(number) for number in options["video_size"].split("x"))
        size = (width, height) if (width, height) in sizes else next(iter(sizes))
        self.given.append(size)
        rate = min(sizes[size], int(options["framerate"]))
        codec, pixels = FORMATS[pixel_format]
        path = self._folder / f"{pixel_format}-{size[0]}-{rate}.nut"
        if not path.exists():
            write_footage(
                path,
                60,
                fps=rate,
                size=size,
                codec=codec,
                pixel_format=pixels,
                options=self._h264_options if pixel_format == "h264" else None,
            )
        container = FakeContainer(self, path, rate)
        self.opened.append(container)
        return container

    def controls(self, device: str) -> Any:
        def force_keyframe() -> bool:
            self.keyframes_forced += 1
            return True

        def set_bitrate(bps: int) -> bool:
            self.bitrates.append(bps)
            return True

        return SimpleNamespace(force_keyframe=force_keyframe, set_bitrate=set_bitrate, close=lambda: None)


class FakeContainer:
    """PyAV's container of a device: real packets, at the camera's pace, until it is unplugged."""

    def __init__(self, camera: FakeCamera, path: Path, rate: int) -> None:
        self._camera = camera
        self._file = av.open(str(path))
        self._rate = rate
        self.streams = self._file.streams
        self.is_closed = False

    def demux(self, stream: Any) -> Iterator[Any]:
        while True:
            for packet in self._file.demux(stream):
                if not packet.size:
                    break
                # A driver waits for the next picture; being unplugged ends the wait.
                self._camera.unplugged.wait(1 / self._rate)
                while self._camera.paused.is_set() and not self._camera.unplugged.is_set() and not self.is_closed:
                    self._camera.unplugged.wait(0.02)
                if self._camera.unplugged.is_set():
                    av.error.err_check(-errno.ENODEV)
                packet.time_base = Fraction(1, 1_000_000)
                age_ns = self._camera.stamps_ns
                packet.pts = packet.dts = None if age_ns is None else (MediaClock().now_ns() - age_ns) // 1000
                yield packet
            self._file.seek(0)

    def close(self) -> None:
        self.is_closed = True
        self._file.close()
