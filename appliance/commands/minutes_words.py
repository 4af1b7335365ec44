"""The minutes on a terminal, Vietnamese or English."""

from collections.abc import Mapping, Sequence
from typing import Any

from appliance.minutes.record import Happening, Record, Status
from appliance.minutes.verdict import GRADES, Grade, away_ms, frozen_ms, hidden_ms, judge, lost_share
from appliance.minutes.words import (
    STATES,
    STATUS,
    Pair,
    cause,
    cells,
    count,
    day_and_time,
    done,
    lasted,
    share,
)

_NO_MEETINGS = Pair("Chưa có cuộc họp nào được ghi.", "No meeting has been recorded yet.")
_COLUMNS = (
    (Pair("Số", "No."), 6),
    (Pair("Bắt đầu", "Began"), 21),
    (Pair("Thời lượng", "Duration"), 17),
    (Pair("Cuộc họp", "Meeting"), 30),
    (Pair("Gián đoạn", "Cut off"), 11),
    (Pair("Đánh giá", "Verdict"), 0),
)


def list_lines(found: Sequence[Mapping[str, Any]], lang: str) -> list[str]:
    """One line a meeting."""
    if not found:
        return [_NO_MEETINGS.of(lang)]
    lines = ["".join(cells(name.of(lang), width) if width else name.of(lang) for name, width in _COLUMNS)]
    for meeting in found:
        status = Status(meeting["status"])
        said = GRADES[Grade(meeting["grade"])].of(lang)
        values = (
            str(meeting["number"]),
            meeting["began"],
            lasted(meeting["duration_ms"]).of(lang),
            meeting["meeting"]["name"],
            str(meeting["reconnects"] + meeting["interruptions"]),
        )
        row = "".join(cells(value, width - 1) + " " for value, (_, width) in zip(values, _COLUMNS[:-1], strict=True))
        lines.append(row + said + ("" if status is Status.ENDED else f" ({STATUS[status].of(lang)})"))
    return lines


def show_lines(record: Record, lang: str) -> list[str]:
    """Everything of one meeting that fits a terminal: facts, faults, then what happened."""

    def row(name: Pair, value: Pair | str) -> str:
        return f"  {cells(name.of(lang), 24)}{value.of(lang) if isinstance(value, Pair) else value}"

    verdict = judge(record)
    never = Pair("không vào được", "never")
    way_in, way_out = share(lost_share(record, "in")).of(lang), share(lost_share(record, "out")).of(lang)
    cut = record.total("reconnects") + record.interruptions
    lines = [
        f"{record.number}. {record.meeting_name} · {record.unit}",
        row(Pair("Bắt đầu", "Began"), day_and_time(record.began_ms)),
        row(Pair("Kết thúc", "Ended"), f"{day_and_time(record.ended_ms)} ({STATUS[record.status].of(lang)})"),
        row(Pair("Thời lượng", "Duration"), lasted(record.duration_ms)),
        row(Pair("Vào được họp sau", "Joined after"), never if record.join_ms is None else lasted(record.join_ms)),
        row(Pair("Có kết nối", "Connected"), lasted(record.total("live_ms"))),
        row(Pair("Gián đoạn", "Cut off"), f"{count(cut).of(lang)}, {lasted(away_ms(record)).of(lang)}"),
        row(Pair("Hình đứng", "Frozen"), f"{record.total('freezes')}, {lasted(frozen_ms(record)).of(lang)}"),
        row(Pair("Tiếng bị ngắt quãng", "Sound broken"), lasted(hidden_ms(record))),
        row(Pair("Mất gói nhận / gửi", "Lost in / out"), f"{way_in} / {way_out}"),
        row(Pair("Đánh giá", "Verdict"), f"{GRADES[verdict.grade].of(lang)}. {verdict.words.of(lang)}"),
        row(Pair("Mã kiểm tra", "Hash"), record.hash),
    ]
    if record.faults:
        lines += ["", Pair("Sự cố", "Faults").of(lang)]
    for fault in record.faults:
        span = "–" if fault.lasted_ms is None else lasted(fault.lasted_ms).of(lang)
        lines.append(
            f"  {day_and_time(fault.began_ms)}  {cells(span, 16)}{cause(fault).of(lang)} {done(fault).of(lang)}"
        )
    lines += ["", Pair("Diễn biến", "Events").of(lang)]
    for event in record.happenings:
        said = _event(event)
        if said is not None:
            lines.append(f"  {day_and_time(event.at_ms)}  {said.of(lang)}")
    return lines


def _event(event: Happening) -> Pair | None:
    """One thing that happened; None for what the faults tell already."""
    fields = event.fields
    match event.kind:
        case "start":
            return Pair("Bắt đầu vào họp", "Began to join")
        case "resumed":
            return Pair("Thiết bị trở lại cuộc họp", "The unit returned to the meeting")
        case "state":
            return STATES.get(str(fields.get("state")), Pair("–", "–"))
        case "switch":
            return _switch(fields)
        case "clock":
            return Pair("Đồng hồ được chỉnh", "The clock was set")
        case "stopped":
            return Pair("Thiết bị được tắt đúng cách", "The unit was stopped")
        case "end":
            return {
                "left": Pair("Rời cuộc họp", "Left the meeting"),
                "changed": Pair("Chuyển sang cuộc họp khác", "Went over to another meeting"),
                "interrupted": Pair("Bị ngắt, không vào lại", "Cut off, did not return"),
            }.get(str(fields.get("reason")), Pair("Kết thúc", "Ended"))
    return None


def _switch(fields: Mapping[str, Any]) -> Pair:
    said_vi, said_en = [], []
    if "muted" in fields:
        said_vi.append("Tắt micrô" if fields["muted"] else "Bật micrô")
        said_en.append("Microphone off" if fields["muted"] else "Microphone on")
    if "camera_on" in fields:
        said_vi.append("Bật camera" if fields["camera_on"] else "Tắt camera")
        said_en.append("Camera on" if fields["camera_on"] else "Camera off")
    return Pair(", ".join(said_vi), ", ".join(said_en))
