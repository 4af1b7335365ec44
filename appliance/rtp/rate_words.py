"""The words of rate control: what bounds the rate, what it is doing, and what it may be at all."""

from dataclasses import dataclass
from enum import StrEnum

# Sound at its least and some pictures a second.
LEAST_BPS = 64_000


class Cause(StrEnum):
    """What bounds the rate now."""

    OK = "ok"
    DELAY = "delay"
    LOSS = "loss"
    CAP = "cap"
    SILENCE = "silence"


class Phase(StrEnum):
    """CLIMB: use what there is. DRAIN: empty the queue. RIVAL: another's traffic keeps the queue full."""

    CLIMB = "climb"
    DRAIN = "drain"
    RIVAL = "rival"


@dataclass(frozen=True, slots=True)
class Limits:
    """What the rate may be at all: `most_bps` is of our settings, `cap_bps` of the far end."""

    most_bps: int
    cap_bps: int | None = None

    @property
    def top_bps(self) -> int:
        return self.most_bps if self.cap_bps is None else max(min(self.most_bps, self.cap_bps), LEAST_BPS)
