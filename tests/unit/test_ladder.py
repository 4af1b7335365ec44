"""The ladder: which picture for which bit rate, and no flapping between two."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.capture.ladder import Ladder, rungs
from appliance.media.clock import NS_PER_S

MOST = 2_000_000


class Climber:
    """A ladder that is looked at 30 times a second."""

    def __init__(self, width: int = 1280, height: int = 720, fps: int = 30, bps: int = MOST) -> None:
        self.ladder = Ladder(width, height, fps, bps)
        self.now_ns = 0
        self.changes = 0

    def at(self, bps: int, seconds: float) -> tuple[int, int]:
        """(height, frame rate) after so many seconds at this bit rate."""
        for _ in range(round(seconds * 30)):
            before = self.ladder.rung
            self.now_ns += NS_PER_S // 30
            self.changes += self.ladder.look(bps, self.now_ns) is not before
        return self.ladder.rung.height, self.ladder.rung.fps


@pytest.mark.parametrize(
    ("bps", "height", "fps"),
    [
        (2_000_000, 720, 30),
        (800_000, 720, 30),
        (600_000, 720, 20),
        (400_000, 540, 20),
        (250_000, 360, 20),
        (160_000, 360, 15),
        (100_000, 270, 15),
        (64_000, 180, 15),
        (32_000, 180, 15),
    ],
)
def test_first_the_bit_rate_falls_then_the_frame_rate_then_the_size(bps: int, height: int, fps: int) -> None:
    assert Climber().at(bps, 2) == (height, fps)


def test_the_shape_of_the_picture_is_kept_and_its_sides_are_even() -> None:
    for width, height in ((1280, 720), (1920, 1080), (640, 480), (1024, 576), (720, 1280)):
        for rung in rungs(width, height, 30, MOST):
            assert rung.width / rung.height == pytest.approx(width / height, rel=0.02)
            assert rung.width % 2 == rung.height % 2 == 0


def test_each_rung_down_is_less_and_the_last_has_no_floor() -> None:
    for size in ((1280, 720), (1920, 1080), (640, 360), (640, 480), (160, 90)):
        ladder = rungs(*size, 30, MOST)
        assert (ladder[0].width, ladder[0].height, ladder[0].fps) == (*size, 30)
        costs = [rung.width * rung.height * rung.fps for rung in ladder]
        assert costs == sorted(set(costs), reverse=True)
        assert [rung.number for rung in ladder] == list(range(len(ladder)))
        floors = [rung.least_bps for rung in ladder]
        assert floors == sorted(set(floors), reverse=True)
        assert floors[-1] == 0


def test_a_low_bit_rate_that_somebody_chose_is_enough_for_the_configured_picture() -> None:
    climber = Climber(bps=500_000)
    assert climber.at(500_000, 5) == (720, 30)
    assert climber.at(310_000, 5) == (720, 30)
    assert climber.at(100_000, 5)[0] < 720


def test_a_frame_rate_that_is_low_already_is_not_lowered_to_a_slide_show() -> None:
    assert {rung.fps for rung in rungs(1280, 720, 10, MOST)} == {10}


def test_a_sudden_fall_is_followed_at_once_and_a_small_one_after_half_a_second() -> None:
    climber = Climber()
    assert climber.at(740_000, 0.4) == (720, 30)
    assert climber.at(740_000, 0.2) == (720, 20)
    assert climber.at(100_000, 0.04) == (270, 15)


def test_a_short_dip_changes_nothing() -> None:
    climber = Climber()
    for _ in range(10):
        climber.at(700_000, 0.3)
        climber.at(900_000, 0.3)
    assert climber.changes == 0


def test_the_way_up_takes_clearly_more_than_the_way_down_left_and_three_seconds() -> None:
    climber = Climber()
    climber.at(400_000, 1)
    assert climber.at(600_000, 10) == (540, 20), "enough to stay at 720, not to come back to it"
    assert climber.at(700_000, 2.5) == (540, 20)
    assert climber.at(700_000, 1) == (720, 20)


def test_a_rate_that_swings_about_a_step_does_not_make_the_picture_flap() -> None:
    climber = Climber()
    for _ in range(20):
        climber.at(500_000, 3)
        climber.at(700_000, 3)
    assert climber.changes <= 4


def test_a_good_line_brings_the_whole_picture_back_within_ten_seconds() -> None:
    climber = Climber()
    climber.at(64_000, 60)
    assert climber.at(2_000_000, 4) == (720, 30)


@given(st.lists(st.tuples(st.integers(32_000, 3_000_000), st.floats(0.1, 5)), max_size=40))
def test_whatever_the_rate_does_the_picture_changes_at_most_once_a_second_on_average(
    rates: list[tuple[int, float]],
) -> None:
    climber = Climber()
    for bps, seconds in rates:
        climber.at(bps, seconds)
    ups = climber.now_ns / NS_PER_S / 3
    # Each way up is waited for; the way down has no more steps than there are rungs above.
    assert climber.changes <= (ups + 1) * 8
