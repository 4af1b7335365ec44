"""Open a USB camera in the best mode that it really has: what a driver is asked for and what it does differ."""

import errno
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from appliance.errors import DeviceError

from .pictures import VideoConfig

log = logging.getLogger(__name__)

# Opens a device as `av.open` does; the tests put a camera of their own here.
OpenDevice = Callable[..., Any]
# A mode with less than this part of the wanted frame rate is not good enough while there are others.
_FAST_ENOUGH = 0.75
# Uncompressed pictures of these sizes fit through USB 2 at 30 a second.
_SMALLER_SIZES = ((960, 540), (640, 480), (640, 360))
# Up to here USB 2 carries uncompressed pictures, which are better and cost no decoding.
_MOST_UNCOMPRESSED_PIXELS = 640 * 480


@dataclass(frozen=True, slots=True)
class Mode:
    """What to ask a driver for. Without a pixel format it may choose."""

    pixel_format: str | None
    width: int
    height: int
    any_rate: bool = False


def modes(config: VideoConfig, *, h264: bool) -> Iterator[Mode]:
    """The modes to try, best first."""
    width, height = config.width, config.height
    if h264:
        yield Mode("h264", width, height, any_rate=True)
    both = [Mode("mjpeg", width, height), Mode("yuyv422", width, height)]
    yield from reversed(both) if width * height <= _MOST_UNCOMPRESSED_PIXELS else both
    for size in _SMALLER_SIZES:
        if size[0] < width:
            yield Mode("yuyv422", *size)
    yield Mode("mjpeg", width, height, any_rate=True)
    yield Mode(None, width, height, any_rate=True)


def open_camera(
    config: VideoConfig, *, h264: bool, open_device: OpenDevice = av.open
) -> tuple[InputContainer, VideoStream]:
    """The camera in the first mode that it accepts. Raises DeviceError when there is none."""
    refusal: Exception | None = None
    for mode in modes(config, h264=h264):
        options = {
            "video_size": f"{mode.width}x{mode.height}",
            "framerate": str(config.fps),
            # The driver has said all about the stream; looking at pictures first would only take time.
            "fpsprobesize": "0",
            "analyzeduration": "100000",
        }
        if mode.pixel_format:
            options["input_format"] = mode.pixel_format
        try:
            container = open_device(config.device, format="v4l2", options=options)
        except (av.FFmpegError, OSError, ValueError) as error:
            if getattr(error, "errno", None) != errno.EINVAL:
                raise lost(config.device, error) from error
            refusal = error
            continue
        stream = container.streams.video[0] if container.streams.video else None
        if stream is not None and _is_as_asked(stream, mode, config):
            context = stream.codec_context
            context.thread_count = 1
            log.info(
                "camera %s: %s %sx%s at %s a second",
                config.device,
                context.name,
                context.width,
                context.height,
                stream.average_rate or "unknown",
            )
            return container, stream
        container.close()
    raise DeviceError(
        f"the camera {config.device} has no picture format that can be used ({refusal}); connect another camera",
        problem="camera-missing",
    )


def _is_as_asked(stream: VideoStream, mode: Mode, config: VideoConfig) -> bool:
    """Drivers answer with the nearest mode they have, silently."""
    context = stream.codec_context
    if context is None or context.width <= 0 or context.height <= 0:
        return False
    match mode.pixel_format:
        case "h264":
            # What goes on the line as it is must have the size that was agreed on.
            return context.name == "h264" and (context.width, context.height) == (mode.width, mode.height)
        case "mjpeg" if context.name != "mjpeg":
            return False
        case "yuyv422" if context.name != "rawvideo":
            return False
    rate = stream.average_rate
    return mode.any_rate or rate is None or float(rate) >= config.fps * _FAST_ENOUGH


def lost(device: str, error: Exception) -> DeviceError:
    """What an error of the driver means to the room."""
    number = getattr(error, "errno", None)
    if number == errno.EBUSY:
        return DeviceError(
            f"the camera {device} is in use by another program; end it or restart the unit", problem="camera-busy"
        )
    if number == errno.ENOTTY:
        return DeviceError(f"{device} is not a camera; choose another device", problem="camera-missing")
    if number in (errno.EACCES, errno.EPERM):
        return DeviceError(
            f"no permission to use the camera {device}; add this program's user to the group 'video'",
            problem="camera-missing",
        )
    return DeviceError(f"the camera {device} gives no picture ({error}); check its cable", problem="camera-missing")
