"""Know the line from session to session: slow enough to tell the room of, and what the next one may start at."""

from collections.abc import Mapping
from typing import Any

SLOW_BPS = 300_000
SLOW_AFTER_S = 10.0
# Withdrawn only when it is clearly better, and stays so.
GOOD_BPS = 360_000
GOOD_AFTER_S = 5.0
# What a line carried so long ago says nothing of now.
REMEMBERED_S = 300.0


class LineWatch:
    """Pure: times and a session's numbers are given."""

    def __init__(self) -> None:
        self._slow_since_s: float | None = None
        self._good_since_s: float | None = None
        self._told = False
        self._last: tuple[float, int] | None = None

    def carried_bps(self, now_s: float) -> int | None:
        """What the line carried of late: a session that follows a lost one must not flood it by its start."""
        return self._last[1] if self._last is not None and now_s - self._last[0] < REMEMBERED_S else None

    def look(self, now_s: float, numbers: Mapping[str, Any]) -> str | bool | None:
        """What is wrong, in words for the technician; False: nothing any more; None: as before."""
        target_bps = numbers.get("video_out_target_bps")
        # A line that was cut carried what it did before.
        if target_bps is not None and numbers.get("video_out_bounded_by") != "silence":
            self._last = (now_s, target_bps)
        if target_bps is None or numbers.get("video_out_bounded_by") == "cap":
            # No session, or the conference centre wants no more: no fault of the line's.
            self._slow_since_s = self._good_since_s = None
            told, self._told = self._told, False
            return False if told else None
        if target_bps >= SLOW_BPS:
            self._slow_since_s = None
        elif self._slow_since_s is None:
            self._slow_since_s = now_s
        if target_bps < GOOD_BPS:
            self._good_since_s = None
        elif self._good_since_s is None:
            self._good_since_s = now_s
        if self._slow_since_s is not None and now_s - self._slow_since_s >= SLOW_AFTER_S:
            self._told = True
            return f"the line carries about {target_bps // 1000} kbit/s from here"
        if self._told and self._good_since_s is not None and now_s - self._good_since_s >= GOOD_AFTER_S:
            self._told = False
            return False
        return None
