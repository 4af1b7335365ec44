"""Where pictures stand on the lab MCU's wall."""

import pytest

from appliance.labmcu.layout import MAX_TILES, Tile, fit, tiles


def test_one_picture_fills_the_wall() -> None:
    assert tiles(1, 1280, 720) == (Tile(0, 0, 1280, 720),)


def test_two_pictures_stand_side_by_side_in_the_middle() -> None:
    assert tiles(2, 1280, 720) == (Tile(0, 180, 640, 360), Tile(640, 180, 640, 360))


@pytest.mark.parametrize("count", [3, 4])
def test_three_and_four_stand_in_a_grid_of_two_by_two(count: int) -> None:
    grid = (Tile(0, 0, 640, 360), Tile(640, 0, 640, 360), Tile(0, 360, 640, 360), Tile(640, 360, 640, 360))
    assert tiles(count, 1280, 720) == grid[:count]


@pytest.mark.parametrize("count", range(5, 10))
def test_five_to_nine_stand_in_a_grid_of_three_by_three(count: int) -> None:
    found = tiles(count, 1280, 720)
    assert len(found) == count
    assert found[4] == Tile(426, 240, 426, 240)


def test_an_empty_room_has_no_tiles_and_a_crowd_no_more_than_nine() -> None:
    assert tiles(0, 1280, 720) == ()
    assert len(tiles(12, 1280, 720)) == MAX_TILES


@pytest.mark.parametrize("size", [(1280, 720), (1920, 1080), (854, 480), (640, 360), (1278, 718)])
@pytest.mark.parametrize("count", range(1, 10))
def test_tiles_are_even_lie_on_the_wall_and_do_not_overlap(count: int, size: tuple[int, int]) -> None:
    width, height = size
    found = tiles(count, width, height)
    for tile in found:
        assert not any(number % 2 for number in (tile.x, tile.y, tile.width, tile.height))
        assert tile.x + tile.width <= width
        assert tile.y + tile.height <= height
    for one in found:
        for other in found:
            if one is not other:
                apart_x = one.x + one.width <= other.x or other.x + other.width <= one.x
                apart_y = one.y + one.height <= other.y or other.y + other.height <= one.y
                assert apart_x or apart_y


def test_a_picture_of_the_wall_s_proportions_fills_its_tile() -> None:
    tile = Tile(426, 240, 426, 240)
    assert fit(1280, 720, tile) == tile
    assert fit(1920, 1088, tile) == tile


def test_a_picture_of_other_proportions_keeps_them_in_the_middle_of_its_tile() -> None:
    assert fit(640, 480, Tile(0, 0, 1280, 720)) == Tile(160, 0, 960, 720)
    assert fit(720, 1280, Tile(640, 0, 640, 360)) == Tile(640 + 218, 0, 202, 360)


def test_even_an_absurd_picture_has_a_place() -> None:
    assert fit(4096, 2, Tile(0, 0, 640, 360)).height == 2
    assert fit(2, 4096, Tile(0, 0, 640, 360)).width == 2
