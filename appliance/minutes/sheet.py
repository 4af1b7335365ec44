"""The technical minutes (biên bản kỹ thuật) of one meeting: one A4 page, to be printed and signed."""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

import jinja2
from markupsafe import Markup

from .plot import draw, minutes_each
from .record import Cause, Fault, Record, Status
from .verdict import GRADES, SHORT_MS, away_ms, frozen_ms, hidden_ms, judge, lost_share
from .words import cause, count, done, is_serious, lasted, local, share

# What fits on the page beside the rest; more of one kind are put together, and the rest is counted.
MAX_ROWS = 7
# From here on the type is set smaller, so that it stays one page.
DENSE_ROWS, DENSE_NAMES = 4, 80
MAX_NAME = 120
# A number is not parted from its unit at the end of a line.
_UNIT = re.compile(r"(\d) (%|giây|phút|giờ|lần)")


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table of faults."""

    at: str
    lasted: str
    what: str
    done: str
    serious: bool


def as_html(record: Record) -> str:
    """A page that needs nothing from outside. Every text of the record is escaped by the template."""
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = environment.from_string(resources.files(__package__).joinpath("sheet.html").read_text(encoding="utf-8"))
    return template.render(_values(record))


def _values(record: Record) -> dict[str, Any]:
    verdict = judge(record)
    rows, more = fault_rows(record.faults)
    began, ended = local(record.began_ms), local(record.ended_ms)
    same_day = began.date() == ended.date()
    end = f"{ended:%H:%M:%S}" if same_day else f"{ended:%H:%M:%S} ngày {ended:%d/%m/%Y}"
    return {
        "number": record.number,
        "unit": _name(record.unit),
        "meeting": _name(record.meeting_name),
        "meeting_id": _name(record.meeting_id),
        "day": f"ngày {began.day} tháng {began.month} năm {began.year}",
        "began": f"{began:%H:%M:%S} {began:ngày %d/%m/%Y}",
        "ended": end if record.status is Status.ENDED else f"{end} (ghi nhận cuối cùng)",
        "zone": f"UTC{began:%z}"[:6],
        "status": None if record.status is Status.ENDED else _OPEN_WORDS[record.status],
        "duration": lasted(record.duration_ms).vi,
        "facts": _facts(record),
        "grade": GRADES[verdict.grade].vi,
        "grade_class": verdict.grade.value,
        "verdict": _UNIT.sub("\\1\u00a0\\2", verdict.words.vi),
        # Made of numbers alone; a meeting of less than a minute has nothing to draw.
        "plot": Markup(draw(record)) if record.duration_ms >= SHORT_MS else "",  # noqa: S704
        "each": minutes_each(record),
        "rows": rows,
        "dense": len(rows) > DENSE_ROWS or len(record.meeting_name) + len(record.unit) > DENSE_NAMES,
        "more": more,
        "unlisted": record.total("unlisted"),
        "notes": _notes(record),
        "first_line": record.first_line,
        "last_line": record.last_line,
        "hash": record.hash,
        "proven": record.proven,
        "version": record.version,
    }


_OPEN_WORDS = {
    Status.OPEN: "Cuộc họp chưa kết thúc khi lập biên bản này.",
    Status.INTERRUPTED: "Thiết bị bị ngắt trong cuộc họp và không vào lại; giờ kết thúc đúng đến một phút.",
}


def _facts(record: Record) -> list[tuple[str, str]]:
    joined = "không vào được" if record.join_ms is None else f"sau {lasted(record.join_ms).vi}"
    live_ms = record.total("live_ms")
    cut = record.total("reconnects") + record.interruptions
    return [
        ("Vào được họp", joined),
        ("Thời gian có kết nối", lasted(live_ms).vi),
        ("Số lần gián đoạn", f"{cut} (tổng {lasted(away_ms(record)).vi})" if cut or away_ms(record) else "0"),
        ("Gián đoạn dài nhất", lasted(record.longest_outage_ms).vi if record.longest_outage_ms else "–"),
        ("Hình đứng", _spoiled(record.total("freezes"), frozen_ms(record), live_ms)),
        ("Tiếng bị ngắt quãng", _spoiled(None, hidden_ms(record), live_ms)),
        ("Mất gói chiều nhận / gửi", f"{share(lost_share(record, 'in')).vi} / {share(lost_share(record, 'out')).vi}"),
        ("Khứ hồi trung bình / lớn nhất", _round_trip(record)),
        ("Hình mỗi giây gửi / hiện", _frame_rates(record)),
        ("Tốc độ gửi / nhận", _bit_rates(record)),
        ("Micrô bật", _time_or_none(record.total("mic_on_ms"))),
        ("Camera tắt", _time_or_none(record.total("camera_off_ms"))),
    ]


def _time_or_none(ms: int) -> str:
    return lasted(ms).vi if ms else "không"


def _spoiled(times: int | None, ms: int, live_ms: int) -> str:
    if not ms and not times:
        return "không"
    said = f"{lasted(ms).vi} ({share(ms / max(1, live_ms)).vi})"
    return f"{times} lần, {said}" if times is not None else said


def _round_trip(record: Record) -> str:
    mean = [minute["rtt_ms"] for minute in record.minutes if "rtt_ms" in minute.figures]
    most = [minute["rtt_max_ms"] for minute in record.minutes]
    return f"{round(sum(mean) / len(mean))} / {max(most)} ms" if mean else "–"


def _frame_rates(record: Record) -> str:
    live_s = record.total("live_ms") / 1000
    if live_s < 1:
        return "–"
    return f"{record.total('frames_sent') / live_s:.0f} / {record.total('frames_shown') / live_s:.0f}"


def _bit_rates(record: Record) -> str:
    live_ms = record.total("live_ms")
    if live_ms < 1000:
        return "–"
    return f"{record.total('bytes_out') * 8 // live_ms} / {record.total('bytes_in') * 8 // live_ms} kbit/s"


def fault_rows(faults: Sequence[Fault]) -> tuple[list[Row], int]:
    """The rows of the table, and how many faults found no place in it."""
    if len(faults) <= MAX_ROWS:
        return [_row([fault]) for fault in faults], 0
    kinds: dict[tuple[str, str], list[Fault]] = {}
    for fault in faults:
        # Only workers differ by their detail; other details are for the technician.
        kinds.setdefault((fault.code, cause(fault).vi), []).append(fault)
    groups = sorted(kinds.values(), key=lambda group: (not is_serious(group[0]), -len(group)))
    shown = sorted(groups[:MAX_ROWS], key=lambda group: group[0].began_ms)
    return [_row(group) for group in shown], sum(len(group) for group in groups[MAX_ROWS:])


def _row(group: Sequence[Fault]) -> Row:
    first, last = group[0], group[-1]
    spans = [fault.lasted_ms for fault in group if fault.lasted_ms is not None]
    at = f"{local(first.began_ms):%H:%M:%S}"
    length = lasted(sum(spans)).vi if spans else "–"
    if len(group) > 1:
        at = f"{local(first.began_ms):%H:%M} – {local(last.began_ms):%H:%M}"
        length = f"{count(len(group)).vi}, {length}" if spans else count(len(group)).vi
    return Row(at, length, cause(first).vi, done(last).vi, is_serious(first))


def _notes(record: Record) -> list[str]:
    notes: list[str] = []
    if abs(record.clock_jump_ms) >= 1000:
        way = "nhanh lên" if record.clock_jump_ms > 0 else "chậm lại"
        notes.append(
            f"Đồng hồ thiết bị đã được chỉnh {way} {lasted(abs(record.clock_jump_ms)).vi} trong cuộc họp; "
            "giờ trên biên bản là giờ sau khi chỉnh, thời lượng không bị ảnh hưởng."
        )
        if any(fault.code == Cause.CUT for fault in record.faults):
            notes.append("Vì vậy thời gian thiết bị mất điện chỉ là ước tính.")
    if record.lacks_start:
        notes.append("Phần đầu của cuộc họp không còn trong biên bản.")
    if record.total("unlisted"):
        notes.append(f"{record.total('unlisted')} sự kiện lặp lại quá dày không được liệt kê riêng.")
    return notes


def _name(text: str) -> str:
    """A name as it is printed; one line, not longer than the page can bear."""
    text = unicodedata.normalize("NFC", text)
    return text if len(text) <= MAX_NAME else text[: MAX_NAME - 1] + "…"
