"""Buttons and lights on gpiozero's mock pins."""

import asyncio

import pytest

from appliance.board.gpio import GpioBoard
from appliance.board.lights import Light, Pattern, lights_for
from appliance.board.presses import Contact, HoldOff
from appliance.problems import Problem
from appliance.settings import Board
from appliance.state import ApplianceState, MeetingState, MeetingStatus


async def test_a_press_of_each_button_arrives_once() -> None:
    pressed: asyncio.Queue[str] = asyncio.Queue()
    async with GpioBoard(Board(), pressed.put_nowait) as board:
        for name in ("start", "mute"):
            await board.press(name)
            assert await asyncio.wait_for(pressed.get(), 2) == name
        assert pressed.empty()


async def test_a_button_that_is_stuck_can_still_be_pressed_by_program() -> None:
    pressed: list[str] = []
    async with GpioBoard(Board(), pressed.append) as board:
        board._buttons["start"].pin.drive_low()
        await board.press("start")
        assert pressed[-1:] == ["start"]


def presses_of(contact: Contact, *edges: tuple[float, bool], until: float) -> list[float]:
    """When a contact was pressed that changed so; looked at whenever it asks to be."""
    found: list[float] = []
    looks: list[float] = []
    waiting = list(edges)
    while waiting or looks:
        if waiting and (not looks or waiting[0][0] <= looks[0]):
            at, closed = waiting.pop(0)
            looks.append(contact.edge(closed=closed, now=at))
        else:
            at = looks.pop(0)
            if at <= until and contact.look(at):
                found.append(at)
    return found


def test_contacts_that_bounce_on_press_and_release_give_one_press() -> None:
    bounce = [(at / 1000, at % 4 == 0) for at in range(0, 14, 2)]
    press = [*bounce[:-1], (0.012, True)]
    release = [(at + 0.2, not closed) for at, closed in press]
    assert presses_of(Contact(), *press, *release, until=1.0) == [pytest.approx(0.042)]


def test_a_spike_on_a_long_wire_is_no_press() -> None:
    assert presses_of(Contact(), (0.0, True), (0.01, False), until=1.0) == []


def test_two_presses_of_a_person_are_two_presses() -> None:
    edges = [(0.0, True), (0.1, False), (0.2, True), (0.3, False)]
    assert len(presses_of(Contact(), *edges, until=1.0)) == 2


async def test_the_pins_of_a_bouncing_button_give_one_press() -> None:
    pressed: list[str] = []
    async with GpioBoard(Board(), pressed.append) as board:
        pin = board._buttons["mute"].pin
        for _ in range(3):
            pin.drive_low()
            pin.drive_high()
        await board.press("mute")
        assert pressed == ["mute"]


def test_a_hasty_hand_s_presses_are_one_until_the_button_has_had_rest() -> None:
    moments = iter((10.0, 10.25, 10.9, 11.5, 12.3, 12.4))
    hold_off = HoldOff(lambda: next(moments))
    assert [hold_off.admits("start") for _ in range(5)] == [True, False, False, False, True]
    assert hold_off.admits("mute"), "each button is for itself"


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
