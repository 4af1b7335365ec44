"""Text as luma masks, for cards. Pillow is imported at the first text: a camera that works needs none."""

import logging
import unicodedata
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np

from .pictures import Plane

log = logging.getLogger(__name__)

# Coverage (0-255) of a text in letters of about this height in pixels; as wide as the text needs.
Lettering = Callable[[str, int], Plane]
_FONTS = (Path(__file__).resolve().parent.parent / "media" / "fonts", Path("/usr/share/fonts"))


def pillow_lettering(text: str, height: int) -> Plane:
    """The text in the appliance's own font, which has all Vietnamese letters, or in the machine's."""
    from PIL import Image, ImageDraw, ImageFont

    # A line of a font is higher than its size: accents above capitals, tails below.
    size = max(6, int(height * 0.8))
    file = _font_file()
    if file is None:
        font = ImageFont.load_default(size)
        text = _without_accents(text)
    else:
        font = ImageFont.truetype(file, size)
    left, _, right, _ = font.getbbox(text)
    image = Image.new("L", (max(1, int(right - min(0, left))), height), 0)
    ImageDraw.Draw(image).text((0, height // 2), text, fill=255, font=font, anchor="lm")
    return np.asarray(image)


@cache
def _font_file() -> str | None:
    for folder in _FONTS:
        for path in sorted(folder.rglob("*Sans*Bold.ttf")):
            return str(path)
    log.warning("no font with Vietnamese letters is installed; cards are written without accents")
    return None


def _without_accents(text: str) -> str:
    parts = unicodedata.normalize("NFD", text.replace("đ", "d").replace("Đ", "D"))
    return "".join(letter for letter in parts if not unicodedata.combining(letter))
