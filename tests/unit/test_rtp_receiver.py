"""Receivers between the transport and the room: what they hand on, what they ask the sender for, what they tell it."""

import asyncio
import struct
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.media.clock import MediaClock, ntp_of
from appliance.media.values import EncodedFrame
from appliance.rtp import packetize, rtcp
from appliance.rtp.audio_receiver import AudioReceiver
from appliance.rtp.clock_recovery import SessionTimeline
from appliance.rtp.opus import OpusEncoder
from appliance.rtp.video_receiver import VideoReceiver

from .rtp_fakes import RememberingTransport, TurnedClock, parameters, picture

SSRC, RTX_SSRC, LOCAL = 5555, 6666, 99
MS = 1_000_000
HEADER = struct.Struct("!BBHII")


class Camera:
    """Packets of pictures as a sender would make them."""

    def __init__(self, ssrc: int = SSRC, sequence: int = 65_530) -> None:
        self.ssrc = ssrc
        self.sequence = sequence
        self.count = 0

    def packets(self, *, keyframe: bool = False, size: int = 3000) -> list[bytes]:
        payloads = packetize.payloads(picture(size, keyframe=keyframe, seed=self.count).data)
        packets = []
        for number, payload in enumerate(payloads):
            marker = 0x80 if number == len(payloads) - 1 else 0
            head = HEADER.pack(0x80, 102 | marker, self.sequence & 0xFFFF, self.count * 3000, self.ssrc)
            packets.append(head + payload)
            self.sequence += 1
        self.count += 1
        return packets


def rtx(packet: bytes, sequence: int = 1) -> bytes:
    """The packet as RFC 4588 repeats it."""
    _, second, original, timestamp, _ = HEADER.unpack_from(packet)
    head = HEADER.pack(0x80, second & 0x80 | 103, sequence, timestamp, RTX_SSRC)
    return head + original.to_bytes(2, "big") + packet[12:]


class Room:
    """A picture's receiver with everything around it."""

    def __init__(self, ssrc: int = 0, **changes: object) -> None:
        self.clock = TurnedClock()
        self.line = RememberingTransport()
        self.frames: list[EncodedFrame] = []
        self.receiver = VideoReceiver(SessionTimeline(), self.clock)
        self.receiver.on_frame(self.frames.append)
        self.receiver.start(self.line, parameters(ssrc=ssrc, local_ssrc=LOCAL, **changes))

    def take(self, packets: list[bytes]) -> None:
        for packet in packets:
            self.receiver.handle_rtp(packet, self.clock.time_ns)

    def asked(self, packet_type: int) -> list[bytes]:
        return [body for kind, _, body in self.line.reports() if kind == packet_type]

    def number(self, name: str) -> object:
        return self.receiver.numbers()[name]


@pytest.fixture
async def room() -> Iterator[Room]:  # type: ignore[misc]
    room = Room()
    yield room
    room.receiver.stop()


async def test_pictures_are_handed_on_at_once(room: Room) -> None:
    camera = Camera()
    room.take(camera.packets(keyframe=True))
    room.clock.turn(33)
    room.take(camera.packets())
    assert [frame.is_keyframe for frame in room.frames] == [True, False]
    assert [frame.data for frame in room.frames] == [
        picture(3000, keyframe=True, seed=0).data,
        picture(3000, seed=1).data,
    ]
    assert room.receiver.last_packet_ns == room.clock.time_ns
    assert not room.asked(rtcp.PSFB)
    assert not room.asked(rtcp.RTPFB)


async def test_a_stream_that_begins_without_a_keyframe_is_asked_for_one_each_half_second(room: Room) -> None:
    camera = Camera()
    for _ in range(60):
        room.take(camera.packets())
        room.clock.turn(20)
    assert not room.frames
    assert 2 <= len(room.asked(rtcp.PSFB)) <= 3
    assert room.asked(rtcp.PSFB)[0] == struct.pack("!II", LOCAL, SSRC)
    room.take(camera.packets(keyframe=True))
    room.take(camera.packets())
    assert len(room.frames) == 2


async def test_a_keyframe_wanted_by_the_decoder_is_asked_for_at_most_twice_a_second() -> None:
    room = Room(ssrc=SSRC)
    room.take(Camera().packets(keyframe=True))
    for _ in range(30):
        room.receiver.request_keyframe()
        room.clock.turn(20)
    assert len(room.asked(rtcp.PSFB)) == 2
    room.receiver.stop()


async def test_before_the_first_packet_an_announced_sender_can_be_asked() -> None:
    room = Room(ssrc=SSRC)
    room.receiver.request_keyframe()
    assert room.asked(rtcp.PSFB) == [struct.pack("!II", LOCAL, SSRC)]
    room.receiver.stop()


async def test_a_far_end_that_knows_only_fir_is_sent_fir() -> None:
    room = Room(ssrc=SSRC, feedback=frozenset(("ccm fir",)))
    room.receiver.request_keyframe()
    assert rtcp.parse_fir(room.asked(rtcp.PSFB)[0]) == [SSRC]
    room.receiver.stop()


async def test_a_lost_packet_is_asked_for_and_its_retransmission_completes_the_picture() -> None:
    clock, line = MediaClock(), RememberingTransport()
    nacked, frames = asyncio.Event(), []

    class Line(RememberingTransport):
        def send_rtcp(self, packet: bytes) -> bool:
            if any(kind == rtcp.RTPFB for kind, _, _ in rtcp.split(packet)):
                nacked.set()
            return super().send_rtcp(packet)

    line = Line()
    receiver = VideoReceiver()
    receiver.on_frame(frames.append)
    receiver.start(line, parameters(ssrc=SSRC, local_ssrc=LOCAL))
    packets = Camera().packets(keyframe=True, size=5000)
    for packet in packets[:1] + packets[2:]:
        receiver.handle_rtp(packet, clock.now_ns())
    await asyncio.wait_for(nacked.wait(), 5)
    (request,) = [body for kind, _, body in line.reports() if kind == rtcp.RTPFB]
    assert rtcp.feedback_ssrcs(request) == (LOCAL, SSRC)
    assert list(rtcp.parse_nack(request)) == [65_531]
    receiver.handle_rtp(rtx(packets[1]), clock.now_ns())
    assert [frame.is_keyframe for frame in frames] == [True]
    assert receiver.numbers()["rtx_received"] == 1
    assert receiver.numbers()["repair_ms"] is not None
    receiver.stop()


async def test_while_packets_are_lost_the_picture_wants_the_time_of_their_repair_and_the_sound_waits_as_long(
    room: Room,
) -> None:
    camera, encoder = Camera(), OpusEncoder()
    sound = AudioReceiver(clock=room.clock)
    sound.start(RememberingTransport(), parameters("audio", ssrc=0))
    sound.wait_for_picture(room.receiver.wanted_delay_ns)
    assert room.receiver.wanted_delay_ns() is None
    owed: list[tuple[int, bytes]] = []
    delays_ms: list[float] = []
    for tick in range(2500):  # of 6.67 ms
        index, rest = divmod(tick, 5)
        if rest == 0:
            packets = camera.packets(keyframe=index == 0)
            if index % 5 == 4 and 150 <= index < 400:
                owed.append((tick + 14, rtx(packets.pop(1))))
            room.take(packets)
        while owed and owed[0][0] <= tick:
            room.take([owed.pop(0)[1]])
        if tick % 3 == 0:
            packet = HEADER.pack(0x80, 111, tick // 3, 320 * tick, 77) + encoder.encode(bytes(1920))
            sound.handle_rtp(packet, room.clock.time_ns)
        elif tick % 3 == 1:
            block = sound.pull(room.clock.time_ns + 20 * MS)
            assert block is not None
            delays_ms.append((room.clock.time_ns + 20 * MS - block.pts_ns) / MS)
        room.clock.turn(20 / 3)
    assert room.asked(rtcp.RTPFB)
    assert not room.asked(rtcp.PSFB)
    assert len(room.frames) == 500
    # 4 s in, before the losses; and 12 s, among them.
    assert delays_ms[200] < 50
    assert 90 < delays_ms[600] < 150
    sound.stop()


async def test_a_hole_is_given_up_without_any_further_packet() -> None:
    asked = asyncio.Event()

    class Line(RememberingTransport):
        def send_rtcp(self, packet: bytes) -> bool:
            if any(kind == rtcp.PSFB for kind, _, _ in rtcp.split(packet)):
                asked.set()
            return super().send_rtcp(packet)

    receiver, clock = VideoReceiver(), MediaClock()
    receiver.start(Line(), parameters(ssrc=SSRC, local_ssrc=LOCAL))
    camera = Camera()
    for packet in [*camera.packets(keyframe=True), *camera.packets()[1:]]:
        receiver.handle_rtp(packet, clock.now_ns())
    await asyncio.wait_for(asked.wait(), 5)
    assert receiver.numbers()["gaps_given_up"] == 1
    receiver.stop()


async def test_padding_in_the_retransmission_stream_is_nothing(room: Room) -> None:
    camera = Camera()
    room.take(camera.packets(keyframe=True))
    room.take([HEADER.pack(0xA0, 103, 1, 0, RTX_SSRC) + bytes(9) + b"\x0a", HEADER.pack(0x80, 103, 2, 0, RTX_SSRC)])
    room.take(camera.packets())
    assert len(room.frames) == 2
    assert room.number("malformed") == 0


async def test_another_ssrc_is_followed_and_the_old_one_no_more(room: Room) -> None:
    old, new = Camera(), Camera(ssrc=7777, sequence=20)
    room.take(old.packets(keyframe=True))
    room.take(new.packets(keyframe=True))
    room.take(old.packets())
    room.take(new.packets())
    assert [frame.is_keyframe for frame in room.frames] == [True, True, False]
    assert room.number("stray") == 3
    # It may come back when the new one has fallen silent.
    room.clock.turn(300)
    room.take(old.packets(keyframe=True))
    assert len(room.frames) == 4


async def test_capture_times_never_go_back(room: Room) -> None:
    camera = Camera()
    room.take(camera.packets(keyframe=True))
    wall = 1_700_000_000 * 10**9
    report = rtcp.sender_report(SSRC, ntp_of(wall), 3000, 1, 1)[4:]
    room.clock.turn(40)
    room.receiver.handle_rtcp(rtcp.SR, 0, report, room.clock.time_ns)
    for _ in range(20):
        room.take(camera.packets())
        room.clock.turn(33)
    times = [frame.pts_ns for frame in room.frames]
    assert times == sorted(times)
    assert abs(times[-1] - times[-2] - 33_333_333) < 1000
    assert room.number("has_sender_report") is True


async def test_a_report_that_came_before_the_first_packet_counts(room: Room) -> None:
    report = rtcp.sender_report(SSRC, ntp_of(1_700_000_000 * 10**9), 0, 1, 1)[4:]
    room.receiver.handle_rtcp(rtcp.SR, 0, report, room.clock.time_ns)
    room.clock.turn(10)
    room.take(Camera().packets(keyframe=True))
    assert room.frames[0].pts_ns == room.clock.time_ns - 10 * MS


async def test_a_receiver_report_is_sent_about_each_second_in_a_compound_packet(room: Room) -> None:
    camera = Camera()
    room.take(camera.packets(keyframe=True))
    report = rtcp.sender_report(SSRC, ntp_of(1_700_000_000 * 10**9), 0, 1, 1)[4:]
    for index in range(300):
        room.clock.turn(33.333)
        if index % 30 == 0:
            room.receiver.handle_rtcp(rtcp.SR, 0, report, room.clock.time_ns)
        packets = camera.packets()
        room.take([packet for number, packet in enumerate(packets) if (index, number) != (20, 1)])
    for compound in room.line.rtcp:
        assert [kind for kind, _, _ in rtcp.split(compound)][:2] == [rtcp.RR, rtcp.SDES]
    blocks = [
        block
        for compound in room.line.rtcp
        for kind, count, body in rtcp.split(compound)
        if kind == rtcp.RR
        for block in rtcp.report_blocks(kind, count, body)
    ]
    # Requests carry an empty report; these are those with numbers.
    assert 6 <= len(blocks) <= 21
    assert blocks[-1].ssrc == SSRC
    assert blocks[-1].packets_lost == 1
    assert blocks[-1].lsr
    assert 0 <= blocks[-1].dlsr <= 65_536


async def test_packets_of_other_kinds_and_garbage_are_counted(room: Room) -> None:
    room.take([b"", b"\x00" * 20, HEADER.pack(0x80, 96, 1, 1, 1) + b"x"])
    assert room.number("malformed") == 2
    assert room.number("stray") == 1
    for packet_type in range(198, 210):
        room.receiver.handle_rtcp(packet_type, 31, b"\1", 0)
    assert room.number("malformed_rtcp") >= 1


async def test_after_the_end_nothing_is_sent_and_nothing_taken(room: Room) -> None:
    camera = Camera()
    room.take(camera.packets())
    room.receiver.stop()
    sent = len(room.line.rtcp)
    room.clock.turn(5000)
    room.take(camera.packets(keyframe=True))
    room.receiver.request_keyframe()
    assert not room.frames
    assert len(room.line.rtcp) == sent
    room.receiver.stop()


async def test_closing_in_the_middle_of_a_picture_callback_is_safe(room: Room) -> None:
    room.receiver.on_frame(lambda frame: room.receiver.stop())
    camera = Camera()
    room.take([*camera.packets(keyframe=True), *camera.packets()])
    assert room.number("frames") == 1


@settings(max_examples=200)
@given(st.lists(st.tuples(st.booleans(), st.sampled_from((102, 103, 230, 231)), st.binary(max_size=40)), max_size=30))
def test_random_packets_never_raise(packets: list[tuple[bool, int, bytes]]) -> None:
    async def receive() -> None:
        room = Room()
        sound = AudioReceiver(clock=room.clock)
        sound.start(room.line, parameters("audio", ssrc=0, payload_type=102))
        for is_rtcp, second, rest in packets:
            room.clock.turn(15)
            if is_rtcp:
                room.receiver.handle_rtcp(second + 95, rest[0] & 31 if rest else 0, rest, room.clock.time_ns)
                sound.handle_rtcp(second + 95, rest[0] & 31 if rest else 0, rest, room.clock.time_ns)
            else:
                room.take([bytes((0x80, second)) + rest])
                sound.handle_rtp(bytes((0x80, second)) + rest, room.clock.time_ns)
                sound.pull(room.clock.time_ns)
        room.receiver.numbers()
        sound.numbers()
        room.receiver.stop()
        sound.stop()

    asyncio.run(receive())


def test_sound_is_pulled_in_blocks_with_its_capture_time() -> None:
    clock, line = TurnedClock(), RememberingTransport()
    sound = AudioReceiver(SessionTimeline(), clock)
    assert sound.pull(0) is None
    sound.start(line, parameters("audio", ssrc=0, local_ssrc=LOCAL))
    assert sound.pull(0) is None
    encoder = OpusEncoder()
    began = clock.time_ns
    report = rtcp.sender_report(SSRC, ntp_of(1_700_000_000 * 10**9), 4800, 1, 1)[4:]
    sound.handle_rtcp(rtcp.SR, 0, report, began)
    times = []
    for index in range(60):
        packet = HEADER.pack(0x80, 111, index, 4800 + 960 * index, SSRC) + encoder.encode(bytes(1920))
        sound.handle_rtp(packet, clock.time_ns)
        clock.turn(5)
        block = sound.pull(clock.time_ns + 30 * MS)
        assert block is not None
        times.append(block.pts_ns - began)
        clock.turn(15)
    assert times == [20 * MS * index for index in range(60)]
    assert sound.last_packet_ns == clock.time_ns - 20 * MS
    assert sound.numbers()["packets_lost"] == 0
    sound.stop()
    assert sound.pull(0) is None
