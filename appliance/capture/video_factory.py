"""Build the camera that the settings ask for."""

import zlib
from dataclasses import replace

from appliance.media.clock import Clock

from .camera import Camera
from .card import card_maker
from .letters import pillow_lettering
from .pictures import PictureSource, VideoConfig


def build_camera(config: VideoConfig, unit_name: str, language: str, clock: Clock, *, camera_on: bool) -> Camera:
    """Nothing is opened yet: that is the camera's thread's."""
    if config.source == "testcard":
        config = replace(config, time_code=True)
    return Camera(
        config,
        lambda: open_source(config, unit_name, clock),
        card_maker(config.width, config.height, unit_name, language, pillow_lettering),
        clock,
        unit=unit_number(unit_name),
        camera_on=camera_on,
    )


def open_source(config: VideoConfig, unit_name: str, clock: Clock) -> PictureSource:
    """Open the pictures' source; the adapter is imported when it is chosen. Raises DeviceError."""
    match config.source:
        case "testcard":
            from .testcard import TestCardSource

            return TestCardSource(config, unit_name, pillow_lettering, clock)
        case "file":
            from .file_video import FileVideoSource

            return FileVideoSource(config, clock)
        case "v4l2":
            from .v4l2 import V4l2Source

            return V4l2Source(config, clock)


def unit_number(unit_name: str) -> int:
    """The 8 bit number that stands for a unit in its time code."""
    return zlib.crc32(unit_name.encode()) & 0xFF
