"""Where each participant's picture stands on the wall."""

from dataclasses import dataclass

MAX_TILES = 9


@dataclass(frozen=True, slots=True)
class Tile:
    """A rectangle of the wall in luma pixels; all four numbers are even, so that chroma planes can be cut alike."""

    x: int
    y: int
    width: int
    height: int


def tiles(count: int, width: int, height: int) -> tuple[Tile, ...]:
    """The tiles of a wall: one picture fills it, two stand side by side, then a grid of 2x2 and of 3x3."""
    if count <= 0:
        return ()
    if count == 1:
        return (Tile(0, 0, _even(width), _even(height)),)
    side = 2 if count <= 4 else 3
    tile_width, tile_height = _even(width // side), _even(height // side)
    # Two pictures keep the size they would have among four, in the middle of the wall: both keep their proportions.
    top = _even((height - tile_height) // 2) if count == 2 else 0
    return tuple(
        Tile(_even(place % side * width // side), top + _even(place // side * height // side), tile_width, tile_height)
        for place in range(min(count, MAX_TILES))
    )


def fit(width: int, height: int, tile: Tile) -> Tile:
    """The largest part of `tile`, in its middle, that has the proportions of a picture of `width` x `height`."""
    if width * tile.height > height * tile.width:
        fitted_width, fitted_height = tile.width, max(2, _even(height * tile.width // width))
    else:
        fitted_width, fitted_height = max(2, _even(width * tile.height // height)), tile.height
    # A bar thinner than 2 % is an encoder's padding (1088 lines for 1080), not another picture format.
    if tile.width - fitted_width <= tile.width // 50 and tile.height - fitted_height <= tile.height // 50:
        return tile
    return Tile(
        tile.x + _even((tile.width - fitted_width) // 2),
        tile.y + _even((tile.height - fitted_height) // 2),
        fitted_width,
        fitted_height,
    )


def _even(number: int) -> int:
    return number & ~1
