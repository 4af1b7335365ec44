"""The test card: colour bars, the unit's name, a running clock, a flash on each whole second, and the time code.

Everything that stands still is drawn once; a new picture changes only the clock's digits, the sweep and the flash.
"""

import time
from collections.abc import Callable

import numpy as np

from appliance.media.clock import NS_PER_S, Clock

from .letters import Lettering, fitted_lines, paste
from .pictures import Pacer, Picture, PictureSource, Plane, VideoConfig, black_frame, planes_of

# The sound worker's tone begins at the same instants and is as long.
FLASH_NS = 100_000_000
# 75 % bars of BT.601 in limited range: white, yellow, cyan, green, magenta, red, blue (Y, Cb, Cr).
_BARS = ((180, 128, 128), (162, 44, 142), (131, 156, 44), (112, 72, 58), (84, 184, 198), (65, 100, 212), (35, 212, 114))
_BACKGROUND, _INK = 24, 235
_CLOCK_LETTERS = "0123456789:. "
_LEAST_CLOCK_HEIGHT = 6


class TestCardSource(PictureSource):
    """Draws at the pace of MediaClock. All pictures share one frame: each is valid until the next is read."""

    __test__ = False  # its name is not a test's

    def __init__(
        self,
        config: VideoConfig,
        unit_name: str,
        lettering: Lettering,
        clock: Clock,
        *,
        wall_s: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._wall_s = wall_s
        self._pacer = Pacer(clock, config.fps, sleep)
        self._frame = black_frame(config.width, config.height)
        self._luma = planes_of(self._frame)[0]
        self._lay_out(unit_name, lettering)
        self._shown_time = " " * 10
        self._sweep_at = 0

    def read(self) -> Picture | None:
        now_ns = self._pacer.wait()
        if now_ns is None:
            return None
        self._draw_clock()
        self._draw_sweep(now_ns)
        self._flash[:] = _INK if is_flash(now_ns) else _BACKGROUND
        return Picture(self._frame, now_ns)

    def set_framerate(self, fps: int) -> None:
        self._pacer.set_framerate(fps)

    def close(self) -> None:
        return

    def _lay_out(self, unit_name: str, lettering: Lettering) -> None:
        width, height = self._frame.width, self._frame.height
        bars_end = height * 5 // 8 & ~1
        for number, colour in enumerate(_BARS):
            left, right = number * width // len(_BARS) & ~1, (number + 1) * width // len(_BARS) & ~1
            for part, plane, level in zip((1, 2, 2), planes_of(self._frame), colour, strict=True):
                plane[: bars_end // part, left // part : right // part if number + 1 < len(_BARS) else None] = level
        self._luma[bars_end:] = _BACKGROUND
        # In a picture higher or flatter than 16:9, measures must not grow with its long side.
        unit = min(width, height * 16 // 9)
        margin = max(2, unit // 40)
        row = (height - bars_end) // 3
        # The flash stands at the right below the bars; name and clock share the rest.
        side = max(4, min(row * 2 - margin // 2, width // 4) & ~1)
        self._flash: Plane = self._luma[bars_end + margin // 2 :, width - margin - side : width - margin][:side]
        room = width - side - 3 * margin
        top, bottom = bars_end + margin // 2, bars_end + row
        lines = fitted_lines(lettering, unit_name, max(1, row * 3 // 4), room, bottom - top)
        top += (bottom - top - sum(line.shape[0] for line in lines)) // 2
        for line in lines:
            paste(self._luma[top : top + line.shape[0], margin : margin + room], line, _INK)
            top += line.shape[0]
        letters = _fitted_letters(lettering, row, room // 10)
        cell_width = min(max(letter.shape[1] for letter in letters), room // 10)
        cell_height = max(letter.shape[0] for letter in letters)
        self._letters = {}
        for letter, mask in zip(_CLOCK_LETTERS, letters, strict=True):
            cell = np.full((min(cell_height, row), cell_width), _BACKGROUND, np.uint8)
            paste(cell, mask, _INK, centred=True)
            self._letters[letter] = cell
        clock_top = bars_end + row + margin // 4
        cells = self._luma[clock_top : clock_top + min(cell_height, row)]
        self._clock_cells = [cells[:, margin + n * cell_width : margin + (n + 1) * cell_width] for n in range(10)]
        self._track: Plane = self._luma[height - max(2, row // 3) : height - max(1, row // 8), margin : width - margin]
        self._sweep_width = max(2, self._track.shape[1] // 40)

    def _draw_clock(self) -> None:
        wall = self._wall_s()
        now = time.strftime("%H:%M:%S", time.localtime(wall)) + f".{int(wall * 10) % 10}"
        for place, (letter, old) in enumerate(zip(now, self._shown_time, strict=False)):
            if letter != old:
                self._clock_cells[place][:] = self._letters[letter]
        self._shown_time = now

    def _draw_sweep(self, now_ns: int) -> None:
        """A block that crosses the card once a second: a frozen picture is seen at a glance."""
        self._track[:, self._sweep_at : self._sweep_at + self._sweep_width] = _BACKGROUND
        self._sweep_at = now_ns % NS_PER_S * (self._track.shape[1] - self._sweep_width) // NS_PER_S
        self._track[:, self._sweep_at : self._sweep_at + self._sweep_width] = _INK


def is_flash(now_ns: int) -> bool:
    """Whether the test card is bright at this moment: the first 100 ms of each second of MediaClock."""
    return now_ns % NS_PER_S < FLASH_NS


def _fitted_letters(lettering: Lettering, height: int, cell_width: int) -> list[Plane]:
    """The clock's letters, as high as `height` allows and none wider than a cell."""
    while True:
        letters = [lettering(letter, height) for letter in _CLOCK_LETTERS]
        widest = max(letter.shape[1] for letter in letters)
        if widest <= cell_width or height <= _LEAST_CLOCK_HEIGHT:
            return letters
        height = max(_LEAST_CLOCK_HEIGHT, min(height - 1, height * cell_width // widest))
