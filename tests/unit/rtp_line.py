"""A simulated line between a sender of pictures and `VideoBuffer`: loss, delay, reordering, duplicates, requests."""

import heapq
import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from appliance.rtp import packetize
from appliance.rtp.depacketize import AccessUnit
from appliance.rtp.video_buffer import VideoBuffer

from .rtp_fakes import picture

MS = 1_000_000


@dataclass
class Shown:
    """A picture that came out."""

    index: int
    time_ns: int
    unit: AccessUnit


@dataclass
class Line:
    """Runs a stream through a buffer. `fate(random)` gives the delays (ms) of a packet's copies: none is a loss."""

    seed: int
    fate: Callable[[random.Random], list[float]]
    frames: int = 60
    packets: int = 4
    interval_ms: float = 33.0
    one_way_ms: float = 20.0
    repairs: bool = True
    first_sequence: int = 65_400
    first_timestamp: int = 0xFFFFF000
    calm_after: int = 45
    shown: list[Shown] = field(default_factory=list)
    sent_ns: dict[int, int] = field(default_factory=dict)
    keyframe_requests: int = 0
    nacked: int = 0

    def run(self) -> "Line":
        rng = random.Random(self.seed)
        buffer = self.buffer = VideoBuffer(repairs=self.repairs)
        order = itertools.count()
        events: list[tuple[int, int, str, object]] = []
        history: dict[int, tuple[int, int, bool, bytes]] = {}
        originals: dict[int, bytes] = {}
        indices: dict[int, int] = {}
        sequence = self.first_sequence
        keyframe_due = True
        asked_ns = -(10**12)

        def push(at_ns: int, kind: str, what: object) -> None:
            heapq.heappush(events, (at_ns, next(order), kind, what))

        def send(now_ns: int, packet: tuple[int, int, bool, bytes], calm: bool, repaired: bool) -> None:
            for delay_ms in [0.0] if calm else self.fate(rng):
                push(now_ns + int((self.one_way_ms + delay_ms) * MS), "packet", (*packet, repaired))

        for index in range(self.frames):
            push(int(index * self.interval_ms * MS), "frame", index)
        end_ns = int((self.frames * self.interval_ms + 2000) * MS)
        now_ns = 0
        while now_ns < end_ns:
            wake_ns = buffer.next_ns()
            if wake_ns is not None and (not events or max(wake_ns, now_ns) <= events[0][0]):
                now_ns = max(now_ns, wake_ns)
                self._take(buffer.poll(now_ns), now_ns, indices)
                if due := buffer.due(now_ns):
                    self.nacked += len(due)
                    push(now_ns + int(self.one_way_ms * MS), "nack", due)
                assert buffer.next_ns() is None or buffer.next_ns() > now_ns, "a busy loop"
                continue
            if not events:
                break
            now_ns, _, kind, what = heapq.heappop(events)
            calm = now_ns >= self.calm_after * self.interval_ms * MS
            if kind == "frame":
                assert isinstance(what, int)
                frame = picture(rng.randrange(1, self.packets * 1200), keyframe=keyframe_due, seed=what)
                keyframe_due = False
                timestamp = (self.first_timestamp + what * 2970) & 0xFFFFFFFF
                originals[what], indices[timestamp] = frame.data, what
                self.sent_ns[what] = now_ns
                parts = packetize.payloads(frame.data)
                for number, part in enumerate(parts):
                    packet = (sequence & 0xFFFF, timestamp, number == len(parts) - 1, part)
                    history[sequence & 0xFFFF] = packet
                    sequence += 1
                    send(now_ns + number * MS // 2, packet, calm, repaired=False)
            elif kind == "packet":
                *packet, repaired = what  # type: ignore[misc]
                self._take(buffer.insert(*packet, now_ns, repaired=repaired), now_ns, indices)
            elif kind == "nack":
                for number in what:  # type: ignore[attr-defined]
                    if number in history:
                        send(now_ns, history[number], calm, repaired=True)
            else:
                keyframe_due = True
            if buffer.wants_keyframe and now_ns - asked_ns >= 500 * MS:
                asked_ns = now_ns
                self.keyframe_requests += 1
                push(now_ns + int(self.one_way_ms * MS), "pli", None)
        for shown in self.shown:
            assert packetize.nal_units(shown.unit.data) == packetize.nal_units(originals[shown.index])
        return self

    def _take(self, units: object, now_ns: int, indices: dict[int, int]) -> None:
        for unit in units:  # type: ignore[attr-defined]
            self.shown.append(Shown(indices[unit.timestamp], now_ns, unit))

    @property
    def indices(self) -> list[int]:
        return [shown.index for shown in self.shown]

    @property
    def slowest_ms(self) -> float:
        """The longest way of a picture that was shown, from its sending."""
        return max((shown.time_ns - self.sent_ns[shown.index]) / MS for shown in self.shown)

    def assert_nothing_refers_to_what_is_missing(self) -> None:
        before = None
        for shown in self.shown:
            assert before is None or shown.index > before
            if before is None or shown.index != before + 1:
                assert shown.unit.is_keyframe
            before = shown.index
