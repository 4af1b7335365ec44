"""RTP headers are read, or refused with a ValueError and nothing else."""

import contextlib

import pytest
from aiortc.rtp import RtpPacket
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.rtp.header import parse_header, signed16, signed32, unwrap_rtx


@given(
    st.booleans(), st.integers(0, 127), st.integers(0, 65_535), st.integers(0, 2**32 - 1), st.binary(max_size=50),
    st.integers(0, 15), st.integers(0, 20),
)  # fmt: skip
def test_what_another_implementation_writes_is_read(
    marker: bool, payload_type: int, sequence: int, timestamp: int, payload: bytes, sources: int, padding: int
) -> None:
    packet = RtpPacket(payload_type, int(marker), sequence, timestamp, 77, payload)
    packet.csrc = list(range(sources))
    packet.padding_size = padding
    data = packet.serialize()
    header = parse_header(data)
    assert header[:5] == (marker, payload_type, sequence, timestamp, 77)
    assert data[header.start : header.end] == payload


def test_header_extensions_are_passed_over() -> None:
    data = b"\x90\x60" + bytes(10) + b"\xbe\xde\x00\x02" + bytes(8) + b"media"
    header = parse_header(data)
    assert data[header.start : header.end] == b"media"


@pytest.mark.parametrize(
    "packet",
    [
        b"",
        b"\x80" * 11,
        bytes(12),
        b"\x8f" + bytes(20),  # sources beyond the end
        b"\x90" + bytes(13),  # no room for the extension's length
        b"\x90" + bytes(11) + b"\xbe\xde\xff\xff",
        b"\xa0" + bytes(11),  # padding of no length
        b"\xa0" + bytes(11) + b"\x09",
    ],
)
def test_packets_that_lie_about_their_length_are_refused(packet: bytes) -> None:
    with pytest.raises(ValueError, match="RTP"):
        parse_header(packet)


@settings(max_examples=500)
@given(st.binary(max_size=64))
def test_random_bytes_never_raise_anything_else(packet: bytes) -> None:
    with contextlib.suppress(ValueError):
        header = parse_header(packet)
        assert 12 <= header.start <= header.end <= len(packet)


def test_a_retransmission_is_unwrapped_and_padding_is_none() -> None:
    assert unwrap_rtx(b"\x12\x34payload") == (0x1234, b"payload")
    assert unwrap_rtx(b"") is None
    assert unwrap_rtx(b"\x01") is None


def test_differences_go_the_shorter_way_round() -> None:
    assert signed16(1 - 65_535) == 2
    assert signed16(65_535 - 1) == -2
    assert signed32(5 - (2**32 - 5)) == 10
