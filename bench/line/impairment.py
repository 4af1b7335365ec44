"""One direction of a bad line: rate with a queue, loss, delay, jitter, reordering, duplication, cuts.

Pure: the caller brings packets and the time. A packet first waits in the queue for its turn on the wire, may then be
lost on it, and takes the delay to arrive. With the same seed, the n-th packet always has the same fate.
"""

import heapq
import itertools
from collections import deque
from dataclasses import dataclass
from random import Random
from typing import Any

NS_PER_MS = 1_000_000
# The queue is looked at this often; its figures are over time, not over packets.
_LOOK_NS = 10 * NS_PER_MS
_LONGEST_QUEUE_MS = 5_000
# An exponential distribution has no end; a line has.
_MOST_JITTER = 5.0
_DUPLICATE_NS = NS_PER_MS


class LineError(ValueError):
    """A setting that no line can have; the message says which."""


@dataclass(frozen=True, slots=True)
class LinkSettings:
    """How one direction behaves. Probabilities are from 0 to 1."""

    delay_ms: float = 0.0
    # Mean of an extra delay with exponential distribution, at most five times as long. Packets keep their order
    # unless `jitter_reorders`.
    jitter_ms: float = 0.0
    jitter_reorders: bool = False
    # The share of packets that is lost, and how many follow one another on average: 1 is independent loss, more is
    # Gilbert's model (Gilbert 1960), where everything is lost while the line is bad.
    loss: float = 0.0
    burst: float = 1.0
    # The share of packets held back by `reorder_ms`, which later ones overtake.
    reorder: float = 0.0
    reorder_ms: float = 10.0
    duplicate: float = 0.0
    # None: no limit and no queue. The queue drops what comes when it is full (drop-tail).
    rate_kbps: float | None = None
    queue_ms: float = 200.0
    # (from, to) in seconds since the last restart: nothing passes. Repeated each `cut_period_s` when that is not 0.
    cuts: tuple[tuple[float, float], ...] = ()
    cut_period_s: float = 0.0

    def __post_init__(self) -> None:
        for name in ("loss", "reorder", "duplicate"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise LineError(f"{name} is a probability, from 0 to 1")
        for name in ("delay_ms", "jitter_ms", "reorder_ms", "queue_ms", "cut_period_s"):
            if getattr(self, name) < 0.0:
                raise LineError(f"{name} cannot be negative")
        if self.burst < 1.0:
            raise LineError("burst is a mean number of packets, 1 or more")
        if self.burst > 1.0 and self.loss > self.burst / (self.burst + 1.0):
            raise LineError(
                f"bursts of {self.burst:g} packets cannot lose so much: the good state would be left faster"
            )
        if self.rate_kbps is not None and self.rate_kbps <= 0.0:
            raise LineError("rate_kbps is above 0; a cut lets nothing through")
        if any(not 0.0 <= begin < end for begin, end in self.cuts):
            raise LineError("a cut is (from, to) in seconds, from before to")

    @property
    def queue_bytes(self) -> float:
        """How much the queue takes."""
        return (self.rate_kbps or 0.0) * self.queue_ms / 8


class Link:
    """Packets in with `arrive`, out with `take` when `next_ns` has come. Times must not go back."""

    def __init__(self, settings: LinkSettings, seed: str, now_ns: int) -> None:
        self._settings = settings
        self._held_cut = False
        # The head is on the wire until `_head_end_ns`; behind it wait `_behind` bytes.
        self._queue: deque[bytes] = deque()
        self._head_end_ns = 0
        self._behind = 0
        self._flying: list[tuple[int, int, bytes]] = []
        self._number = 0
        # Whoever keeps its order arrives no earlier than the one before.
        self._last_ns = 0
        self.restart(seed, now_ns)

    # control

    def restart(self, seed: str, now_ns: int) -> None:
        """Begin the fates, the schedule of cuts and the counters anew; what is under way stays so."""
        self._since_ns = now_ns
        # A source of its own for each: one impairment more does not change the others' fates.
        self._loss, self._jitter, self._reorder, self._duplicate = (
            Random(f"{seed}/{name}") for name in ("loss", "jitter", "reorder", "duplicate")
        )
        self._is_bad = False
        self._newest = -1
        self._counts = dict.fromkeys(
            ("arrived", "arrived_bytes", "delivered", "delivered_bytes", "reordered", "duplicated"), 0
        )
        self._dropped = dict.fromkeys(("loss", "queue", "cut"), 0)
        self._looks = [0] * (_LONGEST_QUEUE_MS + 1)
        self._look_ns = now_ns
        self._deepest_ms = 0.0

    def set(self, settings: LinkSettings, now_ns: int) -> None:
        """Behave so from now on. The queue keeps what it has, and sends it at the new rate."""
        self._advance(now_ns)
        old, self._settings = self._settings, settings
        self._look_ns = max(self._look_ns, now_ns)
        if not self._queue:
            return
        if settings.rate_kbps is None:
            while self._queue:
                self._leave(self._queue.popleft(), now_ns)
            self._behind = 0
        elif old.rate_kbps is not None:
            self._head_end_ns = now_ns + round((self._head_end_ns - now_ns) * old.rate_kbps / settings.rate_kbps)

    def cut(self, on: bool) -> None:
        """Pull or plug the cable; apart from the scheduled cuts."""
        self._held_cut = on

    # packets

    def arrive(self, packet: bytes, now_ns: int) -> None:
        """A packet comes to the line's entry."""
        self._advance(now_ns)
        self._counts["arrived"] += 1
        self._counts["arrived_bytes"] += len(packet)
        if self._is_cut(now_ns):
            self._dropped["cut"] += 1
        elif self._settings.rate_kbps is None:
            self._leave(packet, now_ns)
        elif not self._queue:
            self._queue.append(packet)
            self._head_end_ns = now_ns + self._wire_ns(len(packet))
            self._deepest_ms = max(self._deepest_ms, self._waiting_ms(now_ns) or 0.0)
        elif self._backlog_bytes(now_ns) + len(packet) > max(self._settings.queue_bytes, 1500):
            self._dropped["queue"] += 1
        else:
            self._queue.append(packet)
            self._behind += len(packet)
            self._deepest_ms = max(self._deepest_ms, self._waiting_ms(now_ns) or 0.0)

    def next_ns(self) -> int | None:
        """When to look again with `take`; None: not before a packet arrives."""
        times = []
        if self._queue:
            times.append(self._head_end_ns)
        if self._flying:
            times.append(self._flying[0][0])
        return min(times, default=None)

    def take(self, now_ns: int) -> list[bytes]:
        """The packets that have come to the other end by now."""
        self._advance(now_ns)
        out = []
        while self._flying and self._flying[0][0] <= now_ns:
            _, number, packet = heapq.heappop(self._flying)
            self._counts["delivered"] += 1
            self._counts["delivered_bytes"] += len(packet)
            if number < self._newest:
                self._counts["reordered"] += 1
            self._newest = max(self._newest, number)
            out.append(packet)
        return out

    def numbers(self, now_ns: int) -> dict[str, Any]:
        """What has happened since the restart; `queue_ms` is None on a line without a rate."""
        self._advance(now_ns)
        now_ms = self._waiting_ms(now_ns)
        return {
            **self._counts,
            "dropped": dict(self._dropped),
            "queue_ms": self._queue_figures(),
            "queue_now_ms": None if now_ms is None else round(now_ms, 1),
        }

    # inside

    def _wire_ns(self, size: int) -> int:
        assert self._settings.rate_kbps is not None
        return round(size * 8 * NS_PER_MS / self._settings.rate_kbps)

    def _backlog_bytes(self, now_ns: int) -> float:
        assert self._settings.rate_kbps is not None
        return (self._head_end_ns - now_ns) * self._settings.rate_kbps / 8 / NS_PER_MS + self._behind

    def _advance(self, now_ns: int) -> None:
        """Let the wire do its work up to now, each packet at its own time, however late this is called."""
        while self._queue and self._head_end_ns <= now_ns:
            end_ns = self._head_end_ns
            self._look_at_queue(end_ns)
            self._leave(self._queue.popleft(), end_ns)
            if self._queue:
                self._behind -= len(self._queue[0])
                self._head_end_ns = end_ns + self._wire_ns(len(self._queue[0]))
        self._look_at_queue(now_ns)

    def _leave(self, packet: bytes, at_ns: int) -> None:
        """From the wire onto the way, or lost."""
        settings = self._settings
        if self._is_cut(at_ns):
            self._dropped["cut"] += 1
            return
        if self._is_lost():
            self._dropped["loss"] += 1
            return
        extra_ms = 0.0
        if settings.jitter_ms:
            extra_ms = min(self._jitter.expovariate(1.0), _MOST_JITTER) * settings.jitter_ms
        arrives_ns = at_ns + round((settings.delay_ms + extra_ms) * NS_PER_MS)
        if settings.reorder and self._reorder.random() < settings.reorder:
            arrives_ns += round(settings.reorder_ms * NS_PER_MS)
        elif not settings.jitter_reorders:
            arrives_ns = self._last_ns = max(arrives_ns, self._last_ns)
        self._fly(packet, arrives_ns)
        if settings.duplicate and self._duplicate.random() < settings.duplicate:
            self._counts["duplicated"] += 1
            self._number -= 1
            self._fly(packet, arrives_ns + _DUPLICATE_NS)

    def _fly(self, packet: bytes, arrives_ns: int) -> None:
        heapq.heappush(self._flying, (arrives_ns, self._number, packet))
        self._number += 1

    def _is_lost(self) -> bool:
        settings = self._settings
        if settings.burst <= 1.0:
            return settings.loss > 0.0 and self._loss.random() < settings.loss
        if self._is_bad:
            self._is_bad = self._loss.random() >= 1.0 / settings.burst
        else:
            # In the long run `loss` of the packets are in the bad state.
            self._is_bad = self._loss.random() < settings.loss / (settings.burst * max(1.0 - settings.loss, 1e-9))
        return self._is_bad

    def _is_cut(self, at_ns: int) -> bool:
        if self._held_cut:
            return True
        settings = self._settings
        if not settings.cuts:
            return False
        past_ns = at_ns - self._since_ns
        if settings.cut_period_s:
            past_ns %= round(settings.cut_period_s * 1e9)
        return any(round(begin * 1e9) <= past_ns < round(end * 1e9) for begin, end in settings.cuts)

    def _look_at_queue(self, until_ns: int) -> None:
        while self._look_ns <= until_ns:
            waiting_ms = self._waiting_ms(self._look_ns)
            if waiting_ms is None:
                return
            self._looks[min(round(waiting_ms), _LONGEST_QUEUE_MS)] += 1
            self._look_ns += _LOOK_NS

    def _waiting_ms(self, now_ns: int) -> float | None:
        """How long a packet that comes now waits; None: there is no queue."""
        if self._settings.rate_kbps is None:
            return None
        if not self._queue:
            return 0.0
        return max(0.0, self._backlog_bytes(now_ns) * 8 / self._settings.rate_kbps)

    def _queue_figures(self) -> dict[str, float] | None:
        total = sum(self._looks)
        if not total or self._settings.rate_kbps is None:
            return None
        below = list(itertools.accumulate(self._looks))
        return {
            "mean": round(sum(ms * count for ms, count in enumerate(self._looks)) / total, 1),
            "p95": float(next(ms for ms, count in enumerate(below) if count * 100 >= total * 95)),
            "max": round(self._deepest_ms, 1),
        }
