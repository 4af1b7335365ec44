"""The lab MCU's wall: pictures in their tiles, names beside them, time codes left alone."""

import pytest

from appliance.labmcu.h264 import WallDecoder, WallEncoder
from appliance.labmcu.tile_source import Picture, TileSource
from appliance.labmcu.wall import Wall, planes
from appliance.media import timecode

from .test_labmcu_video import MS, flat


class TurnedClock:
    """A clock that the test turns."""

    def __init__(self) -> None:
        self.ns = 1_000_000_000

    def now_ns(self) -> int:
        return self.ns


def showing(name: str, luma: int, clock: TurnedClock, size: tuple[int, int] = (640, 360)) -> TileSource:
    source = TileSource(name, clock, lambda: None)
    frame = flat(*size, luma)
    source.picture = Picture(frame, frame, size, clock.ns - 40 * MS, clock.ns)
    return source


@pytest.fixture
def clock() -> TurnedClock:
    return TurnedClock()


# The wall


def test_a_single_picture_is_copied_to_the_pixel_except_for_its_name(clock: TurnedClock) -> None:
    wall = Wall(640, 360, "giao-ban")
    luma, u, _ = planes(wall.compose([showing("Xã An Phú", 200, clock)], clock.now_ns))
    assert (luma[:320] == 200).all()
    assert (u[:160] == 90).all()
    assert not (luma[330:, :200] == 200).all()


def test_names_never_touch_the_top_rows_of_a_tile_where_time_codes_stand(clock: TurnedClock) -> None:
    sources = [showing(f"Phường Bến Nghé {n}", 100 + n, clock) for n in range(9)]
    luma = planes(Wall(1280, 720, "giao-ban").compose(sources, clock.now_ns))[0]
    for number in range(9):
        x, y = number % 3 * 426, number // 3 * 240
        assert (luma[y : y + 160, x : x + 426] == 100 + number).all()


def test_a_late_rearrangement_fits_old_pictures_into_their_new_tiles(clock: TurnedClock) -> None:
    wall = Wall(640, 360, "giao-ban")
    first, second = showing("a", 60, clock), showing("b", 180, clock)
    wall.compose([first], clock.now_ns)
    luma = planes(wall.compose([first, second], clock.now_ns))[0]
    assert abs(int(luma[180, 160]) - 60) <= 1
    assert abs(int(luma[180, 480]) - 180) <= 1
    assert luma[10, 10] < 40
    luma = planes(wall.compose([second], clock.now_ns))[0]
    assert (luma[:300] == 180).all()


def test_who_sends_no_picture_has_a_plain_tile_with_the_name(clock: TurnedClock) -> None:
    luma = planes(Wall(640, 360, "giao-ban").compose([TileSource("Xã An Phú", clock, lambda: None)], clock.now_ns))[0]
    assert luma[0, 0] == luma[-1, -1] == 48
    assert (luma[140:220] > 150).any()


def test_an_old_picture_gives_way_to_the_name(clock: TurnedClock) -> None:
    wall = Wall(640, 360, "giao-ban")
    source = showing("Xã An Phú", 200, clock)
    wall.compose([source], clock.now_ns)
    clock.ns += 3_500 * MS
    assert planes(wall.compose([source], clock.now_ns))[0][5, 5] == 48


def test_an_empty_room_says_so(clock: TurnedClock) -> None:
    luma = planes(Wall(640, 360, "giao-ban").compose([], clock.now_ns))[0]
    assert (luma > 150).any()


def test_a_picture_of_other_proportions_stands_between_bars(clock: TurnedClock) -> None:
    luma = planes(Wall(640, 360, "giao-ban").compose([showing("a", 200, clock, (480, 360))], clock.now_ns))[0]
    assert luma[100, 320] == 200
    assert luma[100, 20] < 40
    assert luma[100, 620] < 40


def test_a_changed_picture_size_leaves_nothing_of_the_old_one(clock: TurnedClock) -> None:
    wall = Wall(640, 360, "giao-ban")
    source = showing("a", 200, clock)
    wall.compose([source], clock.now_ns)
    frame = flat(480, 360, 100)
    source.picture = Picture(frame, frame, (640, 360), clock.ns, clock.ns)
    luma = planes(wall.compose([source], clock.now_ns))[0]
    assert luma[100, 320] == 100
    assert luma[100, 20] < 40


def test_the_delay_from_capture_to_wall_is_known(clock: TurnedClock) -> None:
    source = showing("a", 200, clock)
    Wall(640, 360, "giao-ban").compose([source], clock.now_ns)
    assert source.delay_ns == 40 * MS


@pytest.mark.parametrize("count", range(1, 10))
def test_time_codes_survive_the_wall_and_its_encoder(count: int, clock: TurnedClock) -> None:
    sources = []
    for number in range(count):
        source = TileSource(f"Xã {number}", clock, lambda: None)
        frame = flat(1280, 720, 100 + number)
        timecode.draw(planes(frame)[0], clock.ns + number * MS, number)
        source.picture = Picture(frame, frame, (1280, 720), clock.ns, clock.ns)
        sources.append(source)
    encoder, decoder = WallEncoder(1280, 720, 30, 2_500_000), WallDecoder()
    unit = encoder.encode(Wall(1280, 720, "giao-ban").compose(sources, clock.now_ns), clock.ns, keyframe=True)
    assert unit is not None
    wall = decoder.decode(unit[0], is_keyframe=True)
    assert wall is not None
    codes = timecode.read_wall(planes(wall)[0])
    assert [(code.unit, code.time_ms) for code in codes] == [(n, clock.ns // MS + n) for n in range(count)]
