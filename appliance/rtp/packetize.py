"""Cut H.264 access units into RTP payloads (RFC 6184, packetization mode 1) of a size that fits every path."""

MAX_PAYLOAD = 1200  # with RTP, SRTP, UDP, IP and TURN around it still below 1280, IPv6's least MTU
_STAP_A = 24
_FU_A = 28
_AGGREGATED = frozenset((6, 7, 8, 9))  # SEI, SPS, PPS, access unit delimiter: small, and needed together


def nal_units(data: bytes) -> list[bytes]:
    """The NAL units of an Annex B byte stream, without start codes and zero padding."""
    units = []
    start = data.find(b"\0\0\1")
    while start >= 0:
        following = data.find(b"\0\0\1", start + 3)
        # A NAL unit never ends in zero: what does is a 4-byte start code's first byte, or padding.
        unit = data[start + 3 : following if following >= 0 else len(data)].rstrip(b"\0")
        if unit:
            units.append(unit)
        start = following
    return units


def payloads(data: bytes, limit: int = MAX_PAYLOAD) -> list[bytes]:
    """The payloads of one access unit, in order; empty when `data` holds no NAL unit."""
    result: list[bytes] = []
    small: list[bytes] = []
    size = 1
    for unit in nal_units(data):
        if unit[0] & 0x1F in _AGGREGATED and len(unit) + 3 <= limit:
            if size + 2 + len(unit) > limit:
                result.append(_aggregate(small))
                small, size = [], 1
            small.append(unit)
            size += 2 + len(unit)
            continue
        if small:
            result.append(_aggregate(small))
            small, size = [], 1
        if len(unit) <= limit:
            result.append(unit)
        else:
            result += _fragments(unit, limit)
    if small:
        result.append(_aggregate(small))
    return result


def _aggregate(units: list[bytes]) -> bytes:
    if len(units) == 1:
        return units[0]
    # F is set if any unit's is, NRI is the highest (RFC 6184 section 5.7).
    forbidden = max(unit[0] & 0x80 for unit in units)
    importance = max(unit[0] & 0x60 for unit in units)
    parts = [bytes((forbidden | importance | _STAP_A,))]
    for unit in units:
        parts += (len(unit).to_bytes(2, "big"), unit)
    return b"".join(parts)


def _fragments(unit: bytes, limit: int) -> list[bytes]:
    room = limit - 2
    body = len(unit) - 1
    count = -(-body // room)
    # Even sizes: a short last fragment would cost a packet's overhead for nothing.
    size, longer = divmod(body, count)
    indicator = unit[0] & 0xE0 | _FU_A
    kind = unit[0] & 0x1F
    result = []
    start = 1
    for index in range(count):
        end = start + size + (1 if index < longer else 0)
        mark = 0x80 if index == 0 else 0x40 if index == count - 1 else 0
        result.append(bytes((indicator, mark | kind)) + unit[start:end])
        start = end
    return result
