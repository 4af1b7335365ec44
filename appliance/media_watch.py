"""Alive but silent is a fault: notice media that stand still, and say what to do about it, rung by rung. Pure.

Each trouble has a ladder, gentle rungs first. A rung is taken once in a trouble (the repeated ones are rated), each is
counted, and none is a reboot: that is only proposed, for nobody restarts a unit in the middle of a meeting.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from .media.clock import NS_PER_S

# Row of problems.CATALOGUE: everything was tried.
REBOOT_ADVISED = "reboot-advised"
# Flowing again for so long: no longer told. And for so long: the next trouble begins at the first rung.
TOLD_FOR_NS = 3 * NS_PER_S
CALM_NS = 30 * NS_PER_S
# When the engine itself slept, nothing else stood still.
_OWN_STALL_NS = NS_PER_S


class Trouble(StrEnum):
    """What stands still. The values are rows of problems.CATALOGUE."""

    CAMERA = "picture-stuck"
    SENDING = "picture-not-taken"
    FAR_PICTURE = "no-far-picture"
    SCREEN = "screen-stuck"
    MICROPHONE = "microphone-silent"


class Rung(StrEnum):
    """What can be done, gentle first."""

    KEYFRAME = "keyframe"
    FAR_KEYFRAME = "far keyframe"
    ENCODER = "encoder restart"
    SMALLER = "software encoder, smaller picture"
    WORKER = "worker restart"
    SESSION = "new session"
    REBOOT = "reboot proposed"


@dataclass(frozen=True, slots=True)
class Step:
    """A rung, `at_s` seconds into the trouble; not again within `rest_s`, and in the same trouble only with `again`."""

    at_s: float
    rung: Rung
    rest_s: float = 1.0
    again: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """When standing still becomes a trouble, when the room is told of it, and what is tried."""

    patience_s: float
    told_s: float
    steps: tuple[Step, ...]


PLANS: dict[Trouble, Plan] = {
    Trouble.CAMERA: Plan(
        1.0,
        2.0,
        (
            Step(1.0, Rung.KEYFRAME),
            Step(1.75, Rung.ENCODER, 5.0),
            Step(3.0, Rung.SMALLER, 30.0),
            Step(6.0, Rung.WORKER, 30.0, again=True),
            Step(20.0, Rung.REBOOT),
        ),
    ),
    # Some far ends report each 5 s only (RFC 3550 section 6.2), and a lossy line takes some of the reports.
    Trouble.SENDING: Plan(12.0, 13.0, (Step(12.0, Rung.KEYFRAME), Step(16.0, Rung.SESSION, 120.0, again=True))),
    Trouble.FAR_PICTURE: Plan(3.0, 4.5, (Step(3.0, Rung.FAR_KEYFRAME), Step(15.0, Rung.SESSION, 120.0, again=True))),
    Trouble.SCREEN: Plan(
        3.0,
        4.0,
        (
            Step(3.0, Rung.FAR_KEYFRAME),
            Step(5.0, Rung.WORKER, 30.0, again=True),
            Step(15.0, Rung.SESSION, 120.0),
            Step(40.0, Rung.REBOOT),
        ),
    ),
    # Some microphones are silent to the last bit while nobody speaks: it takes long, and little is done.
    Trouble.MICROPHONE: Plan(30.0, 31.0, (Step(30.0, Rung.WORKER, 600.0),)),
}


@dataclass(frozen=True, slots=True)
class Flow:
    """One thing that should move. `progress`: any value that changes when it does. `bars`: rungs of no use now."""

    is_due: bool
    progress: object
    bars: frozenset[Rung] = frozenset()


@dataclass(frozen=True, slots=True)
class Action:
    """Do this now; `detail` is for log and Problem."""

    trouble: Trouble
    rung: Rung
    detail: str


class _Ladder:
    """One trouble's: when it began, what was tried, what is told."""

    def __init__(self, trouble: Trouble, now_ns: int) -> None:
        self._trouble = trouble
        self._plan = PLANS[trouble]
        self._progress: object = None
        self._moved_ns = now_ns
        self._begun_ns: int | None = None
        self._stuck_ns = now_ns  # when it was last seen to stand still
        self._taken: set[Rung] = set()
        self._last_ns: dict[Rung, int] = {}
        self.detail = ""
        self.counts: Counter[Rung] = Counter()

    @property
    def is_exhausted(self) -> bool:
        return Rung.REBOOT in self._taken

    def is_told(self, now_ns: int) -> bool:
        """While it stands still, and for a moment more: a Problem that flickers helps nobody."""
        if self._begun_ns is None or self._stuck_ns - self._begun_ns < self._plan.told_s * NS_PER_S:
            return False
        return now_ns - self._stuck_ns <= TOLD_FOR_NS

    def stalled(self, stall_ns: int) -> None:
        """The engine slept."""
        self._moved_ns += stall_ns

    def forget(self) -> None:
        """The next trouble is another one. The rests hold all the same."""
        self._begun_ns = None
        self._taken.clear()

    def look(self, now_ns: int, flow: Flow) -> Action | None:
        """One rung at a time: the next look sees whether it helped."""
        if not flow.is_due or flow.progress != self._progress:
            self._progress = flow.progress
            self._moved_ns = now_ns
        still_s = (now_ns - self._moved_ns) / NS_PER_S
        if still_s < self._plan.patience_s:
            if self._begun_ns is not None and now_ns - self._stuck_ns > CALM_NS:
                self.forget()
            return None
        self._stuck_ns = now_ns
        if self._begun_ns is None:
            self._begun_ns = self._moved_ns
        into_s = (now_ns - self._begun_ns) / NS_PER_S
        for step in self._plan.steps:
            if into_s >= step.at_s and step.rung not in flow.bars and self._may(step, now_ns):
                self._taken.add(step.rung)
                self._last_ns[step.rung] = now_ns
                self.counts[step.rung] += 1
                self.detail = f"nothing for {still_s:.1f} s; {step.rung}"
                return Action(self._trouble, step.rung, self.detail)
        return None

    def _may(self, step: Step, now_ns: int) -> bool:
        if step.rung in self._taken and not step.again:
            return False
        last_ns = self._last_ns.get(step.rung)
        return last_ns is None or now_ns - last_ns >= step.rest_s * NS_PER_S


class MediaWatch:
    """One for the unit. Asked some times a second; the caller has the clock, the facts and the hands."""

    def __init__(self, now_ns: int) -> None:
        self._ladders = {trouble: _Ladder(trouble, now_ns) for trouble in Trouble}
        self._looked_ns = now_ns

    def look(self, now_ns: int, flows: Mapping[Trouble, Flow]) -> list[Action]:
        """What to do now."""
        since_ns, self._looked_ns = now_ns - self._looked_ns, now_ns
        if since_ns > _OWN_STALL_NS:
            for ladder in self._ladders.values():
                ladder.stalled(since_ns)
        found = [ladder.look(now_ns, flows[trouble]) for trouble, ladder in self._ladders.items()]
        return [action for action in found if action is not None]

    def troubles(self, now_ns: int) -> dict[str, str]:
        """What the room is to be told: problem code and detail."""
        ladders = self._ladders.items()
        told = {str(trouble): ladder.detail for trouble, ladder in ladders if ladder.is_told(now_ns)}
        exhausted = [str(trouble) for trouble, ladder in ladders if ladder.is_exhausted]
        return told | ({REBOOT_ADVISED: ", ".join(exhausted)} if exhausted else {})

    def forget(self) -> None:
        """The meeting is over: the next one starts with no troubles. Counts and rests stay."""
        for ladder in self._ladders.values():
            ladder.forget()

    def numbers(self) -> dict[str, int]:
        """How often each rung was taken."""
        return {
            f"{trouble.name}_{rung.name}".lower(): count
            for trouble, ladder in self._ladders.items()
            for rung, count in ladder.counts.items()
        }
