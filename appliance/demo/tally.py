"""What the processes of a unit count and cost during a call, added up over all that took each other's place."""

from collections.abc import Callable
from typing import Any

from .processes import Cost, cost_of

# Our name, and where the unit's state has it: part, number.
COUNTS = {
    "frames_captured": ("camera", "frames"),
    "frames_sent": ("session", "video_out_frames_sent"),
    "blocks_sent": ("session", "audio_out_blocks_sent"),
    "blocks_played": ("sound", "played"),
}


class Tally:
    """Reads state after state of a unit. A count that falls began anew: in a new worker, or in a new session."""

    def __init__(
        self, state: dict[str, Any], programs: dict[str, int], cost: Callable[[int], Cost | None] = cost_of
    ) -> None:
        """Counting begins with `state`. `programs` are the processes (name, pid) that nobody replaces."""
        self._programs = programs
        self._cost = cost
        self._last: dict[str, int] = {name: _count(state, name) or 0 for name in COUNTS}
        self._begun = {pid: found.cpu_s for _, pid in self._pids(state) if (found := cost(pid)) is not None}
        self._costs: dict[tuple[str, int], Cost] = {}
        self.counts = dict.fromkeys(COUNTS, 0)
        # A session from before is over; the state may still tell of it.
        self._last |= {"frames_sent": 0, "blocks_sent": 0}

    def note(self, state: dict[str, Any]) -> None:
        """Take in a newer state, and what each process has used until now."""
        for name in COUNTS:
            value = _count(state, name)
            if value is not None:
                self.counts[name] += value - self._last[name] if value >= self._last[name] else value
                self._last[name] = value
        for name, pid in self._pids(state):
            found = self._cost(pid)
            if found is not None:
                self._costs[name, pid] = found

    @property
    def cpu_s(self) -> dict[str, float]:
        """Processor seconds of each process and of those before it in its place."""
        used: dict[str, float] = {}
        for (name, pid), found in self._costs.items():
            used[name] = used.get(name, 0.0) + found.cpu_s - self._begun.get(pid, 0.0)
        return {name: round(value, 2) for name, value in used.items()}

    @property
    def pss_mb(self) -> dict[str, float]:
        """Memory of the newest process in each place when it was last seen."""
        return {name: round(found.pss_mb, 1) for (name, _), found in self._costs.items()}

    def _pids(self, state: dict[str, Any]) -> list[tuple[str, int]]:
        workers = [(name, worker["pid"]) for name, worker in state["workers"].items() if worker["pid"] is not None]
        return [*self._programs.items(), *workers]


def _count(state: dict[str, Any], name: str) -> int | None:
    part, number = COUNTS[name]
    value = state["numbers"].get(part, {}).get(number)
    return int(value) if value is not None else None
