"""The time code as receivers of others hand it over: the brightness of its 72 cells, one byte each.

A page has no numpy and GStreamer's Python has not even our code; so the cells are read there, and the code here.
"""

import numpy as np

from appliance.media import timecode

COLUMNS, ROWS = 36, 2
_CELL = 16


def captured_ns(cells: bytes, near_ns: int) -> int | None:
    """The capture time that the cells tell, or None where they tell nothing."""
    if len(cells) != COLUMNS * ROWS:
        return None
    levels = np.frombuffer(cells, np.uint8).reshape(ROWS, COLUMNS)
    # A picture in which the code spans the width, cells 16 rows high of 1280 columns.
    width = _CELL * 80
    luma = levels[:, np.arange(width) * COLUMNS // width].repeat(_CELL, axis=0)
    code = timecode.read(luma)
    return None if code is None else timecode.to_ns(code.time_ms, near_ns)


def cells_of(luma: timecode.Luma) -> bytes:
    """The brightness in the middle of each cell of a picture."""
    width = luma.shape[1]
    height = timecode.height_of(width) // ROWS
    columns = ((np.arange(COLUMNS) + 0.5) * width / COLUMNS).astype(np.intp)
    rows = [height // 2, height + height // 2]
    return np.ascontiguousarray(luma[np.ix_(rows, columns)]).tobytes()
