"""How cards get their letters: a height and a text in, a luma mask out."""

from collections.abc import Callable

import numpy as np

from appliance.media.drawing import text_mask

from .pictures import Plane

# Coverage (0-255) of a text in letters of about this height in pixels; as wide as the text needs.
Lettering = Callable[[str, int], Plane]


def pillow_lettering(text: str, height: int) -> Plane:
    """The text in the appliance's own font, exactly `height` rows high."""
    mask = text_mask(text, max(6, height * 4 // 5))
    if mask.shape[0] < height:
        above = (height - mask.shape[0]) // 2
        return np.pad(mask, ((above, height - mask.shape[0] - above), (0, 0)))
    return mask[:height]
