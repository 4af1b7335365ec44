"""Lip sync, the engine's part: how long after its capture a sound is heard, so that the picture waits as long."""

from collections import deque
from statistics import median

# About 2 s of reports: one late report must not move the picture.
REPORTS = 9
# Below this nobody sees it, and each change costs the screen a jump.
STEP_NS = 3_000_000


class PlayoutDelay:
    """Turns "block p is heard at t" into the delay that the screen applies: show a picture with pts p at p + delay."""

    def __init__(self) -> None:
        self._delays: deque[int] = deque(maxlen=REPORTS)
        self.delay_ns: int | None = None

    def played(self, pts_ns: int, heard_ns: int) -> int | None:
        """Take one report of the speaker; returns the new delay when the screen is to change it, else None."""
        self._delays.append(heard_ns - pts_ns)
        now = int(median(self._delays))
        if self.delay_ns is not None and abs(now - self.delay_ns) < STEP_NS:
            return None
        self.delay_ns = now
        return now
