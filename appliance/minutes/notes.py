"""What the observer notes down, before it becomes a line of the minutes."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Kind(StrEnum):
    """The kinds of lines; docs/minutes.md has their fields."""

    # of a meeting
    START = "start"
    RESUMED = "resumed"
    STATE = "state"
    PROBLEM = "problem"
    PROBLEM_END = "problem-end"
    WORKER = "worker"
    SWITCH = "switch"
    CLOCK = "clock"
    QUALITY = "quality"
    STOPPED = "stopped"
    END = "end"
    # of the file
    SEGMENT = "segment"
    REPAIRED = "repaired"
    DROPPED = "dropped"
    LINES_LOST = "lines-lost"
    # never written: the unit was found outside any meeting
    ABSENT = "absent"


@dataclass(frozen=True, slots=True)
class Instant:
    """One moment on both clocks: durations are taken from MediaClock, the wall clock is for people."""

    wall_ns: int
    mono_ns: int

    @classmethod
    def now(cls) -> "Instant":
        return cls(time.time_ns(), time.monotonic_ns())

    def as_fields(self) -> dict[str, int]:
        """Unix time and MediaClock, both in ms."""
        return {"t": max(0, self.wall_ns // 1_000_000), "ms": self.mono_ns // 1_000_000}


@dataclass(frozen=True, slots=True)
class Note:
    """Something that happened; values are texts, truth values and whole numbers."""

    kind: Kind
    at: Instant
    fields: Mapping[str, Any] = field(default_factory=dict)
