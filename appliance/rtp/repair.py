"""What was sent, to be sent again on request: how much is kept, and when a request is not worth its bits."""

from dataclasses import dataclass
from enum import Enum, auto

from appliance.media.clock import NS_PER_S

HISTORY = 1024  # a large keyframe has some hundred packets; fewer could not repair it
# A receiver repeats its request until the packet is there; what is on its way is not sent again.
RESEND_GAP_NS = 15_000_000
_GAP_OF_RTT = 0.8
MOST_RESENDS = 6
# After this long no receiver waits for it any more: it has asked for a keyframe.
HOPELESS_NS = NS_PER_S
# Of the rate, repetitions may take this much in the long run, and at once a keyframe's worth of it (in seconds):
# they go first, and new pictures wait meanwhile.
_SHARE, _BURST_S = 0.5, 0.3


class Verdict(Enum):
    SEND = auto()
    UNKNOWN = auto()
    ON_ITS_WAY = auto()
    HOPELESS = auto()
    TOO_DEAR = auto()


@dataclass(slots=True)
class _Kept:
    sequence: int
    packet: bytes
    sent_ns: int
    resent_ns: int = 0
    times: int = 0


class ResendHistory:
    """The newest packets by their RTP sequence number. Pure: the caller has clock and line."""

    def __init__(self) -> None:
        self._slots: list[_Kept | None] = [None] * HISTORY
        self._newest: _Kept | None = None
        self._credit_bits = 0.0
        self._paid_ns: int | None = None

    def keep(self, sequence: int, packet: bytes, now_ns: int) -> None:
        self._newest = self._slots[sequence % HISTORY] = _Kept(sequence, packet, now_ns)

    def get(self, sequence: int) -> bytes | None:
        kept = self._slots[sequence % HISTORY]
        return kept.packet if kept is not None and kept.sequence == sequence else None

    def copies(self, sequence: int) -> int:
        """How often to send it now: twice what was asked for in vain, for the line loses and time is short."""
        kept = self._slots[sequence % HISTORY]
        return 2 if kept is not None and kept.times > 1 else 1

    @property
    def newest(self) -> bytes | None:
        return None if self._newest is None else self._newest.packet

    def requested(self, sequence: int, now_ns: int, *, rtt_ns: int, target_bps: int) -> Verdict:
        """Whether to send it again; SEND counts as sent."""
        kept = self._slots[sequence % HISTORY]
        if kept is None or kept.sequence != sequence:
            return Verdict.UNKNOWN
        if kept.times and now_ns - kept.resent_ns < max(RESEND_GAP_NS, int(rtt_ns * _GAP_OF_RTT)):
            return Verdict.ON_ITS_WAY
        if kept.times >= MOST_RESENDS or now_ns - kept.sent_ns > HOPELESS_NS + rtt_ns:
            return Verdict.HOPELESS
        self._pay(now_ns, target_bps)
        if self._credit_bits <= 0:
            return Verdict.TOO_DEAR
        self._credit_bits -= 8 * len(kept.packet)
        kept.resent_ns = now_ns
        kept.times += 1
        return Verdict.SEND

    def _pay(self, now_ns: int, target_bps: int) -> None:
        most = target_bps * _BURST_S
        if self._paid_ns is None:
            self._credit_bits = most
        else:
            self._credit_bits += _SHARE * target_bps * (now_ns - self._paid_ns) / NS_PER_S
        self._credit_bits = min(self._credit_bits, most)
        self._paid_ns = now_ns
