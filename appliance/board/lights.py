"""What the lights say: one table from the unit's state to a pattern for each light."""

from enum import Enum, StrEnum

from appliance.problems import CATALOGUE
from appliance.state import ApplianceState, MeetingState


class Light(StrEnum):
    STATUS = "status"
    ON_AIR = "on-air"
    MUTE = "mute"


class Pattern(Enum):
    """A rhythm that does not need colour to be told apart: seconds on, seconds off."""

    OFF = (0.0, 1.0)
    STEADY = (1.0, 0.0)
    SLOW = (1.0, 1.0)
    FAST = (0.15, 0.15)
    WINK = (1.9, 0.1)

    @property
    def on_s(self) -> float:
        return self.value[0]

    @property
    def off_s(self) -> float:
        return self.value[1]


def lights_for(state: ApplianceState) -> dict[Light, Pattern]:
    """Status: steady ready, slow connecting, fast fault, winking when something minor is wrong. On air: only live."""
    worst = {CATALOGUE[problem.code].severity for problem in state.problems}
    match state.meeting.state:
        case MeetingState.JOINING | MeetingState.REJOINING:
            status = Pattern.SLOW
        case MeetingState.FAULT:
            status = Pattern.FAST
        case _ if "fault" in worst:
            status = Pattern.FAST
        case _ if worst:
            status = Pattern.WINK
        case _:
            status = Pattern.STEADY
    return {
        Light.STATUS: status,
        Light.ON_AIR: Pattern.STEADY if state.meeting.state is MeetingState.LIVE else Pattern.OFF,
        Light.MUTE: Pattern.STEADY if state.muted else Pattern.OFF,
    }
