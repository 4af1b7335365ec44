"""The RTCP of transport-wide congestion control: when each packet of a bundle has arrived, read and written.

The format is draft-holmer-rmcat-transport-wide-cc-extensions-01 section 3.1, as libwebrtc and the SFUs speak it.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from . import rtcp

TRANSPORT_CC = 15  # FMT of RTPFB
TICK_NS = 250_000
REFERENCE_NS = 64_000_000
REFERENCE_WRAP = 1 << 24
MOST_PACKETS = 0xFFFF
# With headers and SRTP below 1280 bytes, IPv6's least MTU.
_MOST_BYTES = 1100

_HEAD = struct.Struct("!HHI")
_CHUNK = struct.Struct("!H")
_LARGE = struct.Struct("!h")
_NOT_RECEIVED, _SMALL, _LARGE_DELTA = 0, 1, 2
_MOST_RUN = 0x1FFF
_PER_ONE_BIT, _PER_TWO_BIT = 14, 7


@dataclass(frozen=True, slots=True)
class TransportFeedback:
    """`arrivals[i]`: when packet `base + i` came, in ns since the receiver's reference of zero; None: not yet.

    `reference` counts 64 ms, modulo 2^24; `number` counts these packets, modulo 256.
    """

    base: int
    number: int
    reference: int
    arrivals: Sequence[int | None]


def parse(body: bytes) -> TransportFeedback:
    """The feedback in the body of an RTPFB packet. ValueError when it is malformed."""
    if len(body) < 16:
        raise ValueError("transport-cc feedback is cut short")
    base, count, packed = _HEAD.unpack_from(body, 8)
    reference, number = packed >> 8, packed & 0xFF
    statuses, offset = _statuses(body, count)
    now_ns = reference * REFERENCE_NS
    arrivals: list[int | None] = []
    end = len(body)
    for status in statuses:
        if status == _NOT_RECEIVED:
            arrivals.append(None)
            continue
        if status == _SMALL:
            if offset >= end:
                raise ValueError("transport-cc feedback lacks times")
            now_ns += body[offset] * TICK_NS
            offset += 1
        elif status == _LARGE_DELTA:
            if offset + 2 > end:
                raise ValueError("transport-cc feedback lacks times")
            now_ns += int(_LARGE.unpack_from(body, offset)[0]) * TICK_NS
            offset += 2
        else:
            raise ValueError("transport-cc feedback has a reserved status")
        arrivals.append(now_ns)
    return TransportFeedback(base, number, reference, arrivals)


def _statuses(body: bytes, count: int) -> tuple[list[int], int]:
    """The status of each packet, and where their times begin."""
    statuses: list[int] = []
    offset = 16
    while len(statuses) < count:
        if offset + 2 > len(body):
            raise ValueError("transport-cc feedback is cut short")
        (chunk,) = _CHUNK.unpack_from(body, offset)
        offset += 2
        if not chunk & 0x8000:
            run = chunk & _MOST_RUN
            if run == 0:
                raise ValueError("transport-cc feedback has an empty run")
            statuses += [chunk >> 13 & 3] * run
        elif chunk & 0x4000:
            statuses += [chunk >> shift & 3 for shift in range(12, -1, -2)]
        else:
            statuses += [chunk >> shift & 1 for shift in range(13, -1, -1)]
    del statuses[count:]
    return statuses, offset


def write(sender: int, media: int, base: int, number: int, arrivals: Sequence[int | None]) -> tuple[bytes, int]:
    """(RTCP packet, how many of the packets it tells of): a later one must tell of those that do not fit.

    `arrivals[i]`: when packet `base + i` came, in ns of a clock that never goes back; None: it did not come.
    """
    first_ns = next((at_ns for at_ns in arrivals if at_ns is not None), 0)
    reference = first_ns // REFERENCE_NS
    told_ns = reference * REFERENCE_NS
    statuses: list[int] = []
    deltas = bytearray()
    for at_ns in arrivals[:MOST_PACKETS]:
        if at_ns is None:
            statuses.append(_NOT_RECEIVED)
            continue
        ticks = (at_ns - told_ns) // TICK_NS
        # Two bits a packet are the most that its status takes.
        if not -0x8000 <= ticks < 0x8000 or len(deltas) + len(statuses) // 3 > _MOST_BYTES:
            break
        told_ns += ticks * TICK_NS
        if 0 <= ticks <= 0xFF:
            statuses.append(_SMALL)
            deltas.append(ticks)
        else:
            statuses.append(_LARGE_DELTA)
            deltas += _LARGE.pack(ticks)
    head = _HEAD.pack(base & 0xFFFF, len(statuses), reference % REFERENCE_WRAP << 8 | number & 0xFF)
    body = struct.pack("!II", sender, media) + head + _chunks(statuses) + bytes(deltas)
    padding = -len(body) % 4
    if padding:
        body += bytes(padding - 1) + bytes((padding,))
    packet = bytearray(rtcp.packet(rtcp.RTPFB, TRANSPORT_CC, body))
    if padding:
        packet[0] |= 0x20
    return bytes(packet), len(statuses)


def _chunks(statuses: list[int]) -> bytes:
    """Runs where they pay, else one bit a packet, or two where a time is large."""
    out = bytearray()
    at, end = 0, len(statuses)
    while at < end:
        status = statuses[at]
        run = 1
        while run < _MOST_RUN and at + run < end and statuses[at + run] == status:
            run += 1
        if run >= _PER_ONE_BIT or at + run == end:
            out += _CHUNK.pack(status << 13 | run)
            at += run
            continue
        part = statuses[at : at + _PER_ONE_BIT]
        if max(part) <= _SMALL:
            part += [_NOT_RECEIVED] * (_PER_ONE_BIT - len(part))
            out += _CHUNK.pack(0x8000 | sum(bit << 13 - place for place, bit in enumerate(part)))
            at += _PER_ONE_BIT
            continue
        part = part[:_PER_TWO_BIT]
        part += [_NOT_RECEIVED] * (_PER_TWO_BIT - len(part))
        out += _CHUNK.pack(0xC000 | sum(bits << 12 - 2 * place for place, bits in enumerate(part)))
        at += _PER_TWO_BIT
    return bytes(out)
