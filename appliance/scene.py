"""What the screen is to show besides the far end's picture: the meeting's state, and the worst Problem."""

from typing import Any

from .state import ApplianceState


def scene_of(state: ApplianceState) -> dict[str, Any]:
    """What the screen is to show besides the far end's picture."""
    # The worst, and of those the newest: a screen has room for one.
    worst = max(state.problems, key=lambda p: (p.text.severity == "fault", p.since_unix_s), default=None)
    problem = worst.as_dict() if worst is not None else None
    return {
        "cmd": "scene",
        "state": state.meeting.state.value,
        "title": state.meeting.meeting_name or state.unit_name,
        "lines": [],
        "problem": {"cause": problem["cause"], "cure": problem["cure"]} if problem else None,
        "muted": state.muted,
        "camera_on": state.camera_on,
    }
