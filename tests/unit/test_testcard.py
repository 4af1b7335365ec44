"""The test card: its pace, its flash, its clock, and what it says of itself."""

import time
from collections import Counter

import numpy as np
import pytest

from appliance.capture.letters import pillow_lettering
from appliance.capture.pictures import Pacer, Picture, Plane, planes_of
from appliance.capture.testcard import TestCardSource, is_flash
from appliance.media.clock import NS_PER_S

from .video_doubles import TurnedClock, a_config


def plain_lettering(text: str, height: int) -> Plane:
    return np.full((height, max(1, len(text)) * height // 2), 255, np.uint8)


def a_card(clock: TurnedClock, wall_s: float = 0.0, **changes: int) -> TestCardSource:
    return TestCardSource(
        a_config(**changes), "Xã Tân Lập", plain_lettering, clock, wall_s=lambda: wall_s, sleep=clock.sleep
    )


def next_picture(source: TestCardSource) -> Picture:
    while (picture := source.read()) is None:
        pass
    return picture


@pytest.mark.parametrize("fps", [5, 24, 30, 50])
def test_pictures_come_on_the_grid_of_the_clock_and_never_drift(fps: int) -> None:
    clock = TurnedClock(7_777_777_777)
    source = a_card(clock, fps=fps)
    begun = next_picture(source).captured_ns
    taken = [next_picture(source).captured_ns for _ in range(fps * 100)]
    assert taken[-1] - begun == pytest.approx(100 * NS_PER_S, abs=1000)
    assert all((at * fps / NS_PER_S) % 1 < 0.001 for at in taken)


def test_a_delay_skips_ticks_and_is_not_made_up_for() -> None:
    clock = TurnedClock()
    pacer = Pacer(clock, 10, clock.sleep)
    assert pacer.wait() is not None
    clock.time_ns += NS_PER_S * 35 // 100
    late = pacer.wait()
    after = pacer.wait()
    assert late is not None
    assert after is not None
    assert NS_PER_S // 20 <= after - late <= NS_PER_S // 10


def test_the_frame_rate_changes_at_once() -> None:
    clock = TurnedClock()
    source = a_card(clock)
    next_picture(source)
    source.set_framerate(5)
    first, second = next_picture(source).captured_ns, next_picture(source).captured_ns
    assert second - first == pytest.approx(NS_PER_S // 5, abs=1000)


def test_the_flash_begins_with_each_second_and_lasts_a_tenth() -> None:
    clock = TurnedClock()
    source = a_card(clock, fps=50)
    bright: Counter[bool] = Counter()
    for _ in range(150):
        picture = next_picture(source)
        luma = planes_of(picture.frame)[0]
        # The patch at the right below the bars.
        is_bright = int(luma[130, 300]) > 200
        assert is_bright == (picture.captured_ns % NS_PER_S < NS_PER_S // 10) == is_flash(picture.captured_ns)
        bright[is_bright] += 1
    assert bright == {True: 15, False: 135}


def test_only_the_clock_the_sweep_and_the_flash_change() -> None:
    clock = TurnedClock(1_000 * NS_PER_S + NS_PER_S // 2)
    source = a_card(clock)
    before = [plane.copy() for plane in planes_of(next_picture(source).frame)]
    after = planes_of(next_picture(source).frame)
    assert (before[1] == after[1]).all()
    assert (before[2] == after[2]).all()
    changed = np.flatnonzero((before[0] != after[0]).any(axis=1))
    assert changed.size
    assert changed[0] > 160  # the sweep at the bottom; the wall clock stands still here


def test_the_wall_clock_is_written_in_its_digits() -> None:
    def digits(text: str, height: int) -> Plane:
        return np.full((height, height // 2), 25 * int(text) if text.isdigit() else 0, np.uint8)

    clock = TurnedClock()
    wall_s = time.mktime((2026, 11, 23, 21, 34, 56, 0, 0, -1)) + 0.7
    source = TestCardSource(
        a_config(width=1280, height=720), "x", digits, clock, wall_s=lambda: wall_s, sleep=clock.sleep
    )
    luma = planes_of(next_picture(source).frame)[0]
    row, width = 720 * 3 // 8 // 3, 720 * 3 // 8 // 3 // 2
    cells = [int(luma[450 + row + row // 2, 32 + place * width + width // 2]) for place in range(10)]
    levels = [24 + (235 - 24) * 25 * digit // 255 for digit in range(10)]
    assert [min(range(10), key=lambda digit: abs(levels[digit] - cell)) for cell in cells] == [
        2,
        1,
        0,
        3,
        4,
        0,
        5,
        6,
        0,
        7,
    ]


@pytest.mark.parametrize(("width", "height"), [(160, 90), (162, 120), (640, 480), (1920, 1080)])
def test_the_card_fits_every_size(width: int, height: int) -> None:
    clock = TurnedClock()
    source = TestCardSource(
        a_config(width=width, height=height), "Phường Bến Nghé " * 4, pillow_lettering, clock, sleep=clock.sleep
    )
    luma = planes_of(next_picture(source).frame)[0]
    assert luma.shape == (height, width)
    assert int(luma.min()) >= 16
    assert int(luma.max()) <= 235


def test_vietnamese_names_are_written_out() -> None:
    plain, accented = pillow_lettering("Xa Tan Lap", 60), pillow_lettering("Xã Tân Lập", 60)
    assert plain.shape[0] == accented.shape[0] == 60
    assert accented[:12].max() == 0 or accented.sum() > plain.sum()
    assert accented.max() == 255
