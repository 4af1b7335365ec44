"""Text on pictures, in the appliance's own font, which has all Vietnamese letters.

Pillow is imported at the first text: a camera that works and a screen that shows the meeting need none.
"""

import unicodedata
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont

Mask = npt.NDArray[np.uint8]

_FONTS = Path(__file__).with_name("fonts")


@lru_cache(maxsize=32)
def font(size: int, *, bold: bool = True) -> "FreeTypeFont":
    """The font, `size` pixels to the em."""
    from PIL import ImageFont

    return ImageFont.truetype(str(_FONTS / f"NotoSans-{'Bold' if bold else 'Regular'}.ttf"), size)


def text_mask(text: str, size: int) -> Mask:
    """How much of each pixel the text covers (0 … 255): one line, a quarter higher than `size`, as wide as it needs."""
    from PIL import Image, ImageDraw

    # Files and forms may bring letters and accents apart; the font has them as one.
    text = unicodedata.normalize("NFC", text)
    face = font(size)
    left, _, right, _ = face.getbbox(text)
    # A line of a font is higher than its size: accents stand above capitals, tails hang below.
    height = size * 5 // 4
    image = Image.new("L", (max(1, int(right - min(0, left))), height))
    ImageDraw.Draw(image).text((0, height // 2), text, fill=255, font=face, anchor="lm")
    return np.asarray(image)
