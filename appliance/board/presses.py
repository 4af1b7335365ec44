"""What counts as a press of a button: no bouncing contact, and no second press of a hasty hand."""

from collections.abc import Callable

# Contacts of cheap buttons bounce for up to 20 ms; a person's press lasts longer than 50.
BOUNCE_S = 0.03
# Who presses twice in doubt means one press; nobody means START and then STOP within a second.
HOLD_OFF_S = 0.7


class Contact:
    """One contact, debounced: a state counts once it has lasted BOUNCE_S. A spike on a long wire is no press."""

    def __init__(self) -> None:
        self._is_closed = False
        self._seen = False
        self._since = 0.0

    def edge(self, *, closed: bool, now: float) -> float:
        """Note a change; returns when to `look` at the contact."""
        self._seen, self._since = closed, now
        return now + BOUNCE_S

    def look(self, now: float) -> bool:
        """Whether the button has been pressed. True once per press."""
        # A timer may be a hair early.
        if now - self._since < BOUNCE_S - 0.001 or self._seen is self._is_closed:
            return False
        self._is_closed = self._seen
        return self._is_closed


class HoldOff:
    """Lets the first of several quick presses of a button through; the rest, until it has had rest, are one with it."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._last: dict[str, float] = {}

    def admits(self, button: str) -> bool:
        now = self._now()
        before = self._last.get(button)
        self._last[button] = now
        return before is None or now - before >= HOLD_OFF_S
