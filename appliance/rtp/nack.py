"""Keep book of missing packets: when to ask for each one (RFC 4585 NACK), when to ask again, and when to give up."""

from dataclasses import dataclass

_MS = 1_000_000
# A packet that is only late must not be asked for; the allowance grows when late ones are seen.
LEAST_ALLOWANCE_NS = 5 * _MS
MOST_ALLOWANCE_NS = 50 * _MS
LEAST_REPEAT_NS = 20 * _MS
# Until the time of a repair is known from the first one.
FIRST_REPEAT_NS = 100 * _MS
MOST_REPEAT_NS = 250 * _MS
# An answer later than its expected time by this is taken for lost. Machines and pacers take some ms now and then.
LEAST_MARGIN_NS = 10 * _MS
# Where first requests fail, and whenever one has failed, a request goes out twice, so far apart that a burst takes only
# one of the two.
ECHO_NS = 18 * _MS
_FAILING, _MOST_FAILING = 0.012, 0.4
# Waited for: four requests, within these bounds. Beyond them a keyframe is the quicker repair.
REQUESTS = 4
GIVE_UP_NS = 300 * _MS
MOST_GIVE_UP_NS = 600 * _MS
GIVE_UP_UNREPAIRED_NS = 60 * _MS
# More holes than this are no line to repair: a keyframe is cheaper.
MAX_MISSING = 400


@dataclass(slots=True)
class _Missing:
    noticed_ns: int
    ask_ns: int
    give_up_ns: int
    asked_ns: int = 0
    asked_before_ns: int = 0  # the request before the latest one
    asked: int = 0  # requests, without their echoes
    echo_due: bool = False
    guessed: bool = False


class NackList:
    """Sequence numbers are extended ones, which do not wrap. Pure: the caller has the clock."""

    def __init__(self, *, repairs: bool = True) -> None:
        """`repairs`: the sender repeats packets on request. If not, a hole can only be a reordering."""
        self._repairs = repairs
        self._missing: dict[int, _Missing] = {}
        self._allowance_ns = LEAST_ALLOWANCE_NS
        self._deviation_ns = 0
        self._failing = 0.0
        self.rtt_ns: int | None = None  # request to repair
        self.recovered = 0
        self.repaired = 0  # packets that came because they were asked for

    def __len__(self) -> int:
        return len(self._missing)

    @property
    def failing(self) -> float:
        """The share of first requests that brought nothing."""
        return self._failing

    @property
    def repeat_ns(self) -> int:
        """From one request to the next: when its answer would have come."""
        if self.rtt_ns is None:
            return FIRST_REPEAT_NS
        expected_ns = self.rtt_ns + max(LEAST_MARGIN_NS, 2 * self._deviation_ns)
        return min(max(expected_ns, LEAST_REPEAT_NS), MOST_REPEAT_NS)

    @property
    def allowance_ns(self) -> int:
        """From noticing a hole to the first request."""
        return self._allowance_ns

    @property
    def give_up_ns(self) -> int:
        """How long a hole is waited for."""
        if not self._repairs:
            return GIVE_UP_UNREPAIRED_NS
        return min(max(self._allowance_ns + REQUESTS * self.repeat_ns, GIVE_UP_NS), MOST_GIVE_UP_NS)

    def clear(self) -> None:
        self._missing.clear()

    def missed(self, first: int, end: int, now_ns: int) -> None:
        """Packets `first` to before `end` have not come, though later ones have."""
        give_up_ns = now_ns + self.give_up_ns
        ask_ns = now_ns + self._allowance_ns if self._repairs else give_up_ns
        for sequence in range(first, end):
            self._missing[sequence] = _Missing(now_ns, ask_ns, give_up_ns)

    def guess(self, sequence: int, now_ns: int, give_up_ns: int) -> None:
        """A packet may be missing; no later one tells. It is waited for `give_up_ns`."""
        ask_ns = now_ns if self._repairs else now_ns + give_up_ns
        self._missing[sequence] = _Missing(now_ns, ask_ns, now_ns + give_up_ns, guessed=True)

    def arrived(self, sequence: int, now_ns: int, *, repaired: bool) -> None:
        """`repaired`: it came in the stream of retransmissions (RTX), or the sender has none."""
        entry = self._missing.pop(sequence, None)
        if entry is None:
            return
        self.recovered += 1
        if not entry.asked or not repaired:
            late_ns = 0 if entry.guessed else now_ns - entry.noticed_ns
            if not entry.asked or late_ns < MOST_ALLOWANCE_NS:
                self._allowance_ns = min(max(self._allowance_ns, late_ns + LEAST_ALLOWANCE_NS), MOST_ALLOWANCE_NS)
            return
        self.repaired += 1
        self._learn(entry, now_ns)
        # No reordering seen: forget slowly what once was.
        self._allowance_ns -= (self._allowance_ns - LEAST_ALLOWANCE_NS) // 16

    def _learn(self, entry: _Missing, now_ns: int) -> None:
        """How long repairs take, from those of which it is known which request they answer."""
        rtt_ns = self.rtt_ns
        # What comes at once after a repeated request answers the one before: the way has become longer. So it has when
        # nearly all requests seem to fail.
        early = entry.asked > 1 and (
            rtt_ns is None or now_ns - entry.asked_ns < rtt_ns * 3 // 4 or self._failing > _MOST_FAILING
        )
        failed = entry.asked > 1 and not early
        self._failing += (failed - self._failing) / 64
        if failed:
            return
        sample_ns = now_ns - (entry.asked_before_ns if early else entry.asked_ns)
        if rtt_ns is None:
            self.rtt_ns, self._deviation_ns = sample_ns, sample_ns // 4
            return
        self._deviation_ns += (abs(sample_ns - rtt_ns) - self._deviation_ns) // 8
        self.rtt_ns = rtt_ns + (sample_ns - rtt_ns) // 8

    def forget_before(self, sequence: int) -> None:
        """Nobody waits for these any more."""
        for known in [known for known in self._missing if known < sequence]:
            del self._missing[known]

    def due(self, now_ns: int) -> list[int]:
        """What to ask for now, in order."""
        due: list[int] = []
        if not self._repairs:
            return due
        for sequence, entry in self._missing.items():
            if entry.ask_ns > now_ns:
                continue
            due.append(sequence)
            if entry.echo_due:
                entry.echo_due = False
                entry.ask_ns = entry.asked_ns + self.repeat_ns
                continue
            entry.echo_due = self._echoes(entry.asked)
            entry.asked += 1
            entry.asked_before_ns, entry.asked_ns = entry.asked_ns, now_ns
            entry.ask_ns = now_ns + (ECHO_NS if entry.echo_due else self.repeat_ns)
        return due

    def _echoes(self, asked: int) -> bool:
        # On a short way the next request is nearly as quick.
        return (asked > 0 or self._failing > _FAILING) and self.repeat_ns > 2 * ECHO_NS

    def given_up(self, now_ns: int) -> int | None:
        """The last sequence number that is not waited for any longer, if any."""
        late = [sequence for sequence, entry in self._missing.items() if entry.give_up_ns <= now_ns]
        if len(self._missing) > MAX_MISSING:
            late.append(max(self._missing))
        return max(late, default=None)

    def next_ns(self) -> int | None:
        """When `due` or `given_up` will have something."""
        return min((min(entry.ask_ns, entry.give_up_ns) for entry in self._missing.values()), default=None)
