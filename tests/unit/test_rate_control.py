"""Rate control on a simulated line: our real senders, pacer and ladder, a clock that only the simulation turns."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.rtp.flight import Acknowledged, FlightReport
from appliance.rtp.rate_control import RateController
from appliance.rtp.rate_words import LEAST_BPS
from bench.rate_line import Run

MS = 1_000_000
S = 1_000_000_000
MBIT_2 = 2_000_000
# 500 kbit/s with half a second of queue.
DEEP_QUEUE = 31_250


def first(run: Run, begin: float, true: str, what: float) -> float:
    """Seconds after `begin` until a sample's value is at most (or at least) so much, and stays so for a second."""
    late = [s for s in run.samples if s.t >= begin]
    for place, _ in enumerate(late):
        part = [getattr(s, true) for s in late[place : place + 10]]
        if all(value <= what for value in part) if true == "queue_ms" else all(value >= what for value in part):
            return late[place].t - begin
    raise AssertionError(f"{true} never reached {what}")


# one line


def test_a_clean_line_is_used_in_full_within_ten_seconds_and_stays_clean() -> None:
    run = Run(bps=10_000_000).run(40)
    assert first(run, 0, "target_bps", MBIT_2) < 10
    assert run.got_bps(15, 40) > 0.9 * MBIT_2
    assert run.queue_p(95, 0, 40) < 10
    assert run.ladder.rung.number == 0
    assert run.rung_changes == 0
    assert run.keyframes <= 6


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_slow_line_with_a_deep_queue_is_used_without_filling_its_queue(seed: int) -> None:
    run = Run(bps=500_000, queue_ms=500, one_way_ms=20, seed=seed).run(60)
    assert first(run, 0, "queue_ms", 120) < 3
    assert run.queue_p(50, 5, 60) < 60
    assert run.queue_p(95, 5, 60) < 200
    assert run.got_bps(5, 60) > 0.8 * 500_000
    assert run.ladder.rung.height in (360, 540)
    assert run.frames / 60 > 18, "the picture flows"
    assert run.rung_changes <= 6


@pytest.mark.parametrize("seed", [1, 3, 5, 7])
def test_after_a_sudden_drop_the_queue_is_drained_in_two_seconds_and_the_way_back_takes_fifteen(seed: int) -> None:
    run = Run(bps=MBIT_2, queue_bytes=DEEP_QUEUE, seed=seed)
    run.at(20, lambda: run.set_line(500_000))
    run.at(60, lambda: run.set_line(MBIT_2))
    run.run(100)
    assert first(run, 20, "queue_ms", 120) < 2.5
    assert run.queue_p(50, 23, 60) < 60
    assert run.got_bps(25, 60) > 0.75 * 500_000
    assert first(run, 60, "target_bps", 0.8 * MBIT_2) < 18
    assert first(run, 60, "target_bps", 0.8 * MBIT_2) > 1


@pytest.mark.parametrize(("loss", "least"), [(0.05, 0.7), (0.10, 0.6)])
def test_random_loss_without_delay_does_not_starve_the_picture(loss: float, least: float) -> None:
    run = Run(bps=2_400_000, loss=loss, one_way_ms=40).run(60)
    assert run.got_bps(15, 60) > least * MBIT_2
    assert run.congestion.controller.loss.inherent == pytest.approx(loss, abs=0.04)


def test_loss_that_grows_with_the_rate_bounds_it() -> None:
    """A short queue shows no delay: what does not fit is lost."""
    run = Run(bps=600_000, queue_ms=60).run(60)
    assert run.got_bps(10, 60) > 0.7 * 600_000
    part = run.between(10, 60)
    assert sum(sample.target_bps for sample in part) / len(part) < 1.1 * 600_000


@pytest.mark.parametrize(("queue_ms", "seed"), [(100, 1), (200, 2), (300, 3), (500, 4), (500, 5)])
def test_a_download_over_tcp_beside_us_leaves_us_a_picture_and_is_left_its_share(queue_ms: int, seed: int) -> None:
    run = Run(bps=MBIT_2, queue_ms=queue_ms, seed=seed)
    run.at(15, run.tcp.start)
    run.at(90, run.tcp.stop)
    run.run(115)
    assert 0.2 * MBIT_2 < run.got_bps(25, 90) < 0.8 * MBIT_2
    assert 0.2 * MBIT_2 < run.tcp_bps(25, 90) < 0.8 * MBIT_2
    assert first(run, 90, "target_bps", 0.8 * MBIT_2) < 20


def test_a_still_card_lets_the_rate_neither_run_away_nor_collapse() -> None:
    run = Run(bps=MBIT_2, demand_bps=250_000).run(60)
    assert all(800_000 <= sample.target_bps <= MBIT_2 for sample in run.samples)
    # Only what a burst has measured is believed.
    assert run.congestion.controller.prober.numbers()["probes_good"] > 0
    slow = Run(bps=500_000, demand_bps=150_000).run(60)
    assert all(sample.target_bps <= 600_000 for sample in slow.between(5, 60))
    assert slow.queue_p(95, 5, 60) < 60


def test_silence_halves_the_rate_and_the_return_is_quick() -> None:
    run = Run(bps=3_000_000)
    run.at(20, lambda: run.set_line(0))
    run.at(24, lambda: run.set_line(3_000_000))
    run.run(40)
    assert run.between(23, 24)[-1].cause == "silence"
    assert run.between(23, 24)[-1].target_bps < 0.1 * MBIT_2
    assert first(run, 24, "target_bps", 0.5 * MBIT_2) < 1
    assert first(run, 24, "target_bps", MBIT_2) < 8
    assert run.queue_p(95, 26, 40) < 60


def test_a_far_end_that_reports_late_or_not_at_all_now_and_then_costs_little() -> None:
    run = Run(bps=1_000_000, feedback_loss=0.3).run(40)
    assert run.got_bps(10, 40) > 0.6 * 1_000_000
    assert run.queue_p(95, 10, 40) < 120


def test_jitter_of_radio_is_not_taken_for_a_queue() -> None:
    run = Run(bps=3_000_000, jitter_ms=15).run(40)
    assert run.got_bps(15, 40) > 0.9 * MBIT_2


def test_on_the_slowest_line_the_sound_is_whole_and_the_picture_small() -> None:
    run = Run(bps=128_000, queue_ms=500).run(60)
    assert run.ladder.rung.height == 180
    assert run.audio_bps == 16_000
    assert run.queue_p(50, 10, 60) < 120
    assert run.frames / 60 > 10


def test_without_transport_cc_reports_and_round_trip_keep_the_line_usable() -> None:
    run = Run(bps=MBIT_2, queue_bytes=DEEP_QUEUE, transport_cc=False)
    run.at(30, lambda: run.set_line(500_000))
    run.at(70, lambda: run.set_line(MBIT_2))
    run.run(130)
    assert run.got_bps(15, 30) > 0.7 * MBIT_2
    assert run.queue_p(50, 40, 70) < 150
    assert run.got_bps(40, 70) > 0.4 * 500_000
    assert run.got_bps(110, 130) > 0.7 * MBIT_2


def test_the_mcu_s_cap_is_kept_and_named() -> None:
    run = Run(bps=10_000_000)
    run.at(0.1, lambda: run.congestion.remb(600_000, run.world.now_ns()))
    run.run(20)
    assert run.got_bps(5, 20) < 1.03 * 600_000
    assert run.samples[-1].cause == "cap"
    run.congestion.remb(5_000_000, run.world.now_ns())
    run.run(40)
    assert run.samples[-1].target_bps >= MBIT_2
    assert run.samples[-1].cause == "ok"


def test_of_two_caps_the_lower_one_counts() -> None:
    run = Run(bps=10_000_000)
    run.congestion.sdp_cap(700_000)
    run.congestion.remb(5_000_000, run.world.now_ns())
    assert run.run(10).samples[-1].target_bps == 700_000


# odd orders


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("feedback"), st.integers(-5_000, 5_000), st.integers(0, 40), st.integers(0, 40)),
            st.tuples(st.just("report"), st.integers(0, 2_000), st.integers(0, 100), st.integers(0, 60)),
            st.tuples(st.just("cap"), st.integers(0, 5_000), st.just(0), st.just(0)),
            st.tuples(st.just("wait"), st.integers(1, 5_000), st.just(0), st.just(0)),
        ),
        max_size=60,
    )
)
def test_whatever_is_told_in_whatever_order_the_rate_stays_within_its_bounds(
    events: list[tuple[str, int, int, int]],
) -> None:
    now_ns = 1_000 * S
    controller = RateController(MBIT_2, now_ns)
    for kind, number, first_count, second_count in events:
        for _ in range(10):
            controller.sent(now_ns, 10_000)
            now_ns += 10 * MS
        match kind:
            case "feedback":
                arrived = tuple(
                    Acknowledged(now_ns - (n + 1) * 5 * MS, now_ns + number * MS - n * MS, 10_000, n % 3)
                    for n in range(first_count)
                )
                newest_ns = max((packet.sent_ns for packet in arrived), default=now_ns - 50 * MS)
                controller.feedback(FlightReport(arrived, second_count, min(first_count, 2), newest_ns), now_ns)
            case "report":
                controller.receiver_report(first_count / 100, number * MS if number else None, now_ns, second_count)
            case "cap":
                controller.set_cap(number * 1000 or None, now_ns)
            case "wait":
                now_ns += number * MS
        controller.tick(now_ns, with_transport_cc=number % 2 == 0)
        controller.wants_probe(now_ns)
        assert LEAST_BPS <= controller.target_bps <= controller.limits.top_bps
        assert LEAST_BPS <= controller.encoders_bps <= MBIT_2
        assert controller.cause in ("ok", "delay", "loss", "cap", "silence")
