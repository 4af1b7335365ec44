"""Read and write RTCP (RFC 3550, 4585, 5104, REMB): plain functions on bytes; garbage yields nothing or ValueError."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

SR, RR, SDES, BYE, RTPFB, PSFB = 200, 201, 202, 203, 205, 206
NACK = 1  # RTPFB
PLI, FIR, ALFB = 1, 4, 15  # PSFB; REMB is an application layer feedback

_HEADER = struct.Struct("!BBH")
_REPORT = struct.Struct("!IIIIII")
_SENDER = struct.Struct("!IQIII")
_PAIR = struct.Struct("!HH")
_TWO = struct.Struct("!II")


@dataclass(frozen=True, slots=True)
class ReportBlock:
    """What a receiver says of one stream (RFC 3550 section 6.4.1)."""

    ssrc: int
    fraction_lost: int
    packets_lost: int
    highest_sequence: int
    jitter: int
    lsr: int
    dlsr: int


def split(compound: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Cut a compound packet into (packet type, count field, body without padding). ValueError ends it."""
    offset = 0
    while offset < len(compound):
        if len(compound) - offset < 4:
            raise ValueError("RTCP header is cut short")
        first, packet_type, words = _HEADER.unpack_from(compound, offset)
        end = offset + 4 + 4 * words
        if first >> 6 != 2 or end > len(compound):
            raise ValueError("RTCP version or length is wrong")
        body = compound[offset + 4 : end]
        if first & 0x20:
            if not body or not 0 < body[-1] <= len(body):
                raise ValueError("RTCP padding is wrong")
            body = body[: -body[-1]]
        yield packet_type, first & 0x1F, body
        offset = end


def packet(packet_type: int, count: int, body: bytes) -> bytes:
    return _HEADER.pack(0x80 | count, packet_type, len(body) // 4) + body


def report_blocks(packet_type: int, count: int, body: bytes) -> list[ReportBlock]:
    """The report blocks of an SR or RR."""
    offset = 24 if packet_type == SR else 4
    if len(body) < offset + 24 * count:
        raise ValueError("RTCP report is cut short")
    blocks = []
    for start in range(offset, offset + 24 * count, 24):
        ssrc, loss, highest, jitter, lsr, dlsr = _REPORT.unpack_from(body, start)
        lost = loss & 0xFFFFFF
        blocks.append(
            ReportBlock(ssrc, loss >> 24, lost - (1 << 24) if lost & 0x800000 else lost, highest, jitter, lsr, dlsr)
        )
    return blocks


def sender_report(ssrc: int, ntp: int, rtp: int, packets: int, octets: int) -> bytes:
    return packet(SR, 0, _SENDER.pack(ssrc, ntp, rtp, packets & 0xFFFFFFFF, octets & 0xFFFFFFFF))


def parse_sender_report(body: bytes) -> tuple[int, int, int]:
    """(SSRC, NTP timestamp, RTP timestamp)."""
    if len(body) < 24:
        raise ValueError("RTCP sender report is cut short")
    ssrc, ntp, rtp, _, _ = _SENDER.unpack_from(body)
    return ssrc, ntp, rtp


def receiver_report(ssrc: int, blocks: list[ReportBlock]) -> bytes:
    body = struct.pack("!I", ssrc)
    for block in blocks:
        lost = max(-0x800000, min(block.packets_lost, 0x7FFFFF)) & 0xFFFFFF
        loss = block.fraction_lost << 24 | lost
        body += _REPORT.pack(block.ssrc, loss, block.highest_sequence, block.jitter, block.lsr, block.dlsr)
    return packet(RR, len(blocks), body)


def source_description(ssrc: int, cname: str) -> bytes:
    name = cname.encode()[:255]
    chunk = struct.pack("!IBB", ssrc, 1, len(name)) + name + b"\0"
    return packet(SDES, 1, chunk + bytes(-len(chunk) % 4))


def bye(ssrcs: list[int]) -> bytes:
    return packet(BYE, len(ssrcs), struct.pack(f"!{len(ssrcs)}I", *ssrcs))


def feedback_ssrcs(body: bytes) -> tuple[int, int]:
    """(sender of the feedback, media it speaks of) of an RTPFB or PSFB packet."""
    if len(body) < 8:
        raise ValueError("RTCP feedback is cut short")
    sender, media = _TWO.unpack_from(body)
    return sender, media


def nack(sender: int, media: int, lost: list[int]) -> bytes:
    """`lost`: sequence numbers in order (RFC 4585 section 6.2.1)."""
    pairs: list[list[int]] = []
    for sequence in lost:
        distance = (sequence - pairs[-1][0] - 1) & 0xFFFF if pairs else 16
        if distance < 16:
            pairs[-1][1] |= 1 << distance
        else:
            pairs.append([sequence, 0])
    return packet(RTPFB, NACK, _TWO.pack(sender, media) + b"".join(_PAIR.pack(*pair) for pair in pairs))


def parse_nack(body: bytes) -> Iterator[int]:
    """The sequence numbers a generic NACK asks for."""
    for offset in range(8, len(body) - 3, 4):
        first, following = _PAIR.unpack_from(body, offset)
        yield first
        for bit in range(16):
            if following >> bit & 1:
                yield (first + bit + 1) & 0xFFFF


def pli(sender: int, media: int) -> bytes:
    return packet(PSFB, PLI, _TWO.pack(sender, media))


def fir(sender: int, media: int, number: int) -> bytes:
    return packet(PSFB, FIR, _TWO.pack(sender, 0) + struct.pack("!IB3x", media, number & 0xFF))


def parse_fir(body: bytes) -> list[int]:
    """The SSRCs asked for a keyframe: in the FCI, for the header's media SSRC is 0 (RFC 5104 section 4.3.1.2)."""
    return [ssrc for ssrc, _ in struct.iter_unpack("!II", body[8 : 8 + (len(body) - 8) // 8 * 8])]


def remb(sender: int, bitrate: int, ssrcs: list[int]) -> bytes:
    exponent = max(bitrate.bit_length() - 18, 0)
    mantissa = bitrate >> exponent
    fci = struct.pack("!4sBBH", b"REMB", len(ssrcs), exponent << 2 | mantissa >> 16, mantissa & 0xFFFF)
    return packet(PSFB, ALFB, _TWO.pack(sender, 0) + fci + struct.pack(f"!{len(ssrcs)}I", *ssrcs))


def parse_remb(body: bytes) -> tuple[int, tuple[int, ...]] | None:
    """(bits per second, SSRCs) or None when it is another application's feedback."""
    if len(body) < 16 or body[8:12] != b"REMB":
        return None
    count, high, low = struct.unpack_from("!BBH", body, 12)
    if len(body) < 16 + 4 * count:
        raise ValueError("REMB is cut short")
    return ((high & 3) << 16 | low) << (high >> 2), struct.unpack_from(f"!{count}I", body, 16)
