"""What the sender of sound puts on the wire: a seamless stream whose reports tell the capture times."""

import random
from itertools import pairwise

import pytest

from appliance.media.clock import ns_to_48k, ns_to_90k, ntp_to_ns
from appliance.rtp import rtcp
from appliance.rtp.sender import AudioSender
from appliance.rtp.session_clock import SessionClock

from .rtp_fakes import RememberingTransport, TurnedClock, header, parameters, payload


class SoundRig:
    def __init__(self) -> None:
        self.clock = TurnedClock()
        self.transport = RememberingTransport()
        self.session_clock = SessionClock()
        self.audio = AudioSender(self.session_clock, self.clock)
        self.audio.start(self.transport, parameters("audio"))
        self.origin_ns = self.clock.now_ns()

    def send(self, captured_ms: float, level: int | None = None) -> int:
        self.audio.send(b"x" * 80, self.origin_ns + round(captured_ms * 1e6), level)
        return header(self.transport.rtp[-1])[3]


async def test_blocks_follow_without_a_seam_whatever_the_jitter_of_their_times() -> None:
    rig, chance = SoundRig(), random.Random(1)
    stamps = [rig.send(20 * n + chance.uniform(-5, 5)) for n in range(200)]
    assert {(b - a) & 0xFFFFFFFF for a, b in pairwise(stamps)} == {960}


async def test_a_missing_block_leaves_a_gap_of_its_size() -> None:
    rig = SoundRig()
    stamps = [rig.send(20 * n) for n in (0, 1, 2, 4, 5, 105)]
    assert [(b - a) & 0xFFFFFFFF for a, b in pairwise(stamps)] == [960, 960, 1920, 960, 96_000]


async def test_time_that_goes_back_does_not_take_the_stream_back() -> None:
    rig = SoundRig()
    stamps = [rig.send(ms) for ms in (1000, 1020, 500, 520)]
    assert [(b - a) & 0xFFFFFFFF for a, b in pairwise(stamps)] == [960, 960, 960]


async def test_reports_follow_a_microphone_whose_clock_drifts() -> None:
    rig = SoundRig()
    for n in range(6000):  # two minutes of a microphone 100 ppm slow
        captured_ms = 20 * n * 1.0001
        rig.clock.time_ns = rig.origin_ns + round(captured_ms * 1e6)
        stamp = rig.send(captured_ms)
    rig.clock.turn(1000)
    rig.audio.stop()
    _, ntp, rtp = [rtcp.parse_sender_report(body) for kind, _, body in rig.transport.reports() if kind == rtcp.SR][-1]
    told_ns = ntp_to_ns(ntp) - ((rtp - stamp) & 0xFFFFFFFF) / 48_000 * 1e9
    truth_ns = ntp_to_ns(rig.session_clock.ntp(rig.origin_ns + round(captured_ms * 1e6)))
    assert told_ns == pytest.approx(truth_ns, abs=1_000_000)


async def test_the_first_block_is_marked_and_reported() -> None:
    rig = SoundRig()
    rig.send(0)
    rig.send(20)
    assert [header(packet)[1] for packet in rig.transport.rtp] == [True, False]
    assert rig.transport.reports()[0][0] == rtcp.SR


async def test_loudness_is_told_when_it_is_known() -> None:
    rig = SoundRig()
    rig.send(0)
    rig.send(20, -30)
    plain, told = rig.transport.rtp
    assert payload(plain) == payload(told) == b"x" * 80
    assert bytes((2 << 4, 30)) in told[16 : len(told) - 80]
    assert bytes((2 << 4, 30)) not in plain[16 : len(plain) - 80]


def test_clock_conversions_agree_over_days() -> None:
    week_ns = 7 * 86_400 * 1_000_000_000
    assert ns_to_90k(week_ns) * 48 == ns_to_48k(week_ns) * 90
