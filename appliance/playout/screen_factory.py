"""Choose the display that the settings name."""

from pathlib import Path
from typing import Any

from appliance.media.clock import Clock

from .screen import Display


def open_display(screen: dict[str, Any], unit_name: str, clock: Clock, tap_dir: Path | None) -> Display:
    """A display for `screen`, the screen section of the settings as it travels to the worker. Raises DeviceError."""
    match screen["sink"]:
        case "headless":
            from .screen_headless import HeadlessDisplay

            return HeadlessDisplay(clock, tap_dir / "shown.csv" if tap_dir is not None else None)
        case "sdl":
            from .screen_sdl import SdlDisplay

            return SdlDisplay(unit_name, fullscreen=bool(screen["fullscreen"]))
        case other:
            raise ValueError(f"unknown screen {other!r}")
