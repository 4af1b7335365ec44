"""Lip sync, the engine's part: how long after its capture a sound is heard, so that the picture waits as long."""

from collections import deque
from statistics import median

# About 0.2 s: one block out of step must not move the picture, and while the delay changes the picture follows closely.
BLOCKS = 9
# Below this nobody sees it, and each change costs the screen a jump.
STEP_NS = 3_000_000
# So many blocks (1 s) without sound: the picture stands alone.
SILENT_BLOCKS = 50


class PlayoutDelay:
    """Turns "block p is heard at t" into the delay that the screen applies: show a picture with pts p at p + delay."""

    def __init__(self) -> None:
        self._delays: deque[int] = deque(maxlen=BLOCKS)
        self._silent = 0
        self.delay_ns: int | None = None

    def played(self, pts_ns: int, heard_ns: int) -> int | None:
        """Take one block of the speaker; returns the new delay when the screen is to change it, else None."""
        self._silent = 0
        self._delays.append(heard_ns - pts_ns)
        return self._changed(int(median(self._delays)))

    def alone(self, wanted_ns: int | None) -> int | None:
        """There is no block. When that lasts, the picture has the delay it wants for itself; returns as `played`."""
        self._silent += 1
        if wanted_ns is None or self._silent < SILENT_BLOCKS:
            return None
        self._delays.clear()
        return self._changed(wanted_ns)

    def _changed(self, now_ns: int) -> int | None:
        if self.delay_ns is not None and abs(now_ns - self.delay_ns) < STEP_NS:
            return None
        self.delay_ns = now_ns
        return now_ns
