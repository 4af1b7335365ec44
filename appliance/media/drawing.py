"""Text on pictures, in the appliance's own font, which has all Vietnamese letters.

Pillow is imported at the first text: a camera that works and a screen that shows the meeting need none.
"""

import math
import unicodedata
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont

Mask = npt.NDArray[np.uint8]

_FONTS = Path(__file__).with_name("fonts")
# The letters that reach furthest up and down, at one size or another.
_HIGHEST = "ẤẦẨẪẮẰẲẴẾỀỂỄỐỒỔỖỚỜỞỠỨỪỬỮÃẢĨỈÕỎŨỦỸỶÅ"
_LOWEST = "ẠẶẬẸỆỊỌỘỢỤỰỴạặậẹệịọộợụựỵỹỷýgjpqyÇçQ()[]{}|@$;,"


@lru_cache(maxsize=32)
def font(size: int, *, bold: bool = True) -> "FreeTypeFont":
    """The font, `size` pixels to the em."""
    from PIL import ImageFont

    return ImageFont.truetype(str(_FONTS / f"NotoSans-{'Bold' if bold else 'Regular'}.ttf"), size)


@lru_cache(maxsize=64)
def _line(size: int) -> tuple[int, int]:
    """Rows that the font's letters take above and below the baseline.

    Measured, not taken from the font's own metrics: hinting lets the accents of small capitals stand out of those.
    """
    face = font(size)
    above, below = face.getmetrics()
    for letters in (_HIGHEST, _LOWEST):
        _, top, _, bottom = face.getbbox(letters, anchor="ls")
        above, below = max(above, math.ceil(-top)), max(below, math.ceil(bottom))
    return above, below


def line_height(size: int) -> int:
    """The rows of a line of letters of `size` pixels to the em, accents and tails included."""
    return sum(_line(size))


def text_mask(text: str, size: int) -> Mask:
    """How much of each pixel the text covers (0 … 255): one line, `line_height(size)` high, as wide as it needs."""
    from PIL import Image, ImageDraw

    # Files and forms may bring letters and accents apart; the font has them as one.
    text = unicodedata.normalize("NFC", text)
    face = font(size)
    left, _, right, _ = face.getbbox(text, anchor="ls")
    # Some letters begin left of their place.
    begin = max(0, math.ceil(-left))
    image = Image.new("L", (max(1, begin + math.ceil(right)), line_height(size)))
    ImageDraw.Draw(image).text((begin, _line(size)[0]), text, fill=255, font=face, anchor="ls")
    return np.asarray(image)


def fitted_mask(draw: Callable[[str, int], Mask], text: str, size: int, least: int, width: int) -> Mask:
    """`draw(text, size)`, made smaller down to `least` and then shortened until it is no wider than `width`."""
    mask = draw(text, size)
    while mask.shape[1] > width and size > least:
        # Hinted letters do not shrink in proportion: the estimate may need another step.
        size = max(least, min(size - 1, size * width // mask.shape[1]))
        mask = draw(text, size)
    while mask.shape[1] > width and len(text) > 1:
        text = f"{text[:-2].rstrip()}…"
        mask = draw(text, size)
    return mask[:, :width]
