"""The bench's router: ports that the far end sees, and mappings that it forgets."""

import struct

from bench.line.nat import Nat


def udp(source: int, target: int, *, protocol: int = 17, fragment: int = 0) -> bytes:
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 32, 0, fragment, 64, protocol, 0, bytes(4), bytes(4))
    return ip + struct.pack("!HHHH", source, target, 12, 0xBEEF) + b"data"


def ports(packet: bytes) -> tuple[int, int]:
    source, target = struct.unpack_from("!HH", packet, 20)
    return source, target


def test_the_far_end_sees_another_port_and_its_answer_comes_home() -> None:
    nat = Nat()
    nat.offset = 1111
    there = nat.up(udp(40_000, 5000))
    assert ports(there) == (41_111, 5000)
    assert there[26:28] == b"\0\0", "a checksum of zero is none"
    assert there[28:] == b"data"
    assert ports(nat.down(udp(5000, 41_111))) == (5000, 40_000)


def test_after_it_has_forgotten_nothing_comes_home_on_the_old_port() -> None:
    nat = Nat()
    nat.offset = 1111
    nat.up(udp(40_000, 5000))
    nat.offset = 2222
    assert ports(nat.down(udp(5000, 41_111))) != (5000, 40_000)


def test_what_is_not_udp_passes_as_it_is() -> None:
    nat = Nat()
    nat.offset = 1111
    for packet in (b"", b"\x45", udp(1, 2, protocol=6), udp(1, 2, fragment=5), b"\x60" + bytes(60)):
        assert nat.up(packet) == packet
        assert nat.down(packet) == packet
    nat.offset = 0
    assert nat.up(udp(1, 2)) == udp(1, 2)
