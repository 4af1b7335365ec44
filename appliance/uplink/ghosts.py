"""Where a session of ours may still stand at an MCU, which then may refuse the next one as "in use".

Servers end such a session by themselves when its media stop, mostly within half a minute.
"""

from collections.abc import Callable
from time import monotonic

LIFE_S = 45.0
_MOST = 64


class Ghosts:
    """Remembers endpoints for LIFE_S; the oldest is forgotten first when there are too many."""

    def __init__(self, now: Callable[[], float] = monotonic) -> None:
        self._now = now
        self._until: dict[str, float] = {}

    def left_at(self, endpoint: str) -> None:
        """A session made there could not be ended for certain."""
        self._until.pop(endpoint, None)
        self._until[endpoint] = self._now() + LIFE_S
        if len(self._until) > _MOST:
            del self._until[next(iter(self._until))]

    def gone_from(self, endpoint: str) -> None:
        """It has ended after all."""
        self._until.pop(endpoint, None)

    def may_be_at(self, endpoint: str) -> bool:
        return self._until.get(endpoint, 0.0) > self._now()
