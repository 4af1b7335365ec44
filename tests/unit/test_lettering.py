"""Letters on cards and labels: whole, accents and tails included, and long names to their last letter."""

import unicodedata

import numpy as np
import pytest
from PIL import Image, ImageDraw

from appliance.capture.card import card_maker
from appliance.capture.letters import LEAST_HEIGHT, fitted_lines, pillow_lettering
from appliance.capture.pictures import planes_of
from appliance.capture.recorder import Card
from appliance.capture.testcard import TestCardSource
from appliance.labmcu.labels import name_label
from appliance.media import timecode
from appliance.media.drawing import fitted_mask, font, text_mask
from appliance.media.timecode import Luma

from .video_doubles import TurnedClock, a_config

MARKS = ("", "\u0300", "\u0301", "\u0303", "\u0309", "\u0323")
VIETNAMESE = [
    unicodedata.normalize("NFC", letter + mark) for letter in "AĂÂEÊIOÔƠUƯYaăâeêioôơuưy" for mark in MARKS
] + list("ĐđBCDGHKLMNPQRSTVXbcdghklmnpqrstvxFJWZfjwz0123456789.,:;-()[]/&\"'!?…")
LONG = "Ủy ban nhân dân xã Nguyễn Thị Minh Khai, huyện Thường Xuân, Thọ"
WIDE = "W" * 64
# The ends of what settings take, and shapes between them.
SIZES = [(width, height) for width in (160, 240, 720, 1920) for height in (90, 200, 630, 1080)]


def ink_on_a_large_sheet(letter: str, size: int) -> int:
    sheet = Image.new("L", (size * 4, size * 4))
    ImageDraw.Draw(sheet).text((size, size * 2), letter, fill=255, font=font(size), anchor="ls")
    return int(np.asarray(sheet).sum())


@pytest.mark.parametrize("size", [4, 6, 8, 9, 11, 16, 23, 36, 50, 115])
def test_no_vietnamese_letter_loses_ink_at_the_edge_of_its_line(size: int) -> None:
    assert len(set(VIETNAMESE)) == 212
    cut = [letter for letter in VIETNAMESE if int(text_mask(letter, size).sum()) != ink_on_a_large_sheet(letter, size)]
    assert cut == []


@pytest.mark.parametrize("height", [LEAST_HEIGHT, 16, 33, 64, 100, 172])
def test_a_line_of_a_given_height_holds_whole_letters(height: int) -> None:
    for text in ("ẪẴỖỄ", "gỵpqj", "Xã Tân Lập"):
        line = pillow_lettering(text, height)
        assert line.shape[0] == height
        sizes = [size for size in range(4, height) if int(text_mask(text, size).sum()) == int(line.sum())]
        assert len(sizes) == 1, "the line holds all the ink of some size of letters"
        assert sizes[0] > height * 0.5


def test_a_text_that_is_too_wide_even_at_its_smallest_is_shortened_and_says_so() -> None:
    drawn: list[str] = []

    def draw(text: str, size: int) -> Luma:
        drawn.append(text)
        return np.zeros((size, len(text) * size), np.uint8)

    assert fitted_mask(draw, "Phường Bến Nghé", 20, 10, 60).shape == (10, 60)
    assert drawn[-1] == "Phườn…"


def a_card(name: str, width: int, height: int) -> Luma:
    return planes_of(card_maker(width, height, name, "vi", pillow_lettering)(Card.OFF))[0]


def a_test_card(name: str, width: int, height: int) -> Luma:
    clock = TurnedClock()
    source = TestCardSource(
        a_config(width=width, height=height), name, pillow_lettering, clock, wall_s=lambda: 0.0, sleep=clock.sleep
    )
    while (picture := source.read()) is None:
        pass
    return planes_of(picture.frame)[0]


@pytest.mark.parametrize("draw", [a_card, a_test_card])
@pytest.mark.parametrize(("width", "height"), [(320, 180), (640, 360), (1280, 720), (1920, 1080), (480, 640)])
def test_a_long_name_is_seen_to_its_last_letter(draw: type, width: int, height: int) -> None:
    whole, other = draw(LONG, width, height), draw(f"{LONG[:-1]}u", width, height)
    assert (whole != other).any()


def test_both_lines_of_a_long_name_are_as_high() -> None:
    lines = fitted_lines(pillow_lettering, "Phường Wwwwwwwwwww Iiiiiiiiiiii", 60, 200, 100)
    assert len(lines) == 2
    assert lines[0].shape[0] == lines[1].shape[0] <= 50
    assert all(line.shape[1] <= 200 for line in lines)


@pytest.mark.parametrize("name", ["X", "Xã Tân Lập", LONG, WIDE])
@pytest.mark.parametrize(("width", "height"), SIZES)
def test_a_card_of_every_size_keeps_its_margins(name: str, width: int, height: int) -> None:
    luma = a_card(name, width, height)
    margin = width // 25
    for edge in (luma[:, :margin], luma[:, -margin:], luma[:2], luma[-2:]):
        assert int(edge.max()) == int(edge.min())
    assert int(luma.max()) > 120


@pytest.mark.parametrize("name", ["X", "Xã Tân Lập", LONG, WIDE])
@pytest.mark.parametrize(("width", "height"), SIZES)
def test_a_test_card_of_every_size_has_its_name_its_clock_its_flash_and_its_code(
    name: str, width: int, height: int
) -> None:
    clock = TurnedClock()
    wall_s = 0.0
    source = TestCardSource(
        a_config(width=width, height=height, fps=50),
        name,
        pillow_lettering,
        clock,
        wall_s=lambda: wall_s,
        sleep=clock.sleep,
    )
    while (picture := source.read()) is None:
        pass
    luma = planes_of(picture.frame)[0]
    timecode.draw(luma, picture.captured_ns, 7)
    assert timecode.read(luma) is not None
    before = luma.copy()
    # The first half of a second: the flash is over, and every digit but the first of the hours has changed.
    wall_s, clock.time_ns = 12_345.6, clock.time_ns + 300_000_000
    while (picture := source.read()) is None:
        pass
    below = luma[height * 5 // 8 :].astype(int) - before[height * 5 // 8 :]
    rows, columns = np.nonzero(below)
    assert rows.min() > 0
    assert columns.min() >= 2
    assert columns.max() < width - 1
    assert (below == 24 - 235).any(), "the flash"
    margin = max(2, min(width, height * 16 // 9) // 40)
    assert int(before[height * 5 // 8 :, : margin - 1].max()) == 24


@pytest.mark.parametrize(("width", "height"), [(160, 630), (160, 1080), (240, 1080), (480, 1080), (1280, 720)])
def test_no_digit_of_the_clock_is_cut(width: int, height: int) -> None:
    cells: list[tuple[int, int, int]] = []

    def digits(text: str, size: int) -> Luma:
        mask = pillow_lettering(text, size)
        if text == "8":
            cells.append((size, mask.shape[1], int(mask.astype(int).sum())))
        return mask

    clock = TurnedClock()
    source = TestCardSource(
        a_config(width=width, height=height), "X", digits, clock, wall_s=lambda: 0.0, sleep=clock.sleep
    )
    cell = source._letters["8"].astype(int) - 24
    assert cell.shape[1] >= cells[-1][1]
    assert int(cell.sum()) == pytest.approx(cells[-1][2] * (235 - 24) / 255, rel=0.02)


@pytest.mark.parametrize("width", [60, 120, 426, 640])
def test_labels_of_the_lab_mcu_stay_in_their_tile(width: int) -> None:
    for name in (LONG, WIDE, "Xã Tân Lập"):
        for size in (8, 16, 36):
            label = name_label(name, width, size).luma
            assert label.shape[1] <= width
            # Padding at both ends: nothing is cut at the edge.
            assert int(label[:, -6:].max()) == int(label[:, :6].max()) == 24
