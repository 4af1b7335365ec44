"""Read the RTP header (RFC 3550 section 5.1) as far as a receiver needs it, and count past the wraps of its fields."""

import struct
from typing import NamedTuple

_FIXED = struct.Struct("!BBHII")
_EXTENSION = struct.Struct("!HH")


class RtpHeader(NamedTuple):
    """The payload is `packet[start:end]`: extensions are before it, padding is behind it."""

    marker: bool
    payload_type: int
    sequence: int
    timestamp: int
    ssrc: int
    start: int
    end: int


def parse_header(packet: bytes) -> RtpHeader:
    """ValueError when the packet is no RTP packet."""
    end = len(packet)
    if end < 12:
        raise ValueError("RTP packet is cut short")
    first, second, sequence, timestamp, ssrc = _FIXED.unpack_from(packet)
    if first >> 6 != 2:
        raise ValueError("RTP version is wrong")
    start = 12
    if first & 0x3F:
        start += 4 * (first & 0x0F)
        if first & 0x10:
            if start + 4 > end:
                raise ValueError("RTP header extension is cut short")
            start += 4 + 4 * int(_EXTENSION.unpack_from(packet, start)[1])
        if first & 0x20:
            padding = packet[-1]
            if padding == 0:
                raise ValueError("RTP padding is wrong")
            end -= padding
        if start > end:
            raise ValueError("RTP packet is cut short")
    return RtpHeader(second >= 0x80, second & 0x7F, sequence, timestamp, ssrc, start, end)


def find_extension(packet: bytes, number: int) -> bytes | None:
    """The header extension element of that id (RFC 8285), one-byte or two-byte form; garbage yields None."""
    if len(packet) < 16 or not packet[0] & 0x10:
        return None
    start = 12 + 4 * (packet[0] & 0x0F)
    if start + 4 > len(packet):
        return None
    profile, words = _EXTENSION.unpack_from(packet, start)
    at = start + 4
    end = min(at + 4 * words, len(packet))
    if profile == 0xBEDE:
        while at < end:
            head = packet[at]
            at += 1
            if head == 0:  # padding
                continue
            if head >> 4 == 15:
                return None
            length = (head & 0x0F) + 1
            if head >> 4 == number:
                return packet[at : at + length] if at + length <= end else None
            at += length
    elif profile & 0xFFF0 == 0x1000:
        while at + 1 < end:
            known, length = packet[at], packet[at + 1]
            if known == 0:
                at += 1
                continue
            at += 2
            if known == number:
                return packet[at : at + length] if at + length <= end else None
            at += length
    return None


def unwrap_rtx(payload: bytes) -> tuple[int, bytes] | None:
    """(sequence number, payload) of the packet that an RTX payload repeats (RFC 4588); None: padding only."""
    if len(payload) < 2:
        return None
    return payload[0] << 8 | payload[1], payload[2:]


def signed16(difference: int) -> int:
    """The difference of two 16-bit counters as the shorter way round."""
    return ((difference + 0x8000) & 0xFFFF) - 0x8000


def signed32(difference: int) -> int:
    """The difference of two 32-bit counters as the shorter way round."""
    return ((difference + 0x80000000) & 0xFFFFFFFF) - 0x80000000
