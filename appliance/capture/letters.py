"""How cards get their letters: a height and a text in, a luma mask out."""

from collections.abc import Callable

import numpy as np

from appliance.media.drawing import fitted_mask, line_height, text_mask

from .pictures import Plane

# Coverage (0-255) of a text in a line of exactly this many rows; as wide as the text needs.
Lettering = Callable[[str, int], Plane]

# Lower lines are not legible; what is then still too wide is shortened.
LEAST_HEIGHT = 11
_LEAST_EM = 4


def pillow_lettering(text: str, height: int) -> Plane:
    """The text in the appliance's own font, accents and tails included."""
    size = max(_LEAST_EM, height * 3 // 4)
    while size > _LEAST_EM and line_height(size) > height:
        size -= 1
    mask = text_mask(text, size)
    if mask.shape[0] < height:
        above = (height - mask.shape[0]) // 2
        return np.pad(mask, ((above, height - mask.shape[0] - above), (0, 0)))
    return mask[:height]


def fitted_line(lettering: Lettering, text: str, height: int, width: int) -> Plane:
    """One line, `height` rows high, or lower where the text would be wider than `width`."""
    return fitted_mask(lettering, text, height, min(height, LEAST_HEIGHT), width)


def fitted_lines(lettering: Lettering, text: str, height: int, width: int, room: int) -> list[Plane]:
    """One line as `fitted_line`, or two that fill `room` rows at most, where those have the larger letters."""
    line = fitted_line(lettering, text, height, width)
    halves = _halves(text)
    if line.shape[0] == height or len(halves) < 2:
        return [line]
    lower = min(height, room // 2)
    while lower > line.shape[0]:
        lines = [fitted_line(lettering, half, lower, width) for half in halves]
        lowest = min(half.shape[0] for half in lines)
        if lowest == lower:
            return lines
        lower = lowest
    return [line]


def paste(target: Plane, mask: Plane, ink: int, *, centred: bool = False) -> None:
    """Lay letters of the grey `ink` over a part of the luma plane; what does not fit is cut off."""
    left = max(0, (target.shape[1] - mask.shape[1]) // 2) if centred else 0
    top = max(0, (target.shape[0] - mask.shape[0]) // 2)
    mask = mask[: target.shape[0] - top, : target.shape[1] - left]
    part = target[top : top + mask.shape[0], left : left + mask.shape[1]]
    coverage = mask.astype(np.uint16)
    part[:] = (part * (255 - coverage) + ink * coverage) // 255


def _halves(text: str) -> list[str]:
    """The text in two lines as long as each other, broken between words."""
    words = text.split()
    breaks = [(" ".join(words[:at]), " ".join(words[at:])) for at in range(1, len(words))]
    return list(min(breaks, key=lambda pair: max(map(len, pair)))) if breaks else [text]
