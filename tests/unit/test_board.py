"""Buttons and lights on gpiozero's mock pins."""

import asyncio

from appliance.board.gpio import GpioBoard
from appliance.board.lights import Light, Pattern, lights_for
from appliance.problems import Problem
from appliance.settings import Board
from appliance.state import ApplianceState, MeetingState, MeetingStatus


async def test_a_press_of_each_button_arrives_once() -> None:
    pressed: asyncio.Queue[str] = asyncio.Queue()
    async with GpioBoard(Board(), pressed.put_nowait) as board:
        for name in ("start", "mute"):
            board.press(name)
            assert await asyncio.wait_for(pressed.get(), 2) == name
        assert pressed.empty()


async def test_the_lights_follow_their_patterns() -> None:
    async with GpioBoard(Board(), lambda _: None) as board:
        board.show({Light.STATUS: Pattern.STEADY, Light.ON_AIR: Pattern.OFF, Light.MUTE: Pattern.STEADY})
        assert board.lit() == {Light.STATUS: True, Light.ON_AIR: False, Light.MUTE: True}


async def test_pins_are_given_back_on_close() -> None:
    for _ in range(2):
        async with GpioBoard(Board(), lambda _: None):
            pass


def test_every_state_has_its_own_lights() -> None:
    def lights(state: MeetingState, *problems: str) -> tuple[Pattern, ...]:
        shown = lights_for(
            ApplianceState(
                meeting=MeetingStatus(state=state), problems=tuple(Problem(code, 0) for code in problems), muted=False
            )
        )
        return tuple(shown[light] for light in Light)

    seen = {
        lights(MeetingState.STANDBY),
        lights(MeetingState.STANDBY, "camera-missing"),
        lights(MeetingState.JOINING),
        lights(MeetingState.LIVE),
        lights(MeetingState.FAULT, "mcu-credentials"),
    }
    assert len(seen) == 5


def test_the_on_air_light_is_lit_only_in_a_live_meeting() -> None:
    for state in MeetingState:
        lights = lights_for(ApplianceState(meeting=MeetingStatus(state=state)))
        assert (lights[Light.ON_AIR] is Pattern.STEADY) == (state is MeetingState.LIVE)
