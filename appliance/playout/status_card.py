"""The card that stands on the screen whenever there is no picture: what goes on, and what to do."""

import textwrap
import time
from typing import TYPE_CHECKING, Any

import av
import numpy as np

from appliance.media.drawing import font

if TYPE_CHECKING:
    from PIL.ImageDraw import ImageDraw

WIDTH, HEIGHT = 1280, 720
_GROUND, _PANEL, _INK, _SOFT, _OFF = "#0f1c2e", "#16273d", "#f4f7fb", "#a9b8cc", "#c0392b"
_ACCENTS = {"standby": "#3fb27f", "joining": "#e0a93b", "live": "#e0a93b", "rejoining": "#e0a93b", "fault": "#e05c4b"}
_MARGIN = 80
_LEAST_SIZE = 20

_WORDS = {
    "standby": {"vi": ("Sẵn sàng", "Nhấn nút START để vào họp"), "en": ("Ready", "Press START to join the meeting")},
    "joining": {
        "vi": ("Đang vào họp …", "Đang kết nối tới trung tâm, xin chờ"),
        "en": ("Joining …", "Connecting to the conference centre, please wait"),
    },
    "live": {
        "vi": ("Đang chờ hình …", "Đã vào họp; hình của trung tâm sẽ hiện ngay"),
        "en": ("Waiting for the picture …", "In the meeting; the centre's picture will follow"),
    },
    "rejoining": {
        "vi": ("Đang kết nối lại …", "Mất kết nối với trung tâm; thiết bị tự kết nối lại"),
        "en": ("Reconnecting …", "The connection was lost; the unit reconnects by itself"),
    },
    "fault": {"vi": ("Không vào họp được", ""), "en": ("Cannot join", "")},
}
_MUTED = {"vi": "MICRÔ TẮT", "en": "MICROPHONE OFF"}
_CAMERA_OFF = {"vi": "CAMERA TẮT", "en": "CAMERA OFF"}


def draw_card(scene: dict[str, Any], unit_name: str, lang: str, clock_text: str | None = None) -> av.VideoFrame:
    """The card for a scene (routing.scene_of) as a yuv420p picture of 1280x720."""
    from PIL import Image, ImageDraw

    image = Image.new("RGB", (WIDTH, HEIGHT), _GROUND)
    pen = ImageDraw.Draw(image)
    accent = _ACCENTS[scene["state"]]
    pen.rectangle((0, 0, 16, HEIGHT), fill=accent)
    _header(pen, unit_name, clock_text or time.strftime("%H:%M"))
    headline, hint = _WORDS[scene["state"]][lang]
    pen.ellipse((_MARGIN, 236, _MARGIN + 36, 272), fill=accent)
    _text(pen, (_MARGIN + 64, 254), headline, 72, _INK)
    top = 330
    if scene["state"] != "standby" and scene["title"] != unit_name:
        _text(pen, (_MARGIN, top), scene["title"], 38, _INK)
        top += 58
    problem = scene["problem"]
    if hint and not (problem and scene["state"] != "standby"):
        _text(pen, (_MARGIN, top), hint, 36, _SOFT, bold=False)
        top += 56
    if problem:
        _problem(pen, top + 14, problem["cause"][lang], problem["cure"][lang], _ACCENTS["fault"])
    _badges(pen, [words[lang] for words, on in ((_MUTED, scene["muted"]), (_CAMERA_OFF, not scene["camera_on"])) if on])
    frame = av.VideoFrame.from_ndarray(np.asarray(image), format="rgb24")
    return frame.reformat(format="yuv420p")


def _header(pen: "ImageDraw", unit_name: str, clock_text: str) -> None:
    name, size = _fitted(pen, unit_name, 46, WIDTH - 3 * _MARGIN - 120)
    _text(pen, (_MARGIN, 96), name, size, _INK)
    pen.text((WIDTH - _MARGIN, 96), clock_text, fill=_SOFT, font=font(46), anchor="rm")
    pen.line((_MARGIN, 146, WIDTH - _MARGIN, 146), fill=_PANEL, width=3)


def _text(pen: "ImageDraw", at: tuple[int, int], text: str, size: int, fill: str, *, bold: bool = True) -> None:
    """One line from `at` (left, middle) on, as far as the margin."""
    text, size = _fitted(pen, text, size, WIDTH - _MARGIN - at[0], bold=bold)
    pen.text(at, text, fill=fill, font=font(size, bold=bold), anchor="lm")


def _fitted(pen: "ImageDraw", text: str, size: int, width: int, *, bold: bool = True) -> tuple[str, int]:
    """The text and the size at which it is no wider than `width`: smaller, and shortened where that is too small."""
    while size > _LEAST_SIZE and pen.textlength(text, font(size, bold=bold)) > width:
        size -= 2
    while len(text) > 1 and pen.textlength(text, font(size, bold=bold)) > width:
        text = f"{text[:-2].rstrip()}…"
    return text, size


def _problem(pen: "ImageDraw", top: int, cause: str, cure: str, accent: str) -> None:
    lines = [(line, 34, _INK, True) for line in textwrap.wrap(cause, 52)]
    lines += [(line, 32, _SOFT, False) for line in textwrap.wrap(cure, 56)]
    height = 50 * len(lines) + 40
    pen.rounded_rectangle((_MARGIN, top, WIDTH - _MARGIN, top + height), 14, fill=_PANEL)
    pen.rectangle((_MARGIN, top + 14, _MARGIN + 8, top + height - 14), fill=accent)
    for number, (line, size, fill, bold) in enumerate(lines):
        _text(pen, (_MARGIN + 40, top + 45 + 50 * number), line, size, fill, bold=bold)


def _badges(pen: "ImageDraw", words: list[str]) -> None:
    left = _MARGIN
    for word in words:
        width = int(pen.textlength(word, font(30))) + 48
        pen.rounded_rectangle((left, 624, left + width, 676), 26, fill=_OFF)
        pen.text((left + width // 2, 650), word, fill=_INK, font=font(30), anchor="mm")
        left += width + 24
