"""Keep book of missing packets: when to ask for each one (RFC 4585 NACK), when to ask again, and when to give up."""

from dataclasses import dataclass

_MS = 1_000_000
# A packet that is only late must not be asked for; the allowance grows when late ones are seen.
LEAST_ALLOWANCE_NS = 5 * _MS
MOST_ALLOWANCE_NS = 50 * _MS
LEAST_REPEAT_NS = 20 * _MS
# Until the round trip is known from the first repair.
FIRST_REPEAT_NS = 60 * _MS
MOST_REPEAT_NS = 150 * _MS
GIVE_UP_NS = 300 * _MS
GIVE_UP_UNREPAIRED_NS = 60 * _MS
# More holes than this are no line to repair: a keyframe is cheaper.
MAX_MISSING = 400


@dataclass(slots=True)
class _Missing:
    noticed_ns: int
    ask_ns: int
    give_up_ns: int
    asked_ns: int = 0
    asked: int = 0


class NackList:
    """Sequence numbers are extended ones, which do not wrap. Pure: the caller has the clock."""

    def __init__(self, *, repairs: bool = True) -> None:
        """`repairs`: the sender repeats packets on request. If not, a hole can only be a reordering."""
        self._repairs = repairs
        self._give_up_ns = GIVE_UP_NS if repairs else GIVE_UP_UNREPAIRED_NS
        self._missing: dict[int, _Missing] = {}
        self._allowance_ns = LEAST_ALLOWANCE_NS
        self.rtt_ns: int | None = None  # request to repair
        self.recovered = 0

    def __len__(self) -> int:
        return len(self._missing)

    def clear(self) -> None:
        self._missing.clear()

    def missed(self, first: int, end: int, now_ns: int, *, give_up_ns: int | None = None) -> None:
        """Packets `first` to before `end` have not come, though they should have."""
        give_up_ns = now_ns + (self._give_up_ns if give_up_ns is None else give_up_ns)
        ask_ns = now_ns + self._allowance_ns if self._repairs else give_up_ns
        for sequence in range(first, end):
            self._missing[sequence] = _Missing(now_ns, ask_ns, give_up_ns)

    def arrived(self, sequence: int, now_ns: int, *, repaired: bool) -> None:
        """`repaired`: it came in the stream of retransmissions (RTX), or the sender has none."""
        entry = self._missing.pop(sequence, None)
        if entry is None:
            return
        self.recovered += 1
        if not entry.asked or not repaired:
            late_ns = now_ns - entry.noticed_ns
            if not entry.asked or late_ns < MOST_ALLOWANCE_NS:
                self._allowance_ns = min(max(self._allowance_ns, late_ns + LEAST_ALLOWANCE_NS), MOST_ALLOWANCE_NS)
        elif entry.asked == 1:
            # Asked once only: no doubt which request it answers.
            rtt_ns = now_ns - entry.asked_ns
            self.rtt_ns = rtt_ns if self.rtt_ns is None else self.rtt_ns + (rtt_ns - self.rtt_ns) // 4
            # No reordering seen: forget slowly what once was.
            self._allowance_ns -= (self._allowance_ns - LEAST_ALLOWANCE_NS) // 16

    def forget_before(self, sequence: int) -> None:
        """Nobody waits for these any more."""
        for known in [known for known in self._missing if known < sequence]:
            del self._missing[known]

    def _repeat_ns(self) -> int:
        if self.rtt_ns is None:
            return FIRST_REPEAT_NS
        return min(max(self.rtt_ns * 3 // 2 + 5 * _MS, LEAST_REPEAT_NS), MOST_REPEAT_NS)

    def due(self, now_ns: int) -> list[int]:
        """What to ask for now, in order."""
        due: list[int] = []
        if not self._repairs:
            return due
        for sequence, entry in self._missing.items():
            if entry.ask_ns <= now_ns:
                due.append(sequence)
                entry.asked += 1
                entry.asked_ns = now_ns
                entry.ask_ns = now_ns + self._repeat_ns()
        return due

    def given_up(self, now_ns: int) -> int | None:
        """The last sequence number that is not waited for any longer, if any."""
        late = [sequence for sequence, entry in self._missing.items() if entry.give_up_ns <= now_ns]
        if len(self._missing) > MAX_MISSING:
            late.append(max(self._missing))
        return max(late, default=None)

    def next_ns(self) -> int | None:
        """When `due` or `given_up` will have something."""
        return min((min(entry.ask_ns, entry.give_up_ns) for entry in self._missing.values()), default=None)
