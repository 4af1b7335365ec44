"""Redundant audio (RFC 2198): each packet carries those before it once more, so that their loss costs nothing."""

from collections.abc import Sequence
from typing import NamedTuple

MOST_OFFSET = (1 << 14) - 1  # 341 ms at 48 kHz
MOST_LENGTH = (1 << 10) - 1
# More blocks than anybody sends.
_MOST_BLOCKS = 8


class Redundant(NamedTuple):
    """`offset`: how much earlier than the packet's its RTP timestamp is."""

    offset: int
    payload: bytes


def fits(redundant: Redundant) -> bool:
    """Whether the header's fields can describe it."""
    return 0 < redundant.offset <= MOST_OFFSET and len(redundant.payload) <= MOST_LENGTH


def pack(payload_type: int, primary: bytes, redundant: Sequence[Redundant]) -> bytes:
    """A payload of `primary` and, oldest first, what came before it; all of one payload type."""
    heads = [
        (1 << 31 | payload_type << 24 | offset << 10 | len(payload)).to_bytes(4, "big") for offset, payload in redundant
    ]
    return b"".join((*heads, bytes((payload_type,)), *(payload for _, payload in redundant), primary))


def unpack(payload: bytes, payload_type: int) -> tuple[bytes, list[Redundant]]:
    """The primary payload and the redundant ones, oldest first. ValueError: garbage, or the primary is of another kind.

    Redundant blocks of another payload type are left out.
    """
    heads: list[tuple[int, int, int]] = []
    at = 0
    while at < len(payload) and payload[at] & 0x80:
        if at + 4 > len(payload) or len(heads) == _MOST_BLOCKS:
            raise ValueError("RED header is cut short or too long")
        head = int.from_bytes(payload[at : at + 4], "big")
        heads.append((head >> 24 & 0x7F, head >> 10 & MOST_OFFSET, head & MOST_LENGTH))
        at += 4
    if at >= len(payload) or payload[at] != payload_type:
        raise ValueError("RED packet has no primary block of the stream's payload type")
    at += 1
    found = []
    for kind, offset, length in heads:
        if at + length > len(payload):
            raise ValueError("RED block is cut short")
        if kind == payload_type and length and offset:
            found.append(Redundant(offset, payload[at : at + length]))
        at += length
    return payload[at:], found


class Redundancy:
    """The sender's side: how much is repeated follows what the far end reports as lost. Pure."""

    # Of reported losses: from here on each packet carries the one before it, and from there on two.
    ONE, TWO = 0.01, 0.04
    # Each report (about a second) leaves this much of what earlier ones said.
    _MEMORY = 0.9
    # Which ones: with two, the third last instead of the second last, so that three lost in a row all come again.
    _BACK: tuple[tuple[int, ...], ...] = ((), (1,), (3, 1))
    _KEPT = 3

    def __init__(self) -> None:
        self._loss = 0.0
        self._sent: list[tuple[int, bytes]] = []  # RTP timestamp and packet, oldest first

    @property
    def depth(self) -> int:
        """How many earlier packets each packet carries."""
        if self._loss < self.ONE:
            return 0
        return 1 if self._loss < self.TWO else 2

    def reported(self, fraction_lost: float) -> None:
        """A receiver report: at once when losses begin, slowly when they seem to have ended."""
        self._loss = max(fraction_lost, self._MEMORY * self._loss)

    def wrap(self, payload_type: int, timestamp: int, packet: bytes) -> bytes | None:
        """The RED payload of the next packet; None: it goes alone."""
        earlier = [self._sent[-back] for back in self._BACK[self.depth] if back <= len(self._sent)]
        self._sent = [*self._sent, (timestamp, packet)][-self._KEPT :]
        blocks = [Redundant((timestamp - then) & 0xFFFFFFFF, payload) for then, payload in earlier]
        blocks = [block for block in blocks if fits(block)]
        return pack(payload_type, packet, blocks) if blocks else None
