"""The wall: every participant's newest picture, and its name, laid side by side into one picture."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from av.video.frame import VideoFrame

from .labels import Label, name_label, notice
from .layout import MAX_TILES, Tile, fit, tiles
from .tile_source import Fitter, Picture, TileSource

Plane = npt.NDArray[np.uint8]

_BACKGROUND = (28, 130, 126)
_PLAIN_TILE = (48, 133, 124)
_LABEL_LINES_PER_TILE = 16


@dataclass(slots=True)
class _Place:
    """One tile: who stands there, and what is drawn there now."""

    source: TileSource
    tile: Tile
    label: Label
    drawn: Picture | None = None
    is_plain: bool = False


class Wall:
    """Draws only what changed since the last picture. Not shared between threads."""

    def __init__(self, width: int, height: int, title: str) -> None:
        self._picture = VideoFrame(width, height, "yuv420p")
        self._planes = planes(self._picture)
        self._title = title
        self._fitter = Fitter()
        self._places: list[_Place] | None = None

    def compose(self, line_up: Sequence[TileSource], now: Callable[[], int]) -> VideoFrame:
        """The wall with the newest pictures. The same object each time: encode it before the next call."""
        line_up = line_up[:MAX_TILES]
        if self._places is None or [place.source for place in self._places] != list(line_up):
            self._places = self._arrange(line_up)
        for place in self._places:
            picture, now_ns = place.source.picture, now()
            if picture is None or not place.source.is_fresh_at(now_ns):
                if not place.is_plain:
                    self._draw_plain(place)
            elif picture is not place.drawn or place.is_plain:
                self._draw(place, picture)
                place.source.note_composed(picture, now_ns)
        return self._picture

    def _arrange(self, line_up: Sequence[TileSource]) -> list[_Place]:
        width, height = self._picture.width, self._picture.height
        self._fill(Tile(0, 0, width, height), _BACKGROUND)
        places = []
        for source, tile in zip(line_up, tiles(len(line_up), width, height), strict=True):
            source.tile_size = (tile.width, tile.height)
            places.append(
                _Place(source, tile, name_label(source.name, tile.width, tile.height // _LABEL_LINES_PER_TILE))
            )
        if not places:
            lines = (self._title, "Chưa có điểm cầu nào vào họp", "Nobody has joined yet")
            self._stamp(notice(lines, width, height // 12, _BACKGROUND[0]), Tile(0, 0, width, height))
        return places

    def _draw(self, place: _Place, picture: Picture) -> None:
        size = (place.tile.width, place.tile.height)
        # A picture decoded before the wall was rearranged has another tile's size.
        fitted = picture.fitted if picture.tile_size == size else self._fitter.fitted(picture.frame, size)
        part = fit(picture.frame.width, picture.frame.height, place.tile)
        before = place.drawn.frame if place.drawn is not None else None
        if part != place.tile and (
            before is None
            or place.is_plain
            or (before.width, before.height) != (picture.frame.width, picture.frame.height)
        ):
            self._fill(place.tile, _BACKGROUND)
        for number, (plane, source) in enumerate(zip(self._planes, planes(fitted), strict=True)):
            half = int(number > 0)
            x, y = part.x >> half, part.y >> half
            plane[y : y + source.shape[0], x : x + source.shape[1]] = source
        self._stamp_label(place)
        place.drawn, place.is_plain = picture, False

    def _draw_plain(self, place: _Place) -> None:
        self._fill(place.tile, _PLAIN_TILE)
        tile = place.tile
        self._stamp(notice((place.source.name,), tile.width, tile.height // 8, _PLAIN_TILE[0]), tile)
        place.is_plain, place.drawn = True, None

    def _stamp_label(self, place: _Place) -> None:
        """The name at the bottom left: time codes stand in a picture's top rows and must not be touched."""
        luma = place.label.luma
        tile = place.tile
        x, y = tile.x, tile.y + tile.height - luma.shape[0]
        self._stamp_at(luma, x, y)

    def _stamp(self, luma: Plane, tile: Tile) -> None:
        """Text in the middle of a tile."""
        x = tile.x + ((tile.width - luma.shape[1]) // 2 & ~1)
        y = tile.y + ((tile.height - luma.shape[0]) // 2 & ~1)
        self._planes[0][y : y + luma.shape[0], x : x + luma.shape[1]] = luma

    def _stamp_at(self, luma: Plane, x: int, y: int) -> None:
        height, width = luma.shape
        self._planes[0][y : y + height, x : x + width] = luma
        for plane in self._planes[1:]:
            plane[y // 2 : (y + height) // 2, x // 2 : (x + width) // 2] = 128

    def _fill(self, tile: Tile, color: tuple[int, int, int]) -> None:
        for number, (plane, value) in enumerate(zip(self._planes, color, strict=True)):
            half = int(number > 0)
            rows = slice(tile.y >> half, (tile.y + tile.height) >> half)
            plane[rows, tile.x >> half : (tile.x + tile.width) >> half] = value


def planes(picture: VideoFrame) -> tuple[Plane, Plane, Plane]:
    """The three planes of an I420 picture as arrays over its own memory."""
    y, u, v = (
        np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, plane.line_size)[:, : plane.width]
        for plane in picture.planes
    )
    return y, u, v
