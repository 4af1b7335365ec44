"""The time code in the picture: found for sure through scaling, walls and hard compression, or said to be absent."""

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.media import timecode
from appliance.media.timecode import Luma, TimeCode

NS_PER_MS = 1_000_000


def a_scene(width: int, height: int, seed: int = 0) -> Luma:
    """A smooth picture with some texture, as a room is."""
    rng = np.random.default_rng(seed)
    slope = np.linspace(40, 200, width) + np.linspace(0, 40, height)[:, None]
    return np.clip(slope + rng.normal(0, 6, (height, width)), 16, 235).astype(np.uint8)


def a_coded_scene(width: int, height: int, unit: int, time_ms: int) -> Luma:
    luma = a_scene(width, height, unit)
    timecode.draw(luma, time_ms * NS_PER_MS, unit)
    return luma


def scaled(luma: Luma, width: int, height: int) -> Luma:
    frame = av.VideoFrame.from_ndarray(luma, "gray").reformat(width, height, interpolation="BILINEAR")
    return np.ascontiguousarray(frame.to_ndarray())


def pasted(wall: Luma, luma: Luma, x: int, y: int) -> None:
    wall[y : y + luma.shape[0], x : x + luma.shape[1]] = luma


def a_black(width: int, height: int) -> Luma:
    return np.full((height, width), timecode.BLACK, np.uint8)


def through_x264(pictures: Sequence[Luma], bps: int) -> list[Luma]:
    """The pictures after encoding at this rate and 30 fps, and decoding."""
    height, width = pictures[0].shape
    encoder: Any = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height, encoder.pix_fmt = width, height, "yuv420p"
    encoder.time_base, encoder.framerate, encoder.bit_rate = Fraction(1, 30), Fraction(30), bps
    encoder.options = {
        "preset": "superfast",
        "tune": "zerolatency",
        "maxrate": str(bps),
        "bufsize": str(bps // 2),
        "profile": "baseline",
    }
    decoder: Any = av.CodecContext.create("h264", "r")
    seen = []
    for number, luma in enumerate(pictures):
        planes = np.full((height * 3 // 2, width), 128, np.uint8)
        planes[:height] = luma
        frame = av.VideoFrame.from_ndarray(planes, "yuv420p")
        frame.pts = number
        for packet in encoder.encode(frame):
            seen += [picture.to_ndarray()[:height] for picture in decoder.decode(packet)]
    seen += [picture.to_ndarray()[:height] for picture in decoder.decode(None)]
    return seen


@given(
    unit=st.integers(0, 255),
    time_ms=st.integers(0, 2**40),
    size=st.tuples(st.integers(80, 960), st.integers(45, 540)).map(lambda size: (size[0] * 2, size[1] * 2)),
)
def test_whatever_is_drawn_is_read(unit: int, time_ms: int, size: tuple[int, int]) -> None:
    luma = a_black(*size)
    timecode.draw(luma, time_ms * NS_PER_MS + 999_999, unit)
    assert timecode.read(luma) == TimeCode(unit, time_ms % 2**32)
    assert timecode.read_wall(luma) == [TimeCode(unit, time_ms % 2**32)]


@given(time_ms=st.integers(0, 2**32 - 1), ahead_ms=st.integers(-(2**31) + 1, 2**31 - 1), turns=st.integers(1, 50))
def test_a_code_that_wrapped_is_put_next_to_the_present(time_ms: int, ahead_ms: int, turns: int) -> None:
    sent_ms = turns * 2**32 + time_ms
    assert timecode.to_ns(sent_ms % 2**32, (sent_ms + ahead_ms) * NS_PER_MS) == sent_ms * NS_PER_MS


def test_noise_and_plain_pictures_hold_no_code() -> None:
    rng = np.random.default_rng(7)
    for _ in range(40):
        noise = rng.integers(0, 256, (720, 1280), dtype=np.uint8)
        assert timecode.read(noise) is None
        assert timecode.read_wall(noise) == []
    for picture in (a_black(1280, 720), a_scene(1280, 720), a_black(40, 20), np.zeros((0, 0), np.uint8)):
        assert timecode.read(picture) is None
        assert timecode.read_wall(picture) == []


def test_cells_of_chance_are_refused_by_the_checksum() -> None:
    rng = np.random.default_rng(3)
    luma = a_coded_scene(1280, 720, 1, 1)
    rows = timecode.height_of(1280) // 2
    found = 0
    for _ in range(2000):
        cells = rng.integers(0, 2, 32)
        columns = np.arange(1280) * 36 // 1280
        inside = (columns >= 2) & (columns < 34)
        luma[:rows, inside] = np.where(cells[columns[inside] - 2] == 1, timecode.WHITE, timecode.BLACK)
        found += timecode.read(luma) is not None
    assert found == 0


@pytest.mark.parametrize("damage", [slice(0, 640), slice(500, 600), slice(1200, 1280)])
def test_a_damaged_code_is_none_and_not_a_wrong_time(damage: slice) -> None:
    luma = a_coded_scene(1280, 720, 5, 1_234_567)
    luma[:32, damage] = 255 - luma[:32, damage]
    assert timecode.read(luma) is None


@pytest.mark.parametrize("parts", [2, 3])
def test_a_code_survives_a_wall_of_smaller_tiles(parts: int) -> None:
    wall = a_black(1280, 720)
    sent = []
    for place in range(parts * parts):
        x, y = place % parts * 1280 // parts & ~1, place // parts * 720 // parts & ~1
        pasted(wall, scaled(a_coded_scene(1280, 720, place, 7000 + place), 1280 // parts & ~1, 720 // parts), x, y)
        sent.append(TimeCode(place, 7000 + place))
    assert timecode.read_wall(wall) == sent


def test_two_units_side_by_side_between_black_bars_are_read() -> None:
    wall = a_black(1280, 720)
    for unit in (0, 1):
        pasted(wall, scaled(a_coded_scene(1280, 720, unit, 90 + unit), 640, 360), unit * 640, 180)
    assert timecode.read_wall(wall) == [TimeCode(0, 90), TimeCode(1, 91)]


def test_a_picture_between_black_bars_of_its_own_is_read() -> None:
    pillarboxed = a_black(1280, 720)
    pasted(pillarboxed, scaled(a_coded_scene(640, 480, 3, 55), 960, 720), 160, 0)
    letterboxed = a_black(640, 480)
    pasted(letterboxed, a_coded_scene(640, 360, 4, 56), 0, 60)
    assert timecode.read(pillarboxed) == TimeCode(3, 55)
    assert timecode.read_wall(pillarboxed) == [TimeCode(3, 55)]
    assert timecode.read(letterboxed) == TimeCode(4, 56)
    wall = a_black(1280, 720)
    pasted(wall, scaled(pillarboxed, 640, 360), 640, 360)
    pasted(wall, scaled(a_coded_scene(1280, 720, 9, 57), 640, 360), 0, 0)
    assert timecode.read_wall(wall) == [TimeCode(9, 57), TimeCode(3, 55)]


def test_a_low_bit_rate_leaves_the_code_readable() -> None:
    sent = [a_coded_scene(1280, 720, 2, 1000 + number * 33) for number in range(40)]
    seen = [timecode.read(luma) for luma in through_x264(sent, 150_000)]
    assert seen == [TimeCode(2, 1000 + number * 33) for number in range(40)]


@pytest.mark.parametrize("parts", [2, 3])
def test_two_encodings_at_low_rate_with_tiles_between_leave_the_code_readable(parts: int) -> None:
    """Unit to MCU at a low rate, scaled into a tile, and the wall encoded once more."""
    sent = [a_coded_scene(1280, 720, 2, 1000 + number * 33) for number in range(20)]
    walls = []
    for luma in through_x264(sent, 300_000):
        wall = a_black(1280, 720)
        pasted(wall, scaled(luma, 1280 // parts & ~1, 720 // parts), 0, 0)
        walls.append(wall)
    seen = [timecode.read_wall(wall) for wall in through_x264(walls, 400_000)]
    assert seen == [[TimeCode(2, 1000 + number * 33)] for number in range(20)]


def test_a_picture_too_small_for_the_code_is_refused() -> None:
    with pytest.raises(ValueError, match="too small"):
        timecode.draw(a_black(64, 36), 0, 0)
