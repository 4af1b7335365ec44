"""Transport-wide feedback: its bytes, who reports, who reads, and what lost, late and strange reports do (nothing)."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.rtp import rtcp, transport_cc
from appliance.rtp.arrivals import LEAST_INTERVAL_NS, ArrivalReporter
from appliance.rtp.congestion import CongestionControl
from appliance.rtp.flight import Flight
from appliance.rtp.header import find_extension
from appliance.rtp.plane import StreamParameters
from appliance.rtp.sdp import ABS_SEND_TIME_URI, MID_URI, TRANSPORT_CC_URI
from appliance.rtp.sender import AudioSender
from appliance.rtp.streams import Streams
from appliance.rtp.transport_cc import TICK_NS, TRANSPORT_CC
from appliance.rtp.video_sender import VideoSender

from .rtp_fakes import RememberingTransport, TurnedClock, TurnedTimers, header, parameters, payload, picture

MS = 1_000_000
ID = 4
CC = {"extensions": {MID_URI: 1, ABS_SEND_TIME_URI: 3, TRANSPORT_CC_URI: ID}, "feedback": frozenset(("transport-cc",))}
gaps = st.one_of(st.none(), st.integers(-20, 80), st.integers(0, 9_000))


def read(packet: bytes) -> transport_cc.TransportFeedback:
    ((packet_type, fmt, body),) = rtcp.split(packet)
    assert (packet_type, fmt) == (rtcp.RTPFB, TRANSPORT_CC)
    return transport_cc.parse(body)


def feedback(base: int, arrivals: list[int | None], number: int = 0) -> transport_cc.TransportFeedback:
    packet, told = transport_cc.write(7, 9, base, number, arrivals)
    assert told == len(arrivals)
    return read(packet)


def stamped(sequence: int) -> bytes:
    """An RTP packet with a transport-wide number."""
    extension = struct.pack("!HH", 0xBEDE, 1) + bytes((ID << 4 | 1,)) + struct.pack("!H", sequence & 0xFFFF) + b"\0"
    return struct.pack("!BBHII", 0x90, 102, 1, 1, 1) + extension + b"payload"


# the bytes


def test_the_bytes_are_those_of_the_draft() -> None:
    body = bytes.fromhex(
        "00000001 00000002"  # sender, media
        "FFFE 0009 000005 03"  # from 65534 on nine packets, reference 5 * 64 ms, the fourth feedback
        "2003"  # a run: three with small times
        "D840"  # two bits each: small, large, none, small, none, none (and one that is beyond the count)
        "04 08 0C 10 FFF8 14 000000"
    )
    found = transport_cc.parse(body)
    assert (found.base, found.number, found.reference) == (65534, 3, 5)
    ticks = [None if at is None else (at - 320 * MS) // TICK_NS for at in found.arrivals]
    assert ticks == [4, 12, 24, 40, 32, None, 52, None, None]


@given(st.integers(0, 0xFFFF), st.lists(gaps, min_size=1, max_size=400), st.integers(0, 1 << 40))
def test_what_is_written_is_read_to_a_quarter_of_a_millisecond(
    base: int, steps: list[int | None], start_ms: int
) -> None:
    at_ms, times = start_ms + 100_000, []
    for step in steps:
        at_ms += step or 0
        times.append(None if step is None else at_ms * MS)
    times.append(at_ms * MS)
    first, number = 0, 0
    while first < len(times):
        packet, told = transport_cc.write(1, 2, base + first, number, times[first:])
        assert told > 0
        assert len(packet) % 4 == 0
        assert len(packet) < 1200
        found = read(packet)
        assert found.base == (base + first) & 0xFFFF
        whole = [at for at in times[first : first + told] if at is not None]
        shift = (whole[0] // transport_cc.REFERENCE_NS - found.reference) * transport_cc.REFERENCE_NS if whole else 0
        for wanted, got in zip(times[first : first + told], found.arrivals, strict=True):
            assert (wanted is None) == (got is None)
            if wanted is not None and got is not None:
                assert 0 <= wanted - (got + shift) < TICK_NS
        first += told


@given(st.binary(max_size=300))
def test_garbage_is_an_error_or_a_report_and_nothing_else(body: bytes) -> None:
    try:
        found = transport_cc.parse(body)
    except ValueError:
        return
    assert len(found.arrivals) <= transport_cc.MOST_PACKETS


@given(st.lists(st.binary(max_size=120), max_size=20))
def test_whatever_comes_as_feedback_the_rate_stays_within_its_bounds(bodies: list[bytes]) -> None:
    clock = TurnedClock()
    congestion = CongestionControl(clock, most_video_bps=2_000_000)
    congestion.use_transport_cc()
    for body in bodies:
        for _ in range(5):
            congestion.packet(clock.now_ns(), 1200, 1)
        clock.turn(20)
        congestion.handle_rtcp(rtcp.RTPFB, TRANSPORT_CC, body, clock.now_ns())
        congestion.handle_rtcp(rtcp.RTPFB, TRANSPORT_CC, b"\0" * 8 + body, clock.now_ns())
        congestion.tick(clock.now_ns())
        assert 64_000 <= congestion.controller.target_bps <= 2_200_000


@given(st.binary(max_size=60), st.integers(0, 15))
def test_header_extensions_of_any_bytes_are_found_or_not(data: bytes, number: int) -> None:
    found = find_extension(b"\x90" + data, number)
    assert found is None or len(found) <= 255


def test_two_byte_header_extensions_are_read_as_well() -> None:
    extension = struct.pack("!HH", 0x1000, 2) + bytes((1, 1, 65, 0, ID, 2, 0x12, 0x34))
    packet = struct.pack("!BBHII", 0x90, 102, 1, 1, 1) + extension + b"x"
    assert find_extension(packet, ID) == b"\x12\x34"


# who reports


class Reporter:
    """Our receiving end, whose reports are read as the far end would."""

    def __init__(self) -> None:
        self.transport = RememberingTransport()
        self.reporter = ArrivalReporter(self.transport, ID, 7, 9)
        self.now_ns = 5_000 * MS

    def arrives(self, sequence: int, after_ms: float = 10) -> None:
        self.now_ns += int(after_ms * MS)
        self.reporter.packet(stamped(sequence), self.now_ns)

    def told(self) -> dict[int, int]:
        """Arrival in ms by sequence number, of all reports so far."""
        found = {}
        for kind, fmt, body in self.transport.reports():
            if (kind, fmt) == (rtcp.RTPFB, TRANSPORT_CC):
                report = transport_cc.parse(body)
                for place, at_ns in enumerate(report.arrivals):
                    if at_ns is not None:
                        found[(report.base + place) & 0xFFFF] = at_ns // MS
        return found


def test_each_arrival_is_told_across_the_wrap_of_the_sequence() -> None:
    far = Reporter()
    for sequence in range(65_500, 65_600):
        far.arrives(sequence)
    told = far.told()
    assert {65_500, 65_535, 0, 40} <= told.keys()
    assert (told[0] - told[65_535]) == pytest.approx(10, abs=1)
    assert [kind for kind, _, _ in far.transport.reports()][:2] == [rtcp.RR, rtcp.RTPFB]


def test_reports_come_each_50_ms_on_a_fast_line_and_take_no_more_than_their_share_of_a_slow_one() -> None:
    fast, slow = Reporter(), Reporter()
    for sequence in range(1000):
        fast.reporter.packet(stamped(sequence) + bytes(1000), fast.now_ns + sequence * 2 * MS)
        slow.reporter.packet(stamped(sequence), slow.now_ns + sequence * 20 * MS)
    assert 2000 / 60 < len(fast.transport.rtcp) <= 2000 * MS // LEAST_INTERVAL_NS
    assert 20_000 / 260 < len(slow.transport.rtcp) < 20_000 / 230


def test_a_packet_that_was_overtaken_is_told_of_when_it_comes() -> None:
    far = Reporter()
    for sequence in (1, 2, *range(4, 40), 3, *range(40, 80)):
        far.arrives(sequence)
    assert 3 in far.told()


def test_a_sender_that_begins_anew_elsewhere_is_followed() -> None:
    far = Reporter()
    for sequence in (*range(100), *range(40_000, 40_100)):
        far.arrives(sequence)
    assert {50, 40_050} <= far.told().keys()
    assert len(far.transport.rtcp) < 60, "no reports about the gap"


def test_packets_without_the_number_are_counted() -> None:
    far = Reporter()
    far.reporter.packet(b"\x80" + bytes(20), 1)
    assert far.reporter.numbers() == {"transport_cc_sent": 0, "without_transport_cc": 1}


# who reads


class Sent:
    """A flight of packets 20 ms apart."""

    def __init__(self, first: int = 65_530) -> None:
        self.flight = Flight(first)
        self.first = first
        self.now_ns = 1_000 * MS

    def send(self, count: int, stream: int = 1) -> None:
        for _ in range(count):
            self.now_ns += 20 * MS
            self.flight.sent(self.now_ns, 8000, stream)

    def hear(self, first: int, arrivals: list[int | None]) -> tuple[int, int, int] | None:
        report = self.flight.feedback(feedback(self.first + first, arrivals), self.now_ns)
        return None if report is None else (len(report.arrived), report.lost, report.revived)


def test_arrivals_and_losses_are_told_apart_across_the_wrap() -> None:
    sent = Sent()
    sent.send(20)
    times: list[int | None] = [(5_000 + 20 * n) * MS for n in range(20)]
    times[8] = times[12] = None
    assert sent.hear(0, times) == (18, 2, 0)
    assert len(sent.flight) == 0


def test_a_report_that_comes_twice_or_too_late_changes_nothing() -> None:
    sent = Sent()
    sent.send(20)
    early, late = [5_000 * MS] * 10, [5_200 * MS] * 10
    assert sent.hear(10, late) == (10, 0, 0)
    assert sent.hear(0, early) == (10, 0, 0)
    assert sent.hear(0, early) is None
    assert sent.hear(10, late) is None


def test_what_a_lost_report_told_of_is_not_taken_for_lost() -> None:
    sent = Sent()
    sent.send(30)
    assert sent.hear(0, [5_000 * MS] * 10) == (10, 0, 0)
    assert sent.hear(20, [5_400 * MS] * 10) == (10, 0, 0)
    assert len(sent.flight) == 10
    sent.now_ns += 3_000 * MS
    sent.send(1)
    sent.hear(30, [9_000 * MS])
    assert sent.flight.numbers() == {
        "packets_acknowledged": 21,
        "packets_not_arrived": 0,
        "packets_unreported": 10,
    }


def test_a_packet_told_of_as_missing_that_arrives_after_all_is_no_loss() -> None:
    sent = Sent()
    sent.send(10)
    assert sent.hear(0, [5_000 * MS, None, 5_002 * MS]) == (2, 1, 0)
    assert sent.hear(1, [5_003 * MS]) == (1, 0, 1)
    assert sent.flight.numbers()["packets_not_arrived"] == 0


def test_a_stream_that_the_far_end_never_reports_on_is_not_lost() -> None:
    """Janus 1.1 takes the number on the sound and then reports on the picture alone."""
    sent = Sent()
    for _ in range(20):
        sent.send(1, stream=1)
        sent.send(1, stream=2)
    times: list[int | None] = [None if n % 2 else 5_000 * MS for n in range(40)]
    times[10] = None
    assert sent.hear(0, times) == (19, 1, 0)


@given(st.permutations(range(12)), st.sets(st.integers(0, 11)))
def test_in_whatever_order_reports_come_each_packet_is_told_of_once(order: list[int], lost: set[int]) -> None:
    sent = Sent()
    sent.send(60)
    acknowledged = 0
    for number in order:
        if number not in lost:
            report = sent.flight.feedback(feedback(sent.first + 5 * number, [5_000 * MS] * 5), sent.now_ns)
            acknowledged += 0 if report is None else len(report.arrived)
    assert acknowledged == 5 * (12 - len(lost))
    assert len(sent.flight) == 5 * len(lost)


def test_the_reference_time_may_wrap() -> None:
    sent = Sent()
    sent.send(20)
    wrap_ns = transport_cc.REFERENCE_WRAP * transport_cc.REFERENCE_NS
    before = sent.flight.feedback(feedback(sent.first, [wrap_ns - 10 * MS] * 10), sent.now_ns)
    after = sent.flight.feedback(feedback(sent.first + 10, [wrap_ns + 10 * MS] * 10), sent.now_ns)
    assert before is not None
    assert after is not None
    assert after.arrived[0].arrival_ns - before.arrived[0].arrival_ns == pytest.approx(20 * MS, abs=TICK_NS)


# on the wire


class Sending:
    """Sound and picture of one transport, with the numbers on their packets."""

    def __init__(self, **changes: object) -> None:
        self.clock = TurnedClock()
        self.timers = TurnedTimers(self.clock)
        self.congestion = CongestionControl(self.clock, most_video_bps=2_000_000)
        self.transport = RememberingTransport()
        self.video = VideoSender(None, self.clock, self.congestion, self.timers.call_later)
        self.audio = AudioSender(None, self.clock, self.congestion)
        self.video.start(self.transport, parameters(**CC | changes))
        self.audio.start(self.transport, parameters("audio", **CC))

    def numbers_on_the_wire(self) -> list[int]:
        values = [find_extension(packet, ID) for packet in self.transport.rtp]
        return [int.from_bytes(value, "big") for value in values if value is not None]


def test_sound_picture_and_repairs_share_one_sequence() -> None:
    sending = Sending()
    for number in range(5):
        sending.video.send(picture(3000, number * 33 * MS, keyframe=number == 0))
        sending.audio.send(b"x" * 80, number * 33 * MS, -30)
        sending.timers.turn(33)
    lost = header(sending.transport.rtp[0])[2]
    sending.video.handle_rtcp(
        rtcp.RTPFB, rtcp.NACK, rtcp.nack(7, sending.video.ssrc, [lost])[4:], sending.clock.now_ns()
    )
    sending.timers.turn(50)
    assert header(sending.transport.rtp[-1])[0] == 103
    numbers = sending.numbers_on_the_wire()
    assert len(numbers) == len(sending.transport.rtp)
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    assert payload(sending.transport.rtp[-1])[2:] == payload(sending.transport.rtp[0])


def test_without_a_repair_stream_a_repeated_packet_has_a_new_number_and_is_otherwise_the_same() -> None:
    sending = Sending(rtx_payload_type=None, feedback=frozenset(("nack", "transport-cc")))
    sending.video.send(picture(500))
    first = sending.transport.rtp[0]
    request = rtcp.nack(7, sending.video.ssrc, [header(first)[2]])[4:]
    sending.video.handle_rtcp(rtcp.RTPFB, rtcp.NACK, request, sending.clock.now_ns())
    again = sending.transport.rtp[1]
    assert header(again) == header(first)
    assert payload(again) == payload(first)
    assert sending.numbers_on_the_wire()[1] == sending.numbers_on_the_wire()[0] + 1


def test_a_receiving_transport_reports_on_all_its_streams() -> None:
    class Stream:
        def start(self, transport: object, parameters: StreamParameters) -> None: ...

        def stop(self) -> None: ...

        def handle_rtp(self, packet: bytes, arrival_ns: int) -> None: ...

        def handle_rtcp(self, packet_type: int, count: int, body: bytes, arrival_ns: int) -> None: ...

        def numbers(self) -> dict[str, object]:
            return {}

    streams, transport, sending = Streams(), RememberingTransport(), Sending()
    streams.add_receiver(Stream(), parameters(**CC, local_ssrc=7, ssrc=9))
    streams.add_receiver(Stream(), parameters("audio", **CC, local_ssrc=8, ssrc=10))
    streams.start(transport)
    for number in range(20):
        sending.video.send(picture(500, number * 33 * MS, keyframe=number == 0))
        sending.audio.send(b"x" * 80, number * 33 * MS)
        sending.timers.turn(33)
    for place, packet in enumerate(sending.transport.rtp):
        streams.take_rtp(packet, place * 10 * MS)
    for kind, fmt, body in transport.reports():
        sending.congestion.handle_rtcp(kind, fmt, body, sending.clock.now_ns())
    numbers = sending.congestion.numbers()
    assert numbers["packets_acknowledged"] >= len(sending.transport.rtp) - 6
    assert numbers["packets_not_arrived"] == 0
    assert streams.numbers()["transport_cc_sent"] == numbers["transport_cc_reports"] > 3


def test_a_far_end_that_negotiates_the_feedback_and_sends_none_is_judged_by_its_receiver_reports() -> None:
    clock = TurnedClock()
    congestion = CongestionControl(clock, most_video_bps=2_000_000)
    congestion.use_transport_cc()
    for _ in range(12):
        for _ in range(50):
            congestion.packet(clock.now_ns(), 1200, 1)
            clock.turn(20)
        congestion.receiver_report(0.3, 40 * MS, clock.now_ns(), 50)
    assert congestion.controller.target_bps < 300_000
