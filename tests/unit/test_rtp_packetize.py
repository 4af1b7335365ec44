"""H.264 access units to RTP payloads (RFC 6184) and back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.rtp.packetize import MAX_PAYLOAD, nal_units, payloads

from .rtp_fakes import PPS, SPS, START, encoded_pictures


def reassemble(parts: list[bytes]) -> list[bytes]:
    """A receiver's reading of RFC 6184."""
    units: list[bytes] = []
    for part in parts:
        kind = part[0] & 0x1F
        if kind == 24:
            offset = 1
            while offset < len(part):
                size = int.from_bytes(part[offset : offset + 2], "big")
                units.append(part[offset + 2 : offset + 2 + size])
                offset += 2 + size
        elif kind == 28:
            if part[1] & 0x80:
                units.append(bytes((part[0] & 0xE0 | part[1] & 0x1F,)))
            units[-1] += part[2:]
        else:
            units.append(part)
    return units


NAL = st.builds(
    lambda kind, body: bytes((0x60 | kind,)) + body.replace(b"\0", b"\1"),
    st.sampled_from((1, 5, 6, 7, 8, 9)),
    st.binary(min_size=1, max_size=4000),
)


@given(st.lists(NAL, min_size=1, max_size=8))
def test_every_access_unit_comes_out_as_it_went_in(units: list[bytes]) -> None:
    parts = payloads(b"".join(START + unit for unit in units))
    assert reassemble(parts) == units
    assert all(0 < len(part) <= MAX_PAYLOAD for part in parts)


def test_real_pictures_come_out_as_they_went_in() -> None:
    for data in encoded_pictures(20):
        assert reassemble(payloads(data)) == nal_units(data)


def test_parameter_sets_share_one_packet() -> None:
    slice_ = b"\x65" + b"\x22" * 500
    parts = payloads(START + SPS + START + PPS + START + slice_)
    assert len(parts) == 2
    assert parts[0][0] & 0x1F == 24
    assert parts[0][0] & 0x60 == 0x60
    assert parts[1] == slice_


def test_a_large_slice_is_cut_evenly() -> None:
    parts = payloads(START + b"\x65" + b"\x22" * 5000)
    sizes = [len(part) for part in parts]
    assert len(parts) == 5
    assert max(sizes) - min(sizes) <= 1
    assert [part[1] & 0xC0 for part in parts] == [0x80, 0, 0, 0, 0x40]


@pytest.mark.parametrize("start", [b"\0\0\1", b"\0\0\0\1", b"\0\0\0\0\1"])
def test_start_codes_of_every_length_are_understood(start: bytes) -> None:
    assert nal_units(start + SPS + start + PPS + b"\0\0") == [SPS, PPS]


@given(st.binary(max_size=3000))
def test_garbage_gives_no_or_valid_payloads(data: bytes) -> None:
    assert all(0 < len(part) <= MAX_PAYLOAD for part in payloads(data))
