"""A router's address translation on the line, as far as UDP goes: the far end sees other ports, until it forgets them.

The port seen is the port sent from plus an offset. With another offset every mapping is another one, and what still
comes to the old ports reaches nobody: that is what a router does when it has restarted or its table was full.
"""

import struct

_UDP = 17
_PORTS = 1 << 16


class Nat:
    """IPv4; fragments and everything but UDP pass as they are."""

    def __init__(self) -> None:
        self.offset = 0

    def up(self, packet: bytes) -> bytes:
        return self._shifted(packet, 0, self.offset)

    def down(self, packet: bytes) -> bytes:
        return self._shifted(packet, 2, -self.offset)

    def _shifted(self, packet: bytes, which: int, offset: int) -> bytes:
        if not self.offset or len(packet) < 28 or packet[0] >> 4 != 4 or packet[9] != _UDP:
            return packet
        head = (packet[0] & 15) * 4
        at = head + which
        if len(packet) < head + 8 or struct.unpack_from("!H", packet, 6)[0] & 0x1FFF:
            return packet
        changed = bytearray(packet)
        struct.pack_into("!H", changed, at, (struct.unpack_from("!H", packet, at)[0] + offset) % _PORTS)
        # A checksum of zero is none (RFC 768).
        struct.pack_into("!H", changed, head + 6, 0)
        return bytes(changed)
