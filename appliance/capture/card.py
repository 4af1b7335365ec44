"""The cards that are sent in place of the camera's picture, in both languages, with the unit's name."""

from collections.abc import Callable

import av

from .letters import LEAST_HEIGHT, Lettering, fitted_lines, paste
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
        for text, centre, size, room, ink in (
            # A long name may take two lines.
            (unit_name, 0.31, 0.1, 0.2, _FAINT_INK),
            (first, 0.5, 0.16, 0.16, _INK),
            (second, 0.66, 0.09, 0.1, _FAINT_INK),
        ):
            line_height = max(LEAST_HEIGHT, int(height * size))
            lines = fitted_lines(lettering, text, line_height, width * 9 // 10, int(height * room))
            top = int(height * centre) - sum(line.shape[0] for line in lines) // 2
            for line in lines:
                paste(luma[top : top + line.shape[0]], line, ink, centred=True)
                top += line.shape[0]
        return frame

    return draw
