"""Buttons and lights on the real pins, with a person who presses and watches."""

import asyncio

import pytest

from appliance.board.gpio import GpioBoard
from appliance.board.lights import Light, Pattern
from appliance.settings import Board

pytestmark = pytest.mark.timeout(120)


async def test_the_pins_open(board: None) -> None:
    async with GpioBoard(Board(), lambda button: None) as pins:
        assert not pins.is_simulated


@pytest.mark.parametrize("button", ["start", "mute"])
async def test_a_press_arrives_once(board: None, person: None, button: str) -> None:
    presses: asyncio.Queue[str] = asyncio.Queue()
    async with GpioBoard(Board(), presses.put_nowait):
        print(f"\nPress {button.upper()} once.")
        assert await asyncio.wait_for(presses.get(), 30) == button
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(presses.get(), 1.0)


@pytest.mark.parametrize("light", list(Light))
async def test_a_light_shines(board: None, person: None, light: Light) -> None:
    async with GpioBoard(Board(), lambda button: None) as pins:
        pins.show(dict.fromkeys(Light, Pattern.OFF) | {light: Pattern.FAST})
        answer = await asyncio.to_thread(input, f"\nDoes the light '{light}', and no other, flash quickly? [y/n] ")
        assert answer.strip().lower() == "y"
