"""A machine-readable clock in the picture's top rows, so that latency is measured from the pixels that arrived.

Two rows of black and white cells span the picture's width: unit number, MediaClock milliseconds and a checksum, with
fixed cells at both ends. Cells are large enough for a low bit rate and for a third of the size (a 3x3 tile wall).
"""

import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

Luma = npt.NDArray[np.uint8]
Region = tuple[int, int, int, int]  # x, y, width, height

BLACK, WHITE = 16, 235
# Each row: two fixed cells, 32 data cells, two fixed cells. The outermost are white, which lets a reader find the code
# between the black bars of a letterboxed picture.
_DATA_CELLS = 32
_ROW_CELLS = _DATA_CELLS + 4
_ROWS = 2
_FIXED_BEFORE, _FIXED_AFTER = (1, 0), (0, 1)
# Cells are this part of the picture's width high: 16 rows (one macroblock) of 1280.
_WIDTH_PER_CELL_HEIGHT = 80
_MIN_WIDTH = 160
_MIN_CONTRAST = 50.0
# A cell must be this clearly on one side of the middle between black and white (as part of the contrast).
_MIN_MARGIN = 0.12
_BAR_LEVEL = 90
_MS_PER_WRAP = 1 << 32


@dataclass(frozen=True, slots=True)
class TimeCode:
    """What a picture says of itself: who took it, and when (MediaClock milliseconds modulo 2^32)."""

    unit: int
    time_ms: int


def height_of(width: int) -> int:
    """How many rows the code covers at the top of a picture of this width."""
    return _ROWS * _cell_height(width)


def draw(luma: Luma, now_ns: int, unit: int) -> None:
    """Draw the code into the top rows of a luma plane (a view of it will do)."""
    width = luma.shape[1]
    if width < _MIN_WIDTH or luma.shape[0] < height_of(width):
        raise ValueError(f"a picture of {width}x{luma.shape[0]} is too small for a time code")
    body = bytes([unit]) + (now_ns // 1_000_000 % _MS_PER_WRAP).to_bytes(4, "big")
    bits = np.unpackbits(np.frombuffer(body + _checksum(body), np.uint8))
    cells = np.empty((_ROWS, _ROW_CELLS), np.uint8)
    cells[:, :2] = _FIXED_BEFORE
    cells[:, -2:] = _FIXED_AFTER
    cells[:, 2:-2] = bits.reshape(_ROWS, _DATA_CELLS)
    lines = (cells * np.uint8(WHITE - BLACK) + np.uint8(BLACK))[:, _cell_of_column(width)]
    rows = _cell_height(width)
    for row in range(_ROWS):
        luma[row * rows : (row + 1) * rows] = lines[row]


def read(luma: Luma, region: Region | None = None) -> TimeCode | None:
    """The code of the picture in `region` (x, y, width, height; the whole plane when None), or None for none.

    Black bars around the picture (letterbox, pillarbox) are seen through.
    """
    part = luma if region is None else _cut(luma, region)
    code = _read_exact(part)
    if code is None:
        inner = _inside_bars(part)
        if inner is not None and inner != (0, 0, part.shape[1]):
            x, y, width = inner
            code = _read_exact(part[y:, x : x + width])
    return code


def read_wall(luma: Luma) -> list[TimeCode]:
    """The codes of every tile: the full picture, or a wall of 2x1 (in the middle), 2x2 or 3x3 tiles."""
    height, width = luma.shape
    code = _read_exact(luma)
    if code is not None:
        return [code]
    for tiles in (_tiles(width, height, 2, 1), _tiles(width, height, 2, 2), _tiles(width, height, 3, 3)):
        found = [code for tile in tiles if (code := read(luma, tile)) is not None]
        if found:
            return found
    code = read(luma)
    return [] if code is None else [code]


def to_ns(time_ms: int, near_ns: int) -> int:
    """A code's wrapped milliseconds as MediaClock nanoseconds: the moment nearest to `near_ns`."""
    near_ms = near_ns // 1_000_000
    half = _MS_PER_WRAP // 2
    return (near_ms + (time_ms - near_ms + half) % _MS_PER_WRAP - half) * 1_000_000


def _checksum(body: bytes) -> bytes:
    # 24 bits keep a chance match in noise rarer than once in a year of pictures, with the fixed cells.
    return (zlib.crc32(body) & 0xFFFFFF).to_bytes(3, "big")


def _cell_height(width: int) -> int:
    return max(2, width // _WIDTH_PER_CELL_HEIGHT)


@lru_cache(maxsize=16)
def _cell_of_column(width: int) -> npt.NDArray[np.intp]:
    return np.arange(width) * _ROW_CELLS // width


@lru_cache(maxsize=64)
def _sample_columns(width: int) -> npt.NDArray[np.intp]:
    """Three columns about the middle of each cell, flat: neighbours bleed in at the edges."""
    pitch = width / _ROW_CELLS
    offsets = np.array((0.35, 0.5, 0.65)) * pitch
    return (np.arange(_ROW_CELLS)[:, None] * pitch + offsets).astype(np.intp).reshape(-1)


def _read_exact(part: Luma) -> TimeCode | None:
    """Read a code that begins at the first pixel and spans the width."""
    height, width = part.shape
    pitch = width / _WIDTH_PER_CELL_HEIGHT
    if width < 48 or height < _ROWS * pitch:
        return None
    columns = _sample_columns(width)
    bits: list[npt.NDArray[np.bool_]] = []
    for row in range(_ROWS):
        first = int((row + 0.3) * pitch)
        last = max(first + 1, int((row + 0.7) * pitch + 0.5))
        band = part[first:last].take(columns, axis=1)
        cells = band.reshape(last - first, _ROW_CELLS, 3).sum(axis=(0, 2), dtype=np.int64) / (3.0 * (last - first))
        fixed = cells[[0, 1, -2, -1]].tolist()
        white, black = min(fixed[0], fixed[3]), max(fixed[1], fixed[2])
        contrast = white - black
        if contrast < _MIN_CONTRAST:
            return None
        data = (cells[2:-2] - (white + black) / 2) / contrast
        if float(np.abs(data).min()) < _MIN_MARGIN:
            return None
        bits.append(data > 0)
    raw = np.packbits(np.concatenate(bits)).tobytes()
    body, checksum = raw[:5], raw[5:]
    if checksum != _checksum(body):
        return None
    return TimeCode(body[0], int.from_bytes(body[1:], "big"))


def _inside_bars(part: Luma) -> tuple[int, int, int] | None:
    """(x, y, width) of the code's bright line in a picture with black bars: its outermost cells are white."""
    upper = part[: max(1, part.shape[0] // 2)]
    if not upper.size:
        return None
    bright_rows = np.flatnonzero(upper.max(axis=1) > _BAR_LEVEL)
    if not bright_rows.size:
        return None
    y = int(bright_rows[0])
    # The first rows may be blended with the bar by scaling: look for the ends a little below.
    line = upper[min(y + 2, len(upper) - 1)]
    bright = np.flatnonzero(line > _BAR_LEVEL)
    if bright.size < _ROW_CELLS // 4:
        return None
    return int(bright[0]), y, int(bright[-1] - bright[0]) + 1


def _cut(luma: Luma, region: Region) -> Luma:
    x, y, width, height = region
    return luma[y : y + height, x : x + width]


def _tiles(width: int, height: int, columns: int, rows: int) -> Iterable[Region]:
    """The tiles of a wall. All keep the picture's aspect, so 2x1 lies between black bars."""
    tile_width, tile_height = width // columns, height // max(columns, rows)
    top = (height - tile_height * rows) // 2
    for row in range(rows):
        for column in range(columns):
            yield column * width // columns, top + row * height // max(columns, rows), tile_width, tile_height
