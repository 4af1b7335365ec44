"""Names and notices as patches of luma, drawn once and kept: a wall is drawn thirty times a second."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from appliance.media.drawing import fitted_mask, text_mask

Plane = npt.NDArray[np.uint8]

_INK = 225
_LABEL_GROUND = 24
_LABEL_PADDING = 8
_LEAST_SIZE = 8


@dataclass(frozen=True, slots=True, eq=False)
class Label:
    """A name on its ground, ready to be laid over a tile's corner; both sides are even."""

    luma: Plane


def _inked(text: str, size: int, ground: int, max_width: int) -> Plane:
    """Text on its ground, made smaller until it is no wider than `max_width`, then shortened."""
    mask = fitted_mask(text_mask, text, max(_LEAST_SIZE, size), _LEAST_SIZE, max_width)
    blended = ground + mask.astype(np.uint16) * (_INK - ground) // 255
    return blended.astype(np.uint8)


@lru_cache(maxsize=64)
def name_label(name: str, tile_width: int, size: int) -> Label:
    """A participant's name for the corner of its tile."""
    text = _inked(name, size, _LABEL_GROUND, tile_width - 2 * _LABEL_PADDING)
    height, width = _even_up(text.shape[0]), _even_up(text.shape[1] + 2 * _LABEL_PADDING)
    luma = np.full((height, min(width, tile_width)), _LABEL_GROUND, np.uint8)
    luma[: text.shape[0], _LABEL_PADDING : _LABEL_PADDING + text.shape[1]] = text
    return Label(luma)


@lru_cache(maxsize=64)
def notice(lines: tuple[str, ...], tile_width: int, size: int, ground: int) -> Plane:
    """Lines of text, one below the other, each in the middle."""
    drawn = [_inked(line, size, ground, tile_width) for line in lines]
    width = _even_up(max(line.shape[1] for line in drawn))
    luma = np.full((_even_up(sum(line.shape[0] for line in drawn)), min(width, tile_width)), ground, np.uint8)
    top = 0
    for line in drawn:
        left = (luma.shape[1] - line.shape[1]) // 2
        luma[top : top + line.shape[0], left : left + line.shape[1]] = line
        top += line.shape[0]
    return luma


def _even_up(number: int) -> int:
    return number + number % 2
