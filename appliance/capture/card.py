"""The cards that are sent in place of the camera's picture, in both languages, with the unit's name."""

from collections.abc import Callable

import av
import numpy as np

from .letters import Lettering
from .pictures import black_frame, planes_of
from .recorder import Card

_BACKGROUND, _INK, _FAINT_INK = 32, 220, 140
_WORDS = {
    Card.OFF: ("Camera đã tắt", "Camera off"),
    Card.LOST: ("Không có hình", "No picture"),
    Card.STARTING: ("Đang mở camera", "Camera starting"),
}


def card_maker(
    width: int, height: int, unit_name: str, language: str, lettering: Lettering
) -> Callable[[Card], av.VideoFrame]:
    """What draws the cards; the room's language stands first."""

    def draw(card: Card) -> av.VideoFrame:
        frame = black_frame(width, height)
        luma = planes_of(frame)[0]
        luma[:] = _BACKGROUND
        first, second = _WORDS[card] if language == "vi" else reversed(_WORDS[card])
        for text, centre, size, ink in (
            (unit_name, 0.32, 0.09, _FAINT_INK),
            (first, 0.5, 0.14, _INK),
            (second, 0.65, 0.08, _FAINT_INK),
        ):
            mask = lettering(text, max(8, int(height * size)))
            mask = mask[:, : width - 4]
            top, left = int(height * centre) - mask.shape[0] // 2, (width - mask.shape[1]) // 2
            part = luma[top : top + mask.shape[0], left : left + mask.shape[1]]
            coverage = mask.astype(np.uint16)
            part[:] = (part * (255 - coverage) + ink * coverage) // 255
        return frame

    return draw
