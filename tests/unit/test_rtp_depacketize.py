"""RTP payloads become access units again, and nothing that is malformed becomes one."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.rtp import packetize
from appliance.rtp.depacketize import START_CODE, AccessUnit, H264Assembler, Role, parameter_sets, role_of

from .rtp_fakes import PPS, SPS, START, picture

IDR = b"\x65\x88\x84\x21"
SLICE = b"\x41\x9a\x02"


def feed(payloads: list[bytes], assembler: H264Assembler | None = None) -> list[AccessUnit]:
    assembler = assembler or H264Assembler()
    out: list[AccessUnit] = []
    for number, payload in enumerate(payloads):
        assembler.feed(90, number == len(payloads) - 1, payload, out)
    return out


def stap(*units: bytes) -> bytes:
    return b"\x78" + b"".join(len(unit).to_bytes(2, "big") + unit for unit in units)


@settings(max_examples=60)
@given(size=st.integers(1, 20_000), limit=st.integers(60, 1400), seed=st.integers(0, 1000))
def test_what_is_packetized_comes_out_as_it_was(size: int, limit: int, seed: int) -> None:
    data = picture(size, keyframe=True, seed=seed).data
    (unit,) = feed(packetize.payloads(data, limit))
    assert unit == AccessUnit(data, 90, is_keyframe=True)


def test_an_aggregate_of_everything_is_a_keyframe() -> None:
    (unit,) = feed([stap(SPS, PPS, IDR)])
    assert unit.data == START.join((b"", SPS, PPS, IDR))
    assert unit.is_keyframe


def test_a_keyframe_without_parameter_sets_waits_for_them() -> None:
    assembler = H264Assembler()
    assert not feed([IDR], assembler)
    assert assembler.seeking
    assert feed([SPS, PPS, IDR], assembler)
    (unit,) = feed([IDR], assembler)
    assert unit.data == START.join((b"", SPS, PPS, IDR))


def test_parameter_sets_of_the_session_description_serve() -> None:
    sets = parameter_sets("Z0LAHxEREREREREREREREQ==,aM48gA==")
    assert sets.startswith(START_CODE + b"\x67")
    (unit,) = feed([IDR], H264Assembler(sets))
    assert unit.data == sets + START_CODE + IDR


@pytest.mark.parametrize("text", ["", "!", ",,,", "AAAA", "Z0LA,%%%", "Z" * 100_000])
def test_unreadable_parameter_sets_are_left_out(text: str) -> None:
    assert len(parameter_sets(text)) < 10_000


@pytest.mark.parametrize(
    "payload",
    [
        b"\x00",  # type 0
        b"\x7e\x01",  # type 30
        b"\x79\x00\x00\x00\x01\x41",  # STAP-B
        b"\x78",  # empty aggregate
        b"\x78\x00",
        b"\x78\x00\x09\x65\x88",  # longer than the packet
        b"\x78\x00\x00",  # empty unit
        b"\x78\x00\x01\x78",  # aggregate in an aggregate
        b"\x7c\x85",  # fragment without content
        b"\x7c\x45\x00",  # the end of what has no beginning
        b"\x7c\x9c\x00",  # a fragmented fragment
    ],
)
def test_malformed_payloads_cost_their_picture_only(payload: bytes) -> None:
    assembler = H264Assembler()
    feed([SPS, PPS, IDR], assembler)
    assert not feed([SLICE, payload, SLICE], assembler)
    assert assembler.malformed == 1
    assert assembler.seeking
    assert feed([SPS, PPS, IDR], assembler)


def test_a_picture_cut_off_in_a_fragment_is_not_shown() -> None:
    assembler = H264Assembler()
    assert not feed([SPS, PPS, b"\x7c\x85\x88\x01"], assembler)
    assert assembler.malformed == assembler.dropped == 1


def test_pictures_before_the_first_keyframe_are_not_shown() -> None:
    assembler = H264Assembler()
    assert not feed([SLICE], assembler)
    assert feed([SPS, PPS, IDR], assembler)
    assert [unit.is_keyframe for unit in feed([SLICE], assembler)] == [False]


def test_the_second_slice_of_a_keyframe_is_no_beginning() -> None:
    assembler = H264Assembler(START_CODE + SPS)
    assembler.jump()
    # first_mb_in_slice is not 0
    assert not feed([b"\x65\x08\x80"], assembler)
    assert assembler.seeking


@pytest.mark.parametrize(
    ("payload", "role"),
    [
        (b"", Role.OTHER),
        (SLICE, Role.OTHER),
        (b"\x09\x10", Role.OTHER),
        (SPS, Role.KEYFRAME_START),
        (stap(b"\x09\x10", SPS, PPS), Role.KEYFRAME_START),
        (stap(PPS, IDR), Role.KEYFRAME_PART),
        (stap(SLICE, SLICE), Role.OTHER),
        (b"\x78\x00", Role.OTHER),
        (IDR, Role.IDR_START),
        (b"\x65", Role.KEYFRAME_PART),
        (b"\x65\x08", Role.KEYFRAME_PART),
        (b"\x7c\x85\x88", Role.IDR_START),
        (b"\x7c\x05\x88", Role.KEYFRAME_PART),
        (b"\x7c\x81\x9a", Role.OTHER),
        (b"\x7c", Role.OTHER),
        (PPS, Role.KEYFRAME_PART),
    ],
)
def test_a_payload_tells_what_it_is_to_who_seeks_a_keyframe(payload: bytes, role: Role) -> None:
    assert role_of(payload) is role


@settings(max_examples=300)
@given(st.lists(st.tuples(st.integers(0, 2), st.booleans(), st.binary(max_size=30)), max_size=30))
def test_random_payloads_never_raise(payloads: list[tuple[int, bool, bytes]]) -> None:
    assembler = H264Assembler()
    out: list[AccessUnit] = []
    for timestamp, marker, payload in payloads:
        role_of(payload)
        assembler.feed(timestamp, marker, payload, out)
    if out:
        assert out[0].is_keyframe
