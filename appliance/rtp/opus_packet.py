"""Read what an Opus packet says of itself without decoding it (RFC 6716 section 3)."""

# Samples at 48 kHz of one frame, by the low two bits of the configuration.
_SILK = (480, 960, 1920, 2880)
_HYBRID = (480, 960, 480, 960)
_CELT = (120, 240, 480, 960)
MAX_SAMPLES = 5760


def duration(packet: bytes) -> int:
    """Samples per channel at 48 kHz; 0: this is no Opus packet."""
    if not packet:
        return 0
    configuration, code = packet[0] >> 3, packet[0] & 3
    table = _CELT if configuration >= 16 else _HYBRID if configuration >= 12 else _SILK
    if code == 3:
        if len(packet) < 2:
            return 0
        frames = packet[1] & 0x3F
    else:
        frames = 1 if code == 0 else 2
    samples = table[configuration & 3] * frames
    return samples if samples <= MAX_SAMPLES else 0


def has_redundancy(packet: bytes) -> bool:
    """Whether it carries a spare copy (LBRR) of the sound of the packet before; of one-frame packets only."""
    if len(packet) < 2 or packet[0] & 0x83:  # CELT only, or several frames
        return False
    configuration = packet[0] >> 3
    table = _HYBRID if configuration >= 12 else _SILK
    frames = max(table[configuration & 3] // 960, 1)
    # One voice activity flag per SILK frame, then the LBRR flag.
    return bool(packet[1] >> (7 - frames) & 1)


def is_silence(packet: bytes) -> bool:
    """Discontinuous transmission: silence follows, and no packets for it."""
    return len(packet) <= 2
