"""Redundant audio: its bytes (RFC 2198), how much of it is sent, and what it repairs."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.rtp import red, rtcp
from appliance.rtp.audio_receiver import AudioReceiver
from appliance.rtp.congestion import CongestionControl
from appliance.rtp.opus import OpusEncoder
from appliance.rtp.red import Redundancy, Redundant
from appliance.rtp.sender import AudioSender

from .rtp_fakes import RememberingTransport, TurnedClock, header, parameters, payload

MS = 1_000_000
OPUS, RED = 111, 63


def test_the_bytes_are_those_of_the_rfc() -> None:
    packed = red.pack(111, b"new", [Redundant(1920, b"oldest"), Redundant(960, b"old")])
    assert packed == bytes.fromhex("ef1e0006 ef0f0003 6f") + b"oldest" + b"old" + b"new"


blocks = st.lists(
    st.builds(Redundant, st.integers(1, red.MOST_OFFSET), st.binary(min_size=1, max_size=200)), max_size=4
)


@given(st.binary(min_size=1, max_size=300), blocks, st.integers(0, 127))
def test_what_is_packed_is_unpacked(primary: bytes, redundant: list[Redundant], kind: int) -> None:
    assert red.unpack(red.pack(kind, primary, redundant), kind) == (primary, redundant)


@given(st.binary(max_size=60), st.integers(0, 127))
def test_garbage_is_refused_and_nothing_else_happens(garbage: bytes, kind: int) -> None:
    try:
        primary, redundant = red.unpack(garbage, kind)
    except ValueError:
        return
    assert len(primary) + sum(len(block.payload) for block in redundant) < len(garbage)


def test_blocks_of_another_codec_are_left_out() -> None:
    packed = red.pack(111, b"new", [Redundant(960, b"old")])
    comfort_noise = bytes((0x80 | 13,)) + packed[1:]
    assert red.unpack(comfort_noise, 111) == (b"new", [])
    with pytest.raises(ValueError, match="primary"):
        red.unpack(packed, 13)


def test_redundancy_begins_with_the_first_reported_loss_and_ends_a_while_after_the_last() -> None:
    redundancy = Redundancy()
    assert redundancy.wrap(OPUS, 0, b"a") is None
    redundancy.reported(0.02)
    assert redundancy.wrap(OPUS, 960, b"b") == red.pack(OPUS, b"b", [Redundant(960, b"a")])
    redundancy.reported(0.06)
    assert redundancy.wrap(OPUS, 1920, b"c") == red.pack(OPUS, b"c", [Redundant(960, b"b")])
    assert redundancy.wrap(OPUS, 2880, b"d") == red.pack(OPUS, b"d", [Redundant(2880, b"a"), Redundant(960, b"c")])
    depths = []
    for _ in range(30):
        redundancy.reported(0.0)
        depths.append(redundancy.depth)
    assert depths.index(1) == 3
    assert 10 < depths.index(0) < 20


def test_what_does_not_fit_the_header_is_not_repeated() -> None:
    redundancy = Redundancy()
    redundancy.reported(0.5)
    redundancy.wrap(OPUS, 0, bytes(1200))
    assert redundancy.wrap(OPUS, 960, b"b") is None
    # After a pause the one before is too long ago.
    assert redundancy.wrap(OPUS, 960 + 48_000, b"c") is None


def loss_report(ssrc: int, fraction: float) -> bytes:
    return rtcp.receiver_report(9, [rtcp.ReportBlock(ssrc, int(256 * fraction), 1, 1, 0, 0, 0)])[4:]


def packets_of(sender: AudioSender, line: RememberingTransport, encoder: OpusEncoder, first: int, count: int) -> None:
    noise = random.Random(first)
    for index in range(first, first + count):
        sender.send(encoder.encode(noise.randbytes(1920)), index * 20 * MS)


def test_the_sender_repeats_while_the_far_end_loses_and_only_where_it_knows_red() -> None:
    for known in (RED, None):
        line, encoder = RememberingTransport(), OpusEncoder()
        sender = AudioSender(clock=TurnedClock())
        sender.start(line, parameters("audio", ssrc=sender.ssrc, red_payload_type=known))
        packets_of(sender, line, encoder, 0, 5)
        sender.handle_rtcp(rtcp.RR, 1, loss_report(sender.ssrc, 0.05), 0)
        packets_of(sender, line, encoder, 5, 5)
        kinds = [header(packet)[0] for packet in line.rtp]
        assert kinds == [OPUS] * 5 + [known or OPUS] * 5
        if known:
            primary, earlier = red.unpack(payload(line.rtp[7]), OPUS)
            before = red.unpack(payload(line.rtp[6]), OPUS)[0]
            assert earlier[-1] == Redundant(960, before)
            assert primary != before
        sender.stop()


def test_on_a_narrow_line_sound_is_not_sent_twice() -> None:
    line, congestion = RememberingTransport(), CongestionControl(TurnedClock())
    sender = AudioSender(clock=TurnedClock(), congestion=congestion)
    sender.start(line, parameters("audio", ssrc=sender.ssrc, red_payload_type=RED))
    sender.handle_rtcp(rtcp.RR, 1, loss_report(sender.ssrc, 0.05), 0)
    packets_of(sender, line, OpusEncoder(), 0, 4)
    congestion.controller.target_bps = 200_000
    packets_of(sender, line, OpusEncoder(), 4, 4)
    assert [header(packet)[0] for packet in line.rtp] == [OPUS] + [RED] * 3 + [OPUS] * 4
    sender.stop()


@pytest.mark.parametrize(("loss", "burst"), [(0.05, 1), (0.05, 2), (0.05, 3), (0.1, 1)])
def test_losses_that_redundancy_spans_are_not_heard(loss: float, burst: int) -> None:
    line, encoder, clock = RememberingTransport(), OpusEncoder(), TurnedClock()
    sender = AudioSender(clock=clock)
    sender.start(line, parameters("audio", ssrc=sender.ssrc, red_payload_type=RED))
    sender.handle_rtcp(rtcp.RR, 1, loss_report(sender.ssrc, loss), 0)
    packets_of(sender, line, encoder, 0, 1500)
    receiver = AudioReceiver(clock=clock)
    receiver.start(RememberingTransport(), parameters("audio", ssrc=sender.ssrc, red_payload_type=RED))
    # As much delay as the picture of such a line takes.
    receiver.wait_for_picture(lambda: 160 * MS)
    rng, lost = random.Random(7), 0
    for packet in line.rtp:
        if not lost and rng.random() < loss / burst:
            lost = burst
        if lost:
            lost -= 1
        else:
            receiver.handle_rtp(packet, clock.time_ns)
        clock.turn(6)
        receiver.pull(clock.time_ns + 30 * MS)
        clock.turn(14)
    numbers = receiver.numbers()
    assert numbers["red_used"] > 30
    # More than three in a row are lost now and then, and the first ones come before the delay is there.
    assert numbers["concealed"] + numbers["fec_used"] <= 10
    assert numbers["late"] == numbers["discarded"] == numbers["malformed"] == 0
    receiver.stop()


def test_a_red_packet_of_garbage_is_counted() -> None:
    clock = TurnedClock()
    receiver = AudioReceiver(clock=clock)
    receiver.start(RememberingTransport(), parameters("audio", ssrc=5, red_payload_type=RED))
    receiver.handle_rtp(bytes.fromhex("803f 0001 00000000 00000005") + b"\xff\x00", clock.time_ns)
    assert receiver.numbers()["malformed"] == 1
    receiver.stop()
