"""Buttons and lights on GPIO pins (the only importer of gpiozero). Off the board gpiozero's mock pins stand in."""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from gpiozero import LED, Button, GPIOZeroError
from gpiozero.pins.mock import MockFactory

from appliance.errors import DeviceError
from appliance.settings import Board as BoardSettings

from .lights import Light, Pattern

log = logging.getLogger(__name__)

# Contacts of cheap buttons bounce for up to 20 ms; a person's press lasts longer than 50.
BOUNCE_S = 0.03


class GpioBoard:
    """The wired board. `pressed(button)` is called in the loop for each press of "start" or "mute"."""

    def __init__(self, settings: BoardSettings, pressed: Callable[[str], None]) -> None:
        self._settings = settings
        self._pressed = pressed
        self._loop = asyncio.get_running_loop()
        self._buttons: dict[str, Any] = {}
        self._lights: dict[Light, Any] = {}
        self._shown: dict[Light, Pattern] = {}
        self._factory: Any = None

    @property
    def is_simulated(self) -> bool:
        return isinstance(self._factory, MockFactory)

    async def __aenter__(self) -> Self:
        self._factory = _pin_factory()
        pins = self._settings
        try:
            for name, pin in (("start", pins.start_button), ("mute", pins.mute_button)):
                button = Button(pin, pull_up=True, bounce_time=BOUNCE_S, pin_factory=self._factory)
                button.when_pressed = self._caller(name)
                self._buttons[name] = button
            for light, pin in (
                (Light.STATUS, pins.status_light),
                (Light.ON_AIR, pins.on_air_light),
                (Light.MUTE, pins.mute_light),
            ):
                self._lights[light] = LED(pin, pin_factory=self._factory)
        except (GPIOZeroError, OSError) as error:
            self._close()
            raise DeviceError(f"the GPIO pins cannot be used: {error}", problem="board-missing") from error
        log.info("board: %s pins", "simulated" if self.is_simulated else type(self._factory).__name__)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def _close(self) -> None:
        for device in (*self._buttons.values(), *self._lights.values()):
            device.close()
        self._buttons.clear()
        self._lights.clear()
        if self.is_simulated:
            self._factory.close()

    def press(self, button: str) -> None:
        """Press a button by program: on simulated pins electrically, else where the contact's call arrives."""
        if self.is_simulated:
            pin = self._buttons[button].pin
            pin.drive_low()
            pin.drive_high()
        else:
            self._pressed(button)

    def show(self, patterns: dict[Light, Pattern]) -> None:
        """Set each light; one that already shows its pattern is not disturbed in its rhythm."""
        for light, pattern in patterns.items():
            if self._shown.get(light) is not pattern:
                self._shown[light] = pattern
                self._set(self._lights[light], pattern)

    def lit(self) -> dict[Light, bool]:
        """Whether each light is electrically on at this moment."""
        return {light: bool(led.value) for light, led in self._lights.items()}

    @staticmethod
    def _set(led: Any, pattern: Pattern) -> None:
        if pattern.on_s and pattern.off_s:
            led.blink(on_time=pattern.on_s, off_time=pattern.off_s)
        elif pattern.on_s:
            led.on()
        else:
            led.off()

    def _caller(self, name: str) -> Callable[[], None]:
        def call() -> None:
            # gpiozero calls from a thread of its own.
            self._loop.call_soon_threadsafe(self._pressed, name)

        return call


def _pin_factory() -> Any:
    """The board's pins where there is one, simulated ones elsewhere.

    Many PCs have a GPIO chip as well, with who knows what on its pins; only boards describe themselves to the kernel by
    a device tree.
    """
    if not Path("/proc/device-tree/model").exists() or not any(Path("/dev").glob("gpiochip*")):
        return MockFactory()
    try:
        from gpiozero.pins.lgpio import LGPIOFactory

        return LGPIOFactory()
    except (ImportError, GPIOZeroError, OSError) as error:
        raise DeviceError(
            f"the GPIO chip cannot be used ({error}); install the Debian package python3-lgpio", problem="board-missing"
        ) from error
