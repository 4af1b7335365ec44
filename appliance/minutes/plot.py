"""A small drawing of a meeting's quality, minute by minute, as SVG within a page."""

from collections.abc import Sequence
from dataclasses import dataclass

from .record import MINUTE_MS, Minute, Record
from .verdict import frozen_ms, hidden_ms, lost_share

# More bars than this cannot be told apart on paper; a short meeting's are not made wider than a thirtieth.
MAX_BARS, LEAST_SLOTS = 180, 30
WIDTH, MARGIN = 670, 46
PICTURE, SOUND, LOSS = 74, 6, 34
SOUND_TOP = PICTURE + 4
LOSS_TOP = SOUND_TOP + SOUND + 12
BOTTOM = LOSS_TOP + LOSS
# The least that the axis of the losses shows, so that a clean line looks clean.
LEAST_LOSS = 0.05
_FILLED = 0.85
# A second of freeze in a minute must be seen on paper.
_LEAST_HEIGHT = 2.0
_SOUND_GOOD, _SOUND_FAIR = 0.01, 0.1


@dataclass(frozen=True, slots=True)
class Bar:
    """One or several minutes: parts of the time, of which the rest was good; `lost`: of the packets."""

    idle: float  # not joined yet
    away: float
    frozen: float
    hidden: float
    lost: float


def minutes_each(record: Record) -> int:
    """How many minutes a bar stands for."""
    return max(1, -(-record.duration_ms // (MAX_BARS * MINUTE_MS)))


def bars(record: Record) -> list[Bar | None]:
    """What each span of time was like; None where nothing is known of it."""
    slot_ms = minutes_each(record) * MINUTE_MS
    slots: list[list[Minute]] = [[] for _ in range(-(-record.duration_ms // slot_ms))]
    for minute in record.minutes if slots else []:
        # By its middle: minutes begin a little late each, and are cut short where the unit was.
        middle_ms = minute.began_ms + minute["span_ms"] // 2 - record.began_ms
        slots[min(max(0, middle_ms // slot_ms), len(slots) - 1)].append(minute)
    return [_bar(record, group) if group else None for group in slots]


def _bar(record: Record, group: Sequence[Minute]) -> Bar:
    span = max(1, sum(minute["span_ms"] for minute in group))
    idle = min(span, sum(_idle_ms(record, minute) for minute in group))
    away = sum(max(0, minute["span_ms"] - minute["live_ms"]) for minute in group) - idle
    frozen, hidden = (sum(of(minute) for minute in group) / span for of in (frozen_ms, hidden_ms))
    lost = max(max(lost_share(minute, "in"), lost_share(minute, "out")) for minute in group)
    return Bar(idle / span, min(1.0, max(0, away) / span), min(1.0, frozen), min(1.0, hidden), lost)


def _idle_ms(record: Record, minute: Minute) -> int:
    """How much of the minute was before the room was in the meeting for the first time."""
    if record.join_ms is None:
        return 0
    joined_ms = record.began_ms + record.join_ms
    return max(0, min(joined_ms, minute.began_ms + minute["span_ms"]) - minute.began_ms)


def draw(record: Record) -> str:
    """The SVG element; numbers only, so nothing in it needs escaping. Empty without minutes."""
    found = bars(record)
    if not found:
        return ""
    slot = WIDTH / max(len(found), LEAST_SLOTS)
    known = [(index, bar) for index, bar in enumerate(found) if bar is not None]
    most = max((bar.lost for _, bar in known), default=0.0)
    most = max(most, LEAST_LOSS)
    shapes = [shape for index, bar in known for shape in _column(bar, index * slot, slot * _FILLED, most)]
    lines = [_line(0, WIDTH, y + 0.5, y + 0.5) for y in (PICTURE, BOTTOM)]
    marks = _time_marks(len(found), slot, minutes_each(record))
    right = WIDTH + 4
    words = (
        (8, "100 %"),
        (PICTURE / 2 + 4, "Hình"),
        (SOUND_TOP + SOUND + 1, "Tiếng"),
        (LOSS_TOP + 8, f"{most * 100:.0f} %"),
        (BOTTOM - 3, "Mất gói"),
        (BOTTOM + 14, "phút"),
    )
    labels = [f'<text x="{right}" y="{y:.0f}">{word}</text>' for y, word in words]
    body = "".join((*shapes, *lines, *marks, *labels))
    box = f"0 0 {WIDTH + MARGIN} {BOTTOM + 18}"
    return f'<svg viewBox="{box}" role="img" aria-label="Chất lượng từng phút">{body}</svg>'


def _column(bar: Bar, left: float, width: float, most: float) -> list[str]:
    shapes: list[str] = []
    top = 0.0
    for name, part in (("away", bar.away), ("frozen", bar.frozen), ("idle", bar.idle)):
        height = min(max(part * PICTURE, _LEAST_HEIGHT), PICTURE - top) if part > 0 else 0.0
        if height > 0:
            shapes.append(_rect(name, left, top, width, height))
            top += height
    if top < PICTURE:
        shapes.append(_rect("good", left, top, width, PICTURE - top))
    heard = 1 - bar.idle
    spoiled = (bar.hidden + bar.away) / heard if heard > 0 else 0.0
    sound = "idle" if heard <= 0 else "good" if spoiled < _SOUND_GOOD else "frozen" if spoiled < _SOUND_FAIR else "away"
    shapes.append(_rect(sound, left, SOUND_TOP, width, SOUND))
    if bar.lost > 0:
        height = max(1.0, bar.lost / most * LOSS)
        shapes.append(_rect("loss", left, BOTTOM - height, width, height))
    return shapes


def _time_marks(count: int, slot: float, each: int) -> list[str]:
    steps = (1, 5, 10, 15, 30, 60, 120, 240, 480)
    step = next((step for step in steps if step / each * slot >= LEAST_SLOTS), each * count)
    marks: list[str] = []
    for minute in range(0, each * count + 1, max(1, step)):
        x = minute / each * slot
        anchor = "start" if minute == 0 else "middle"
        marks.append(_line(x, x, BOTTOM, BOTTOM + 4))
        marks.append(f'<text x="{x:.1f}" y="{BOTTOM + 14}" text-anchor="{anchor}">{minute}</text>')
    return marks


def _line(x1: float, x2: float, y1: float, y2: float) -> str:
    return f'<line class="axis" x1="{x1:.1f}" x2="{x2:.1f}" y1="{y1:.1f}" y2="{y2:.1f}"/>'


def _rect(name: str, x: float, y: float, width: float, height: float) -> str:
    return f'<rect class="{name}" x="{x:.1f}" y="{y:.1f}" width="{width:.2f}" height="{height:.1f}"/>'
