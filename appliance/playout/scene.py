"""What the screen is to show besides the far end's picture: the engine's scene, and the words of the status card."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Mood(StrEnum):
    """What a card's accent tells before anybody reads."""

    CALM = "calm"
    BUSY = "busy"
    WARNING = "warning"
    FAULT = "fault"


@dataclass(frozen=True, slots=True)
class Scene:
    """The engine's `scene` message, in the language of the room."""

    state: str = "standby"
    title: str = ""
    lines: tuple[str, ...] = ()
    cause: str | None = None
    cure: str | None = None
    muted: bool = False
    camera_on: bool = True

    @classmethod
    def of(cls, message: dict[str, Any], language: str) -> "Scene":
        problem = message.get("problem") or {}
        return cls(
            state=str(message["state"]),
            title=str(message.get("title") or ""),
            lines=tuple(str(line) for line in message.get("lines") or ()),
            cause=_in(problem.get("cause"), language),
            cure=_in(problem.get("cure"), language),
            muted=bool(message.get("muted", False)),
            camera_on=bool(message.get("camera_on", True)),
        )

    @property
    def is_meeting(self) -> bool:
        """A far end is there, or is being called."""
        return self.state in ("joining", "live")


@dataclass(frozen=True, slots=True)
class Strip:
    """What lies over the far end's picture: small signs in a corner, and a line for a problem."""

    badges: tuple[str, ...] = ()
    notice: str | None = None

    def __bool__(self) -> bool:
        return bool(self.badges or self.notice)


@dataclass(frozen=True, slots=True)
class Card:
    """Everything that is written on a status card; equal cards look alike."""

    unit_name: str
    clock: str
    headline: str
    lines: tuple[str, ...]
    mood: Mood
    badges: tuple[str, ...]


_WORDS: dict[str, dict[str, str]] = {
    "vi": {
        "standby": "Sẵn sàng",
        "start": "Nhấn START để vào họp",
        "joining": "Đang kết nối tới {title}…",
        "rejoining": "Mất kết nối",
        "again": "Đang tự kết nối lại…",
        "fault": "Có sự cố",
        "waiting": "Đang chờ hình…",
        "muted": "MICRÔ TẮT",
        "camera_off": "CAMERA TẮT",
    },
    "en": {
        "standby": "Ready",
        "start": "Press START to join the meeting",
        "joining": "Connecting to {title}…",
        "rejoining": "Connection lost",
        "again": "Reconnecting by itself…",
        "fault": "Something is wrong",
        "waiting": "Waiting for the picture…",
        "muted": "MICROPHONE OFF",
        "camera_off": "CAMERA OFF",
    },
}


def card_of(scene: Scene, unit_name: str, language: str, clock: str) -> Card:
    """The card for a scene; a live one gets the card that stands in while there is no picture."""
    words = _words(language)
    trouble = tuple(text for text in (scene.cause, scene.cure) if text)
    match scene.state:
        case "standby":
            headline, lines, mood = words["standby"], (words["start"], *trouble), Mood.CALM
        case "joining":
            headline, lines, mood = words["joining"].format(title=scene.title), trouble, Mood.BUSY
        case "rejoining":
            # The cure stands alone: the headline says what is wrong.
            lines = tuple(text for text in (words["again"], scene.cure) if text)
            headline, mood = words["rejoining"], Mood.WARNING
        case "fault":
            headline = scene.cause or words["fault"]
            lines, mood = ((scene.cure,) if scene.cure else ()), Mood.FAULT
        case _:
            headline, lines, mood = words["waiting"], (scene.title, *trouble), Mood.BUSY
    return Card(unit_name, clock, headline, (*lines, *scene.lines), mood, _badges(scene, words))


def strip_of(scene: Scene, language: str) -> Strip:
    """What lies over the picture of a live scene."""
    return Strip(_badges(scene, _words(language)), scene.cause)


def _badges(scene: Scene, words: dict[str, str]) -> tuple[str, ...]:
    badges = [words["muted"]] if scene.muted else []
    if not scene.camera_on:
        badges.append(words["camera_off"])
    return tuple(badges)


def _words(language: str) -> dict[str, str]:
    return _WORDS.get(language, _WORDS["en"])


def _in(texts: dict[str, str] | None, language: str) -> str | None:
    return (texts.get(language) or texts.get("en")) if texts else None
