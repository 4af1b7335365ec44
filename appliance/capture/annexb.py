"""What must be known of an H.264 access unit without decoding it: which NAL units it has, and its profile."""

from collections.abc import Iterator

NAL_IDR, NAL_SEI, NAL_SPS, NAL_PPS = 5, 6, 7, 8


def nal_units(data: bytes) -> Iterator[bytes]:
    """The NAL units of an Annex B stream, without their start codes (H.264 annex B)."""
    start = data.find(b"\x00\x00\x01")
    while start >= 0:
        following = data.find(b"\x00\x00\x01", start + 3)
        unit = data[start + 3 :] if following < 0 else data[start + 3 : following]
        # Zeros before the next start code belong to it, or are padding.
        unit = unit.rstrip(b"\x00")
        if unit:
            yield unit
        start = following


def nal_types(data: bytes) -> list[int]:
    """The types of the NAL units, in order."""
    return [unit[0] & 0x1F for unit in nal_units(data)]


def is_constrained_baseline(sps: bytes) -> bool:
    """Whether a decoder that promised profile 42e0 can decode a stream with this parameter set (H.264 A.2.1.1)."""
    if len(sps) < 4 or sps[0] & 0x1F != NAL_SPS:
        return False
    profile, constraints = sps[1], sps[2]
    return bool(constraints & 0x40) if profile == 66 else profile in (77, 88) and constraints & 0xC0 == 0xC0
