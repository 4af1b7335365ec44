"""What the senders put on the wire, and how they answer the far end's RTCP."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.media.clock import ntp_to_ns
from appliance.rtp import rtcp
from appliance.rtp.congestion import CongestionControl
from appliance.rtp.pacer import BURST, CAREFUL, MAX_QUEUED
from appliance.rtp.packetize import MAX_PAYLOAD
from appliance.rtp.repair import HISTORY, MOST_RESENDS
from appliance.rtp.rtcp import ReportBlock
from appliance.rtp.sender import AudioSender
from appliance.rtp.session_clock import SessionClock
from appliance.rtp.video_sender import VideoSender

from .rtp_fakes import RememberingTransport, TurnedClock, TurnedTimers, header, parameters, payload, picture

FAR = 77
MS = 1_000_000
MOST_BPS = 2_000_000


class Rig:
    """A started sender with its far end's ears."""

    def __init__(self, **changes: object) -> None:
        self.clock = TurnedClock()
        self.session_clock = SessionClock()
        self.transport = RememberingTransport()
        self.timers = TurnedTimers(self.clock)
        self.congestion = CongestionControl(self.clock, most_video_bps=MOST_BPS)
        self.video = VideoSender(self.session_clock, self.clock, self.congestion, self.timers.call_later)
        self.keyframes: list[int] = []
        self.bandwidths: list[int] = []
        self.video.on_keyframe(lambda: self.keyframes.append(self.clock.time_ns))
        self.holds: list[int] = []
        self.video.on_bandwidth(self.bandwidths.append)
        self.video.on_hold(self.holds.append)
        self.video.start(self.transport, parameters(**changes))

    def bear_everything(self) -> None:
        """Be some seconds at the configured rate, as on a line without a limit in sight."""
        self.timers.turn(4000)
        self.congestion.controller._set(1e9, self.clock.now_ns())

    def hears(self, packet: bytes) -> None:
        for packet_type, count, body in rtcp.split(packet):
            self.video.handle_rtcp(packet_type, count, body, self.clock.now_ns())

    def send(self, size: int, *, keyframe: bool = False) -> None:
        self.video.send(picture(size, self.clock.now_ns(), keyframe=keyframe))


@pytest.fixture
async def rig() -> Rig:
    return Rig()


async def test_a_picture_is_a_run_of_packets_with_one_timestamp_and_the_marker_last(rig: Rig) -> None:
    rig.send(6000)
    rig.timers.turn(100)
    heads = [header(packet) for packet in rig.transport.rtp]
    assert [head[1] for head in heads] == [False] * (len(heads) - 1) + [True]
    assert {head[0] for head in heads} == {102}
    assert len({head[3] for head in heads}) == 1
    assert [head[2] for head in heads] == list(range(heads[0][2], heads[0][2] + len(heads)))
    assert all(len(payload(packet)) <= MAX_PAYLOAD for packet in rig.transport.rtp)


async def test_packets_carry_mid_and_send_time(rig: Rig) -> None:
    rig.send(100)
    packet = rig.transport.rtp[0]
    assert packet[12:14] == b"\xbe\xde"
    assert packet[16:18] == b"\x10" + b"1"
    assert packet[18] == 3 << 4 | 2
    first = int.from_bytes(packet[19:22], "big")
    rig.clock.turn(500)
    rig.send(100)
    later = int.from_bytes(rig.transport.rtp[1][19:22], "big")
    assert (later - first) & 0xFFFFFF == 1 << 17


async def test_without_negotiated_extensions_there_are_none() -> None:
    rig = Rig(extensions={})
    rig.send(100)
    assert rig.transport.rtp[0][0] == 0x80
    assert payload(rig.transport.rtp[0])[0] == 0x41


async def test_timestamps_follow_capture_time(rig: Rig) -> None:
    rig.send(100)
    rig.clock.turn(100)
    rig.send(100)
    first, second = (header(packet)[3] for packet in rig.transport.rtp)
    assert (second - first) & 0xFFFFFFFF == 9000


async def test_a_keyframe_is_spread_over_time_so_that_it_does_not_flood_the_line(rig: Rig) -> None:
    started_ns = rig.clock.now_ns()
    rig.send(30_000, keyframe=True)
    assert len(rig.transport.rtp) <= 3
    rig.timers.until(lambda: header(rig.transport.rtp[-1])[1])
    took_s = (rig.clock.now_ns() - started_ns) / 1e9
    bps = 30_000 * 8 / took_s
    assert bps == pytest.approx(CAREFUL * rig.congestion.picture_bps, rel=0.15)
    assert header(rig.transport.rtp[-1])[1]


async def test_on_a_line_that_bears_the_whole_rate_small_pictures_leave_at_once_and_large_ones_soon(rig: Rig) -> None:
    rig.bear_everything()
    rig.send(9000)
    assert header(rig.transport.rtp[-1])[1]
    assert rig.video.numbers()["paced"] == 0
    before = len(rig.transport.rtp)
    started_ns = rig.clock.now_ns()
    rig.send(60_000, keyframe=True)
    assert BURST <= len(rig.transport.rtp) - before <= BURST + 3
    rig.timers.until(lambda: header(rig.transport.rtp[-1])[1])
    assert rig.clock.now_ns() - started_ns < 70 * MS


async def test_a_busy_machine_s_late_timers_do_not_slow_what_waits(rig: Rig) -> None:
    rig.send(30_000, keyframe=True)
    started_ns = rig.clock.now_ns()
    while not header(rig.transport.rtp[-1])[1]:
        rig.clock.turn(35)  # nothing of the loop runs meanwhile
        rig.timers.turn(5)
    took_s = (rig.clock.now_ns() - started_ns) / 1e9
    assert 30_000 * 8 / took_s > 0.8 * CAREFUL * rig.congestion.picture_bps


async def test_a_picture_behind_a_keyframe_keeps_its_place(rig: Rig) -> None:
    rig.send(20_000, keyframe=True)
    rig.timers.turn(33)
    rig.send(1000)
    rig.timers.turn(300)
    sequences = [header(packet)[2] for packet in rig.transport.rtp]
    assert sequences == list(range(sequences[0], sequences[0] + len(sequences)))
    assert len({header(packet)[3] for packet in rig.transport.rtp[:-1]}) == 1


async def test_what_waits_too_long_first_asks_the_encoder_to_leave_pictures_out(rig: Rig) -> None:
    rig.send(25_000, keyframe=True)
    assert len(rig.holds) == 1
    assert 50 <= rig.holds[0] <= 300
    assert rig.video.numbers()["frames_dropped"] == 0
    assert not rig.keyframes


async def test_a_keyframe_takes_the_place_of_pictures_that_still_wait(rig: Rig) -> None:
    rig.send(30_000, keyframe=True)
    for _ in range(3):
        rig.timers.turn(5)
        rig.send(12_000)
    assert rig.video.numbers()["frames_dropped"] == 0
    rig.send(5_000, keyframe=True)
    # What has begun to leave is sent to its end: a gap in the middle of a picture would be asked for.
    assert rig.video.numbers()["frames_dropped"] == 3
    rig.timers.turn(400)
    sequences = [header(packet)[2] for packet in rig.transport.rtp]
    assert sequences == list(range(sequences[0], sequences[0] + len(sequences)))
    assert len({header(packet)[3] for packet in rig.transport.rtp}) == 2


async def test_an_overfull_pacer_drops_whole_pictures_until_a_keyframe_and_asks_for_one_when_it_is_empty(
    rig: Rig,
) -> None:
    rig.send(MAX_QUEUED * 700, keyframe=True)
    rig.send(1000)
    assert rig.video.numbers()["frames_dropped"] == 1
    assert len(rig.keyframes) == 1
    rig.clock.turn(600)
    rig.send(1000)
    assert rig.video.numbers()["frames_dropped"] == 2
    assert len(rig.keyframes) == 1, "another keyframe would only make the queue longer"
    rig.timers.until(lambda: rig.video.numbers()["paced"] == 0)
    rig.send(1000)
    assert len(rig.keyframes) == 2
    rig.send(1000, keyframe=True)
    rig.send(1000)
    assert rig.video.numbers()["frames_dropped"] == 3
    assert rig.video.numbers()["frames_sent"] == 3


async def test_a_congested_transport_gets_no_new_pictures(rig: Rig) -> None:
    rig.transport.congested = True
    rig.send(1000)
    assert not rig.transport.rtp
    assert rig.keyframes
    rig.transport.congested = False
    rig.send(1000)
    assert not rig.transport.rtp
    rig.send(1000, keyframe=True)
    assert rig.transport.rtp


async def test_a_lost_packet_is_sent_again_in_the_repair_stream(rig: Rig) -> None:
    rig.send(6000)
    rig.timers.turn(100)
    lost = rig.transport.rtp[2]
    before = len(rig.transport.rtp)
    rig.hears(rtcp.nack(FAR, rig.video.ssrc, [header(lost)[2]]))
    repair = rig.transport.rtp[before]
    assert header(repair)[0] == 103
    assert header(repair)[4] == rig.video.rtx_ssrc
    assert header(repair)[3] == header(lost)[3]
    assert payload(repair) == header(lost)[2].to_bytes(2, "big") + payload(lost)


async def test_without_a_repair_stream_the_packet_itself_is_sent_again() -> None:
    rig = Rig(rtx_payload_type=None)
    rig.send(6000)
    rig.timers.turn(100)
    lost = rig.transport.rtp[3]
    rig.hears(rtcp.nack(FAR, rig.video.ssrc, [header(lost)[2]]))
    assert rig.transport.rtp[-1] == lost


async def test_a_whole_lost_keyframe_is_repaired_once_per_round_trip_and_paced(rig: Rig) -> None:
    rig.send(20_000, keyframe=True)
    rig.timers.until(lambda: header(rig.transport.rtp[-1])[1])
    sent = list(rig.transport.rtp)
    rig.transport.rtp.clear()
    request = rtcp.nack(FAR, rig.video.ssrc, [header(packet)[2] for packet in sent])
    rig.hears(request)
    rig.hears(request)
    assert len(rig.transport.rtp) < len(sent) / 4
    rig.timers.turn(400)
    assert [payload(packet)[:2] for packet in rig.transport.rtp] == [
        header(packet)[2].to_bytes(2, "big") for packet in sent
    ]
    rig.hears(request)
    rig.timers.turn(400)
    assert len(rig.transport.rtp) > len(sent)


async def test_nothing_is_repeated_for_ever_nor_after_nobody_waits_for_it(rig: Rig) -> None:
    rig.send(500)
    request = rtcp.nack(FAR, rig.video.ssrc, [header(rig.transport.rtp[0])[2]])
    for _ in range(MOST_RESENDS + 3):
        rig.hears(request)
        rig.timers.turn(20)
    # Once, and then twice each time.
    assert len(rig.transport.rtp) == 2 + 2 * (MOST_RESENDS - 1)
    rig.send(500)
    late = rtcp.nack(FAR, rig.video.ssrc, [header(rig.transport.rtp[-1])[2]])
    rig.timers.turn(1500)
    rig.hears(late)
    assert len(rig.transport.rtp) == 3 + 2 * (MOST_RESENDS - 1)
    assert rig.video.numbers()["packets_hopeless"] == 4


async def test_repetitions_never_take_more_than_their_share_of_the_line(rig: Rig) -> None:
    for _ in range(80):
        rig.send(1200)
        rig.timers.turn(12)
    sequences = [header(packet)[2] for packet in rig.transport.rtp]
    rig.transport.rtp.clear()
    begun_ns = rig.clock.now_ns()
    for _ in range(8):
        rig.hears(rtcp.nack(FAR, rig.video.ssrc, sequences))
        rig.timers.turn(30)
    repeated = sum(8 * len(packet) for packet in rig.transport.rtp)
    target_bps = rig.congestion.controller.target_bps
    assert repeated <= target_bps * (0.3 + 0.5 * (rig.clock.now_ns() - begun_ns) / 1e9) + 12_000
    assert rig.video.numbers()["packets_not_repeated"] > 0


async def test_what_history_has_forgotten_is_counted(rig: Rig) -> None:
    rig.send(100)
    first = header(rig.transport.rtp[0])[2]
    for _ in range(HISTORY):
        rig.send(100)
        rig.timers.turn(10)
    before = len(rig.transport.rtp)
    rig.hears(rtcp.nack(FAR, rig.video.ssrc, [first]))
    assert len(rig.transport.rtp) == before
    assert rig.video.numbers()["packets_unrepairable"] == 1


async def test_keyframe_requests_reach_the_encoder_at_most_twice_a_second(rig: Rig) -> None:
    for _ in range(10):
        rig.hears(rtcp.pli(FAR, rig.video.ssrc))
        rig.clock.turn(100)
    assert len(rig.keyframes) == 2


async def test_a_full_intra_request_counts_though_its_header_names_no_media(rig: Rig) -> None:
    rig.hears(rtcp.fir(FAR, rig.video.ssrc, 1))
    assert len(rig.keyframes) == 1


async def test_requests_for_another_stream_are_not_ours(rig: Rig) -> None:
    rig.hears(rtcp.pli(FAR, 1) + rtcp.fir(FAR, 2, 1) + rtcp.nack(FAR, 3, [1]) + rtcp.remb(FAR, 1000, [4]))
    assert not rig.keyframes
    assert not rig.bandwidths


async def test_the_far_ends_limit_reaches_the_encoder_less_what_sound_and_headers_take(rig: Rig) -> None:
    rig.hears(rtcp.remb(FAR, 500_000, [rig.video.ssrc]))
    assert rig.bandwidths == [pytest.approx(420_000, rel=0.03)]
    numbers = rig.video.numbers()
    assert (numbers["target_bps"], numbers["bounded_by"]) == (pytest.approx(500_000, rel=1e-4), "cap")


async def test_the_first_report_comes_with_the_first_picture_and_then_one_each_second(rig: Rig) -> None:
    for _ in range(91):
        rig.send(100)
        rig.timers.turn(1000 / 30)
    kinds = [kind for kind, _, _ in rig.transport.reports()]
    assert kinds == [rtcp.SR, rtcp.SDES] * 3


async def test_reports_pair_wall_time_and_rtp_time_of_the_same_capture(rig: Rig) -> None:
    rig.send(100)
    rig.clock.turn(1500)
    captured_ns = rig.clock.now_ns()
    rig.video.send(picture(100, captured_ns - 40_000_000))
    timestamp = header(rig.transport.rtp[-1])[3]
    _, ntp, rtp = [rtcp.parse_sender_report(body) for kind, _, body in rig.transport.reports() if kind == rtcp.SR][-1]
    # 40 ms between capture and sending: the report, read at the receiver, must give the capture time.
    behind_s = ((rtp - timestamp) & 0xFFFFFFFF) / 90_000
    told_ns = ntp_to_ns(ntp) - behind_s * 1e9
    assert told_ns == pytest.approx(ntp_to_ns(rig.session_clock.ntp(captured_ns - 40_000_000)), abs=50_000)


async def test_sound_and_picture_of_one_moment_have_one_wall_time_even_when_the_wall_clock_steps(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    audio = AudioSender(rig.session_clock, rig.clock)
    ears = RememberingTransport()
    audio.start(ears, parameters("audio"))
    rig.send(100)
    monkeypatch.setattr("time.time_ns", lambda: 0)
    audio.send(b"x" * 80, rig.clock.now_ns())
    (video_sr,) = [rtcp.parse_sender_report(b) for kind, _, b in rig.transport.reports() if kind == rtcp.SR]
    (audio_sr,) = [rtcp.parse_sender_report(b) for kind, _, b in ears.reports() if kind == rtcp.SR]
    assert video_sr[1] == audio_sr[1]
    names = {b[6:10] for kind, _, b in rig.transport.reports() + ears.reports() if kind == rtcp.SDES}
    assert names == {b"unit"}


async def test_the_round_trip_is_read_from_receiver_reports(rig: Rig) -> None:
    rig.send(100)
    lsr = rig.session_clock.ntp(rig.clock.now_ns()) >> 16 & 0xFFFFFFFF
    rig.clock.turn(180)
    block = ReportBlock(rig.video.ssrc, 64, 5, 100, 450, lsr, int(0.1 * 65536))
    rig.hears(rtcp.receiver_report(FAR, [block, ReportBlock(9, 255, 9, 9, 9, 0, 0)]))
    numbers = rig.video.numbers()
    assert numbers["rtt_ms"] == pytest.approx(80, abs=0.1)
    assert (numbers["packets_lost"], numbers["fraction_lost"], numbers["jitter_ms"]) == (5, 0.25, 5.0)


async def test_stopping_says_bye_once_and_sends_no_more(rig: Rig) -> None:
    rig.send(60_000, keyframe=True)
    rig.video.stop()
    rig.video.stop()
    count = len(rig.transport.rtp)
    rig.send(100)
    rig.timers.turn(50)
    assert len(rig.transport.rtp) == count
    kind, _, body = rig.transport.reports()[-1]
    assert (kind, body) == (rtcp.BYE, rig.video.ssrc.to_bytes(4, "big"))
    assert [kind for kind, _, _ in rig.transport.reports()].count(rtcp.BYE) == 1
    assert rig.video.numbers()["not_connected"] == 1


async def test_a_picture_before_the_connection_is_counted() -> None:
    sender = VideoSender()
    sender.send(picture(100))
    assert sender.numbers()["not_connected"] == 1


async def test_a_picture_that_is_none_is_counted(rig: Rig) -> None:
    rig.video.send(picture(0).__class__(b"garbage", 0, False))
    assert rig.video.numbers()["malformed_frames"] == 1
    assert not rig.transport.rtp


@given(st.integers(0, 255), st.integers(0, 31), st.binary(max_size=200))
def test_garbage_rtcp_is_counted_and_nothing_else(packet_type: int, count: int, body: bytes) -> None:
    sender = VideoSender()
    sender.start(RememberingTransport(), parameters())
    for kind in (packet_type, rtcp.SR, rtcp.RR, rtcp.RTPFB, rtcp.PSFB):
        sender.handle_rtcp(kind, count, body, 1)
    for fmt in (rtcp.NACK, rtcp.PLI, rtcp.FIR, rtcp.ALFB):
        sender.handle_rtcp(rtcp.PSFB, fmt, body[:4] + sender.ssrc.to_bytes(4, "big") + b"REMB" + body[4:], 1)
        sender.handle_rtcp(rtcp.RTPFB, fmt, body[:4] + sender.ssrc.to_bytes(4, "big") + body[4:], 1)


@given(st.binary(max_size=300))
def test_garbage_compounds_end_in_parts_or_a_value_error(data: bytes) -> None:
    try:
        parts = list(rtcp.split(data))
    except ValueError:
        return
    assert sum(4 + len(body) for _, _, body in parts) <= len(data)


@given(st.lists(st.integers(0, 0xFFFF), min_size=1, max_size=60, unique=True), st.integers(0, 0xFFFF))
def test_requests_name_exactly_the_lost_packets(offsets: list[int], origin: int) -> None:
    lost = [(origin + offset) & 0xFFFF for offset in sorted(offsets)]
    ((_, _, body),) = rtcp.split(rtcp.nack(1, 2, lost))
    assert list(rtcp.parse_nack(body)) == lost
