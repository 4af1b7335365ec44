"""The picture's jitter buffer: at once on a clean line, bounded on a bad one, and never a broken picture."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.rtp import packetize
from appliance.rtp.depacketize import MAX_UNIT_BYTES
from appliance.rtp.video_buffer import LEAST_TAIL_NS, MAX_HELD, VideoBuffer

from .rtp_fakes import PPS, SPS, START, picture
from .rtp_line import MS, Line

Part = tuple[int, int, bool, bytes]


def stream(count: int, *, sequence: int = 65_530, size: int = 3000, keyframes: tuple[int, ...] = (0,)) -> list[Part]:
    """Packets of `count` pictures: (sequence, timestamp, marker, payload)."""
    parts: list[Part] = []
    for index in range(count):
        payloads = packetize.payloads(picture(size, keyframe=index in keyframes, seed=index).data)
        for number, payload in enumerate(payloads):
            parts.append((sequence & 0xFFFF, index * 3000, number == len(payloads) - 1, payload))
            sequence += 1
    return parts


def test_a_picture_is_complete_with_its_last_packet() -> None:
    buffer = VideoBuffer()
    for part in stream(5):
        units = buffer.insert(*part, 0)
        assert len(units) == (1 if part[2] else 0)


def test_a_clean_line_asks_for_nothing() -> None:
    line = Line(seed=1, fate=lambda rng: [0.0]).run()
    assert line.indices == list(range(60))
    assert line.nacked == line.keyframe_requests == 0
    assert line.slowest_ms < line.one_way_ms + 5


def test_reordering_and_duplicates_cost_no_picture_and_no_request() -> None:
    line = Line(seed=2, fate=lambda rng: [rng.uniform(0, 3), rng.uniform(0, 3)]).run()
    assert line.indices == list(range(60))
    assert line.nacked == 0
    assert line.buffer.duplicates + line.buffer.late > 0


@pytest.mark.parametrize("loss", [0.02, 0.05, 0.1])
@pytest.mark.parametrize("one_way_ms", [2.0, 20.0, 40.0])
def test_lost_packets_are_repaired(loss: float, one_way_ms: float) -> None:
    line = Line(seed=3, fate=lambda rng: [] if rng.random() < loss else [0.0], one_way_ms=one_way_ms, frames=150)
    line.calm_after = 140
    line.run()
    assert line.indices == list(range(150))
    assert line.slowest_ms < 300 + 2 * one_way_ms


@settings(max_examples=60)
@given(
    seed=st.integers(0, 2**32),
    loss=st.floats(0, 0.6),
    jitter=st.floats(0, 60),
    duplicates=st.floats(0, 0.5),
    one_way=st.floats(0.5, 120),
    repairs=st.booleans(),
    packets=st.integers(1, 12),
)
def test_whatever_the_line_does_pictures_are_whole_ordered_and_decodable(
    seed: int, loss: float, jitter: float, duplicates: float, one_way: float, repairs: bool, packets: int
) -> None:
    def fate(rng: random.Random) -> list[float]:
        copies = [] if rng.random() < loss else [rng.uniform(0, jitter)]
        return copies + [rng.uniform(0, jitter)] * (rng.random() < duplicates)

    line = Line(seed, fate, one_way_ms=one_way, repairs=repairs, packets=packets, frames=90, calm_after=45).run()
    line.assert_nothing_refers_to_what_is_missing()
    # After the trouble the picture is back.
    assert line.indices
    assert line.indices[-1] == 89
    # A hole is waited for 600 ms at most; the picture behind it may have waited for the end of the one before.
    assert line.slowest_ms < 600 + 500 + one_way + jitter


def test_a_lost_end_of_a_picture_is_asked_for_without_a_later_packet() -> None:
    buffer = VideoBuffer()
    parts = stream(1)
    for part in parts[:-1]:
        buffer.insert(*part, 0)
    wake = buffer.next_ns()
    assert wake is not None
    assert 55 * MS < wake <= 60 * MS
    buffer.poll(wake)
    assert buffer.due(wake) == [parts[-1][0]]
    assert len(buffer.insert(*parts[-1], 90 * MS, repaired=True)) == 1
    assert buffer.next_ns() is None


def test_where_packets_follow_closely_a_lost_end_is_noticed_before_the_next_picture() -> None:
    line = Line(seed=4, fate=lambda rng: [0.0], frames=200).run()
    assert line.buffer.tail_ns == LEAST_TAIL_NS


def test_slow_packets_of_a_picture_are_not_asked_for() -> None:
    line = Line(seed=5, fate=lambda rng: [rng.uniform(0, 25)], frames=200, packets=3, calm_after=190)
    line.run()
    assert line.indices == list(range(200))
    # Some at first, until their distance is known.
    assert line.nacked < 40


def test_a_picture_that_never_ends_is_given_up_and_a_keyframe_wanted() -> None:
    buffer = VideoBuffer()
    parts = stream(3, keyframes=(0, 2))
    first = [part for part in parts if part[1] == 0]
    for part in first[:-1]:
        buffer.insert(*part, 0)
    assert not buffer.wants_keyframe
    now = 0
    while (wake := buffer.next_ns()) is not None:
        now = max(wake, now + 1)
        assert not buffer.poll(now)
        buffer.due(now)
    assert now <= 700 * MS
    assert buffer.wants_keyframe
    # What follows is not harmed by it.
    units = [unit for part in parts[len(first) - 1 :] for unit in buffer.insert(*part, now)]
    assert [unit.is_keyframe for unit in units] == [True]


def test_after_a_hole_is_given_up_the_next_keyframe_is_shown_at_once() -> None:
    buffer = VideoBuffer()
    parts = stream(4, keyframes=(0, 3))
    lost = next(index for index, part in enumerate(parts) if part[1] == 3000)
    shown = [unit for part in parts[:lost] for unit in buffer.insert(*part, 0)]
    shown += [unit for part in parts[lost + 1 :] for unit in buffer.insert(*part, 10 * MS)]
    assert [unit.timestamp for unit in shown] == [0]
    shown += buffer.poll(415 * MS)
    assert [unit.timestamp for unit in shown] == [0, 9000]
    assert buffer.gaps_given_up == 1
    assert not buffer.wants_keyframe


def test_while_a_keyframe_is_sought_holes_in_other_pictures_are_not_waited_for() -> None:
    buffer = VideoBuffer()
    parts = stream(4, keyframes=(3,))
    came = [part for index, part in enumerate(parts) if index % 3 != 1 or part[1] == 9000]
    units = [unit for part in came for unit in buffer.insert(*part, 0)]
    assert [unit.timestamp for unit in units] == [9000]


def test_a_keyframe_whose_beginning_is_missing_is_repaired() -> None:
    buffer = VideoBuffer()
    parts = stream(2, keyframes=(1,))
    key = [part for part in parts if part[1] == 3000]
    for part in parts:
        if part is not key[0] and part is not key[1]:
            assert not buffer.insert(*part, 0)
    assert buffer.due(50 * MS) == [key[0][0], key[1][0]]
    assert not buffer.insert(*key[0], 60 * MS, repaired=True)
    assert len(buffer.insert(*key[1], 60 * MS, repaired=True)) == 1


def test_a_sender_that_starts_anew_is_followed() -> None:
    buffer = VideoBuffer()
    for part in stream(2, sequence=100):
        buffer.insert(*part, 0)
    units = [unit for part in stream(3, sequence=40_000, keyframes=(0, 1)) for unit in buffer.insert(*part, 0)]
    # Its first packet only announces it.
    assert units[-1].timestamp == 6000
    assert buffer.restarts == 1


def test_one_stray_packet_changes_nothing() -> None:
    buffer = VideoBuffer()
    shown = 0
    for index, part in enumerate(stream(6, sequence=100)):
        shown += len(buffer.insert(*part, 0))
        if index == 4:
            assert not buffer.insert(30_000, 5, True, b"\x41junk", 0)
    assert shown == 6


def test_memory_is_bounded_when_the_hole_is_never_filled() -> None:
    buffer = VideoBuffer()
    for index in range(20_000):
        if index != 5:
            buffer.insert(index & 0xFFFF, index, True, b"\x41\x9a", 0)
        assert buffer.held <= MAX_HELD
    assert buffer.missing <= 1


def test_memory_is_bounded_when_a_picture_never_ends() -> None:
    buffer = VideoBuffer()
    payload = b"\x65\x88" + bytes(1198)
    for index in range(2 * MAX_UNIT_BYTES // 1200):
        buffer.insert(index & 0xFFFF, 0, False, payload, 0)
    assert buffer.malformed > 0
    assert buffer.wants_keyframe


def test_a_sender_without_marker_bits_is_understood() -> None:
    buffer = VideoBuffer()
    units = [unit for s, t, _, p in stream(4) for unit in buffer.insert(s, t, False, p, 0)]
    assert [unit.timestamp for unit in units] == [0, 3000, 6000]


def test_parameter_sets_sent_apart_are_put_before_the_keyframe() -> None:
    buffer = VideoBuffer()
    assert not buffer.insert(1, 0, True, SPS, 0)
    assert not buffer.insert(2, 0, True, PPS, 0)
    (unit,) = buffer.insert(3, 0, True, b"\x65\x88\x80", 0)
    assert unit.data == START + SPS + START + PPS + START + b"\x65\x88\x80"
    assert unit.is_keyframe


def test_padding_and_empty_keepalives_are_no_holes() -> None:
    buffer = VideoBuffer()
    shown = 0
    sequence = 10
    for _, timestamp, marker, payload in stream(5):
        shown += len(buffer.insert(sequence, timestamp, marker, payload, 0))
        shown += len(buffer.insert(sequence + 1, timestamp, False, b"", 0))
        sequence += 2
    assert shown == 5
    assert buffer.next_ns() is None


@settings(max_examples=100)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 65_535), st.integers(0, 3), st.booleans(), st.binary(max_size=40), st.integers(0, 10**8)
        ),
        max_size=80,
    )
)
def test_random_payloads_are_counted_or_shown_and_never_raise(packets: list[tuple[int, int, bool, bytes, int]]) -> None:
    buffer = VideoBuffer()
    now = 0
    for sequence, timestamp, marker, payload, later in packets:
        now += later
        buffer.insert(sequence % 300, timestamp, marker, payload, now)
        buffer.poll(now)
        buffer.due(now)
    assert buffer.missing <= 401
