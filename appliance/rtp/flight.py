"""Keep book of packets on their way: which has arrived when, which is lost, by the far end's transport-cc feedback."""

from collections import deque
from dataclasses import dataclass
from typing import Any, NamedTuple

from .header import signed16
from .transport_cc import REFERENCE_NS, REFERENCE_WRAP, TransportFeedback

# About 20 s of 2 Mbit/s; what is older nobody reports on any more.
MOST_IN_FLIGHT = 4096
_KEPT_NS = 2_000_000_000
# A packet told of as missing may only have been overtaken: so many are remembered to make it good.
_MISSING_KEPT = 512


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """One packet that has arrived: sent at `sent_ns` of our clock, there at `arrival_ns` of the far end's."""

    sent_ns: int
    arrival_ns: int
    bits: int
    probe: int


@dataclass(frozen=True, slots=True)
class FlightReport:
    """What one feedback told anew. `revived`: of those, how many earlier feedback had told of as missing."""

    arrived: tuple[Acknowledged, ...]
    lost: int
    revived: int
    newest_sent_ns: int


class _Packet(NamedTuple):
    sent_ns: int
    bits: int
    stream: int
    probe: int


class Flight:
    """The transport-wide sequence of one connection, and what has become of each packet."""

    def __init__(self, first: int) -> None:
        self._next = first
        self._out: dict[int, _Packet] = {}
        self._missing: dict[int, _Packet] = {}
        # Janus 1.1 negotiates the feedback for sound and picture, and then tells of the picture alone: the sound would
        # look lost, all of it. What is missing counts in streams only of which something has arrived.
        self._told_of: set[int] = set()
        self._missing_order: deque[int] = deque()
        self._reference = 0
        self._has_reference = False
        self._acknowledged = 0
        self._lost = 0
        self._unreported = 0

    def __len__(self) -> int:
        return len(self._out)

    def sent(self, now_ns: int, bits: int, stream: int = 0, probe: int = 0) -> int:
        """Note a packet of `stream` (an SSRC) that leaves now; its 16-bit transport-wide sequence number."""
        sequence = self._next
        self._next = sequence + 1
        self._out[sequence] = _Packet(now_ns, bits, stream, probe)
        if len(self._out) > MOST_IN_FLIGHT:
            del self._out[next(iter(self._out))]
            self._unreported += 1
        return sequence & 0xFFFF

    def feedback(self, feedback: TransportFeedback, now_ns: int) -> FlightReport | None:
        """Take a report; None when it tells nothing of ours. Lost, late and repeated ones do no harm."""
        base = self._next - 1 + signed16(feedback.base - (self._next - 1))
        shift_ns = self._unwrapped(feedback.reference)
        arrived: list[Acknowledged] = []
        lost = revived = newest_sent_ns = 0
        for place, at_ns in enumerate(feedback.arrivals):
            sequence = base + place
            if sequence >= self._next:
                break
            packet = self._out.get(sequence)
            if at_ns is None:
                if packet is not None:
                    del self._out[sequence]
                    if packet.stream in self._told_of:
                        self._note_missing(sequence, packet)
                        lost += 1
                        newest_sent_ns = max(newest_sent_ns, packet.sent_ns)
                continue
            if packet is not None:
                del self._out[sequence]
            else:
                packet = self._missing.pop(sequence, None)
                if packet is None:
                    continue
                revived += 1
            self._told_of.add(packet.stream)
            arrived.append(Acknowledged(packet.sent_ns, at_ns + shift_ns, packet.bits, packet.probe))
            newest_sent_ns = max(newest_sent_ns, packet.sent_ns)
        self._forget(now_ns)
        if not arrived and not lost:
            return None
        self._acknowledged += len(arrived)
        self._lost += lost - revived
        return FlightReport(tuple(arrived), lost, revived, newest_sent_ns)

    def _unwrapped(self, reference: int) -> int:
        """What to add to times of a feedback whose reference counts 64 ms in 24 bits: 12 days."""
        if not self._has_reference:
            self._reference, self._has_reference = reference, True
        half = REFERENCE_WRAP // 2
        whole = self._reference + (reference - self._reference + half) % REFERENCE_WRAP - half
        self._reference = max(self._reference, whole)
        return (whole - reference) * REFERENCE_NS

    def _note_missing(self, sequence: int, packet: _Packet) -> None:
        self._missing[sequence] = packet
        self._missing_order.append(sequence)
        if len(self._missing_order) > _MISSING_KEPT:
            self._missing.pop(self._missing_order.popleft(), None)

    def _forget(self, now_ns: int) -> None:
        """Packets of a feedback that was itself lost: nobody will ever say what became of them."""
        while self._out:
            sequence = next(iter(self._out))
            if now_ns - self._out[sequence].sent_ns < _KEPT_NS:
                return
            del self._out[sequence]
            self._unreported += 1

    def numbers(self) -> dict[str, Any]:
        return {
            "packets_acknowledged": self._acknowledged,
            "packets_not_arrived": self._lost,
            "packets_unreported": self._unreported,
        }
