"""Buttons and lights on GPIO pins (the only importer of gpiozero). Off the board gpiozero's mock pins stand in."""

import asyncio
import logging
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from gpiozero import LED, Button, GPIOZeroError
from gpiozero.pins.mock import MockFactory

from appliance.errors import DeviceError
from appliance.settings import Board as BoardSettings

from .lights import Light, Pattern
from .presses import BOUNCE_S, Contact

log = logging.getLogger(__name__)


class GpioBoard:
    """The wired board. `pressed(button)` is called in the loop for each press of "start" or "mute"."""

    def __init__(
        self, settings: BoardSettings, pressed: Callable[[str], None], *, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._settings = settings
        self._pressed = pressed
        self._now = now
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
                button = Button(pin, pull_up=True, pin_factory=self._factory)
                contact = Contact()
                button.when_pressed = self._edge_of(name, contact, closed=True)
                button.when_released = self._edge_of(name, contact, closed=False)
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

    async def press(self, button: str) -> None:
        """Press a button by program: on simulated pins electrically, else where the contact's call arrives.

        Returns when the press has had its effect.
        """
        if not self.is_simulated:
            self._pressed(button)
            return
        pin = self._buttons[button].pin
        if not pin.state:
            # Held down or stuck: a press begins with letting go.
            pin.drive_high()
            await asyncio.sleep(2 * BOUNCE_S)
        pin.drive_low()
        await asyncio.sleep(2 * BOUNCE_S)
        pin.drive_high()
        await asyncio.sleep(2 * BOUNCE_S)

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

    def _edge_of(self, name: str, contact: Contact, *, closed: bool) -> Callable[[], None]:
        def look() -> None:
            if contact.look(self._now()):
                self._pressed(name)

        def edge(now: float) -> None:
            self._loop.call_later(contact.edge(closed=closed, now=now) - self._now(), look)

        def call() -> None:
            # gpiozero calls from a thread of its own.
            self._loop.call_soon_threadsafe(edge, self._now())

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
