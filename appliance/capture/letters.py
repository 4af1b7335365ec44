"""Text as luma masks, for the test card. Pillow is imported at the first text: most cameras never need one."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from .pictures import Plane

# Coverage (0-255) of a text in letters of about this height in pixels; as wide as the text needs.
Lettering = Callable[[str, int], Plane]
_FONTS = (Path(__file__).resolve().parent.parent / "media" / "fonts", Path("/usr/share/fonts"))


def pillow_lettering(text: str, height: int) -> Plane:
    """The text in the appliance's own font, which has all Vietnamese letters."""
    from PIL import Image, ImageDraw, ImageFont

    file = next(path for folder in _FONTS for path in sorted(folder.rglob("*Sans*Bold.ttf")))
    # A line of a font is higher than its size: accents above capitals, tails below.
    font = ImageFont.truetype(str(file), max(6, int(height * 0.8)))
    left, _, right, _ = font.getbbox(text)
    image = Image.new("L", (max(1, int(right - min(0, left))), height), 0)
    ImageDraw.Draw(image).text((0, height // 2), text, fill=255, font=font, anchor="lm")
    return np.asarray(image)
