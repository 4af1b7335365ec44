"""Short bursts that measure whether the line carries more than the picture needs just now.

A still test card or a low rung of the ladder proves nothing of a higher rate. Packets sent before are repeated in the
repair stream (RFC 4588), which a receiver drops, for about an eighth of a second at the rate in question.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from appliance.media.clock import NS_PER_S

from .flight import Acknowledged

BURST_NS = 120_000_000
LEAST_PACKETS = 6
_EVERY_NS = 2 * NS_PER_S
_MOST_EVERY_NS = 10 * NS_PER_S
_WAIT_NS = NS_PER_S


@dataclass(slots=True)
class _Burst:
    number: int
    bps: float
    begun_ns: int
    first_ns: int = 0
    last_ns: int = 0
    bits: int = 0
    packets: int = 0


class Prober:
    """Pure: one burst at a time."""

    def __init__(self) -> None:
        self._number = 0
        self._burst: _Burst | None = None
        self._next_ns = 0
        self._every_ns = _EVERY_NS
        self._done = 0
        self._good = 0

    @property
    def number(self) -> int:
        """What the packets of the burst of now are marked with."""
        return self._number

    def begin(self, bps: float, now_ns: int) -> int | None:
        if self._burst is not None or now_ns < self._next_ns:
            return None
        self._number += 1
        self._burst = _Burst(self._number, bps, now_ns)
        self._next_ns = now_ns + self._every_ns
        return int(bps)

    def measured(self, arrived: Iterable[Acknowledged], now_ns: int) -> int | None:
        """The rate at which the burst came through, once all of it that will come has come."""
        burst = self._burst
        if burst is None:
            return None
        for packet in arrived:
            if packet.probe != burst.number:
                continue
            if not burst.packets:
                burst.first_ns = burst.last_ns = packet.arrival_ns
            else:
                burst.bits += packet.bits
            burst.first_ns = min(burst.first_ns, packet.arrival_ns)
            burst.last_ns = max(burst.last_ns, packet.arrival_ns)
            burst.packets += 1
        if now_ns - burst.begun_ns < _WAIT_NS:
            return None
        self._burst = None
        self._done += 1
        span_ns = burst.last_ns - burst.first_ns
        if burst.packets < LEAST_PACKETS or span_ns <= 0:
            self._every_ns = min(2 * self._every_ns, _MOST_EVERY_NS)
            return None
        # No faster than it was sent, however close together a radio link hands the packets over.
        measured = min(burst.bits * NS_PER_S / span_ns, burst.bps)
        good = measured >= 0.8 * burst.bps
        self._good += good
        self._every_ns = _EVERY_NS if good else min(2 * self._every_ns, _MOST_EVERY_NS)
        return int(measured)

    def numbers(self) -> dict[str, Any]:
        return {"probes": self._done, "probes_good": self._good}
