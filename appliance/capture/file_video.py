"""Footage as a camera: any file that PyAV opens, in real time, looped, fitted to the configured size and frame rate."""

import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import av
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from appliance.errors import DeviceError
from appliance.media.clock import NS_PER_S, Clock

from .ffmpeg_reason import reason_of
from .fit import Fitter
from .pictures import Pacer, Picture, PictureSource, VideoConfig

# A picture of 8K footage takes 50 MB to decode; more is not footage but a trap.
_MOST_PIXELS = 7680 * 4320
# A file on a stalled network share must not silence the worker for long.
_OPEN_TIMEOUT_S, _READ_TIMEOUT_S = 0.8, 0.8
# A decoder may hold back some pictures; one that gives none for so many packets gives none at all.
_MOST_FRUITLESS_PACKETS = 300
# Later than this (a slow decoder, a suspended machine) the footage goes on from where it is instead of racing after.
_LATEST_NS = NS_PER_S // 2
_MOST_DECODED_LATE = 8
# At any rate this many pictures a tick are enough: those of 240 a second for a line of 5.
_MOST_DECODED_AT_ONCE = 50
# What lies outside, a spoiled file says of its frame rate and time stamps.
_LEAST_STEP_NS, _MOST_STEP_NS = 2_000_000, 10 * NS_PER_S


class FileVideoSource(PictureSource):
    """At each tick the newest picture of the footage whose time has come. Looping adds no drift."""

    def __init__(self, config: VideoConfig, clock: Clock, *, sleep: Callable[[float], None] = time.sleep) -> None:
        self._path = config.file or ""
        self._container: InputContainer | None = None
        self._pixel_aspect = 1.0
        self._fitter = Fitter(config.width, config.height)
        self._footage = self._endless()
        try:
            self._next = next(self._footage, None)
        except DeviceError:
            self.close()
            raise
        self._pacer = Pacer(clock, config.fps, sleep)
        # Where the footage's time zero lies on the clock.
        self._zero_ns: int | None = None
        self._shown: av.VideoFrame | None = None

    def read(self) -> Picture | None:
        now_ns = self._pacer.wait()
        if now_ns is None:
            return None
        if self._zero_ns is None:
            self._zero_ns = now_ns
        newest, decoded = None, 0
        while self._next is not None:
            frame, at_ns = self._next
            late_ns = now_ns - self._zero_ns - at_ns
            if late_ns < 0:
                break
            if decoded >= (_MOST_DECODED_LATE if late_ns > _LATEST_NS else _MOST_DECODED_AT_ONCE):
                self._zero_ns += late_ns
            newest = frame
            decoded += 1
            self._next = next(self._footage, None)
        if newest is not None:
            self._shown = self._fitted(newest)
        return None if self._shown is None else Picture(self._shown, now_ns)

    def set_framerate(self, fps: int) -> None:
        self._pacer.set_framerate(fps)

    def close(self) -> None:
        self._footage.close()
        self._close_file()

    def _fitted(self, frame: av.VideoFrame) -> av.VideoFrame:
        try:
            return self._fitter.fit(frame, self._pixel_aspect)
        except (av.FFmpegError, OSError, ValueError) as error:
            raise DeviceError(
                f"the pictures of {self._path} cannot be scaled: {reason_of(error)}; choose another file",
                problem="video-file",
            ) from error

    def _close_file(self) -> None:
        if self._container is not None:
            self._container.close()
            self._container = None

    def _endless(self) -> Generator[tuple[av.VideoFrame, int], None, None]:
        """The footage again and again, with times (ns) that run on: each pass begins exactly where the last one ended.

        The file is opened anew for each pass: not everything that can be played can be wound back.
        """
        begin_ns = 0
        while True:
            count, length_ns = 0, 0
            for frame, at_ns, end_ns in self._one_pass():
                count, length_ns = count + 1, end_ns
                yield frame, begin_ns + at_ns
            if count == 0:
                raise DeviceError(
                    f"no picture in the video file {self._path} can be decoded; choose another file",
                    problem="video-file",
                )
            if count == 1:
                return  # a still picture: it stays on screen
            begin_ns += length_ns

    def _one_pass(self) -> Iterator[tuple[av.VideoFrame, int, int]]:
        """Each picture with the times (ns) at which it begins and ends."""
        self._close_file()
        self._container, stream = _open(self._path)
        self._pixel_aspect = float(stream.codec_context.sample_aspect_ratio or 1)
        step_ns = round(NS_PER_S / (stream.average_rate or 25))
        if not _LEAST_STEP_NS <= step_ns <= _MOST_STEP_NS:
            step_ns = NS_PER_S // 25
        first_ns: int | None = None
        at_ns = -step_ns
        for frame in _pictures(self._container, stream):
            expected_ns = at_ns + step_ns
            at_ns = expected_ns
            if frame.pts is not None and frame.time_base is not None:
                stamp_ns = round(frame.pts * frame.time_base * NS_PER_S)
                first_ns = stamp_ns if first_ns is None else first_ns
                # Stamps that stand still or jump are a spoiled file's: go on at its frame rate.
                if _LEAST_STEP_NS <= stamp_ns - first_ns - (expected_ns - step_ns) <= _MOST_STEP_NS:
                    at_ns = stamp_ns - first_ns
            yield frame, at_ns, at_ns + step_ns


def _pictures(container: InputContainer, stream: VideoStream) -> Iterator[av.VideoFrame]:
    """What can be decoded, to the end of the file or to where it is cut off."""
    fruitless = 0
    packets = container.demux(stream)
    while fruitless < _MOST_FRUITLESS_PACKETS:
        try:
            packet = next(packets, None)
        except (av.FFmpegError, OSError):
            return
        if packet is None:
            return
        fruitless += 1
        try:
            frames = packet.decode()
        except (av.FFmpegError, OSError):
            continue
        for frame in frames:
            if isinstance(frame, av.VideoFrame):
                fruitless = 0
                yield frame


def _open(path: str) -> tuple[InputContainer, VideoStream]:
    if not Path(path).is_file():
        raise DeviceError(f"there is no video file {path}; choose another file", problem="video-file")
    try:
        # A play list among the footage must not make us fetch from the network.
        container = av.open(
            path, options={"protocol_whitelist": "file"}, timeout=(_OPEN_TIMEOUT_S, _READ_TIMEOUT_S), mode="r"
        )
    except (av.FFmpegError, OSError, ValueError) as error:
        raise DeviceError(
            f"the video file {path} cannot be opened: {reason_of(error)}; choose another file", problem="video-file"
        ) from error
    # The cover picture of a song is a video stream, too.
    stream = next((s for s in container.streams.video if not s.disposition & Disposition.attached_pic), None)
    if stream is None:
        container.close()
        raise DeviceError(f"the file {path} has no video; choose another file", problem="video-file")
    context = stream.codec_context
    if context is None or not 0 < context.width * context.height <= _MOST_PIXELS:
        container.close()
        raise DeviceError(
            f"the video in {path} has no size that can be shown; choose another file", problem="video-file"
        )
    context.thread_count = 1
    # A spoiled file may announce another size on the way.
    context.options = {"max_pixels": str(_MOST_PIXELS)}
    return container, stream
