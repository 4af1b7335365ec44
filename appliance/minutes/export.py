"""Records as JSON for programs and as CSV for Excel."""

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any, Literal

from .record import Fault, Record
from .verdict import GRADES, away_ms, frozen_ms, hidden_ms, judge, lost_share
from .words import STATUS, Pair, cause, day_and_time, done, is_serious

Table = Literal["quality", "faults", "meetings"]

# A cell that begins so is a formula for Excel or LibreOffice, whoever wrote it.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")

# Whole numbers only: where the decimal sign is a comma, Excel takes 1.234 for a thousand.
_QUALITY: dict[str, Pair] = {
    "span_ms": Pair("Độ dài (ms)", "Length (ms)"),
    "live_ms": Pair("Có kết nối (ms)", "Connected (ms)"),
    "mic_on_ms": Pair("Micrô bật (ms)", "Microphone on (ms)"),
    "camera_off_ms": Pair("Camera tắt (ms)", "Camera off (ms)"),
    "reconnects": Pair("Kết nối lại", "Reconnects"),
    "unlisted": Pair("Sự kiện không liệt kê", "Events not listed"),
    "frames_sent": Pair("Hình gửi", "Pictures sent"),
    "frames_shown": Pair("Hình hiện", "Pictures shown"),
    "frames_dropped": Pair("Hình bỏ", "Pictures dropped"),
    "freezes": Pair("Đứng hình (lần)", "Freezes"),
    "freeze_ms": Pair("Đứng hình (ms)", "Frozen (ms)"),
    "decode_errors": Pair("Lỗi giải mã", "Decode errors"),
    "packets_out": Pair("Gói gửi", "Packets sent"),
    "packets_out_lost": Pair("Gói gửi bị mất", "Sent packets lost"),
    "packets_in": Pair("Gói nhận", "Packets received"),
    "packets_in_lost": Pair("Gói nhận bị mất", "Packets lost on the way in"),
    "packets_repaired": Pair("Gói được bù", "Packets repaired"),
    "gaps_given_up": Pair("Chỗ mất không bù được", "Gaps given up"),
    "keyframes_asked": Pair("Yêu cầu hình khóa", "Keyframes asked for"),
    "bytes_out": Pair("Byte gửi", "Bytes sent"),
    "bytes_in": Pair("Byte nhận", "Bytes received"),
    "blocks_concealed": Pair("Tiếng bị che (khối 20 ms)", "Sound concealed (blocks of 20 ms)"),
    "blocks_underrun": Pair("Tiếng không đến kịp (khối 20 ms)", "Sound not there in time (blocks of 20 ms)"),
    "blocks_fec": Pair("Tiếng được bù (khối 20 ms)", "Sound repaired (blocks of 20 ms)"),
    "sound_xruns": Pair("Lỗi card âm thanh", "Sound card xruns"),
    "rtt_ms": Pair("Khứ hồi (ms)", "Round trip (ms)"),
    "rtt_max_ms": Pair("Khứ hồi lớn nhất (ms)", "Longest round trip (ms)"),
    "jitter_ms": Pair("Rung lớn nhất (ms)", "Most jitter (ms)"),
    "sound_buffer_ms": Pair("Bộ đệm tiếng lớn nhất (ms)", "Most sound buffered (ms)"),
    "encoder_kbps": Pair("Tốc độ mã hóa (kbit/s)", "Encoder (kbit/s)"),
    "mic_dbfs": Pair("Mức micrô cao nhất (dBFS)", "Loudest microphone (dBFS)"),
    "speaker_dbfs": Pair("Mức loa cao nhất (dBFS)", "Loudest speaker (dBFS)"),
}


def as_dict(record: Record) -> dict[str, Any]:
    """The whole record; times both as Unix ms and in words of ISO 8601."""
    verdict = judge(record)
    return summary(record) | {
        "verdict": {
            "grade": verdict.grade.value,
            "word": GRADES[verdict.grade]._asdict(),
            "text": verdict.words._asdict(),
        },
        "totals": dict(record.totals),
        "lost_in_permille": round(lost_share(record, "in") * 1000),
        "lost_out_permille": round(lost_share(record, "out") * 1000),
        "faults": [_fault(fault) for fault in record.faults],
        "events": [
            {"at": day_and_time(event.at_ms), **{k: v for k, v in event.fields.items() if k != "meeting"}}
            for event in record.happenings
        ],
        "quality": [
            {"began": day_and_time(minute.began_ms), "began_unix_ms": minute.began_ms, **minute.figures}
            for minute in record.minutes
        ],
    }


def summary(record: Record) -> dict[str, Any]:
    """What a list shows of a meeting."""
    return {
        "number": record.number,
        "unit": record.unit,
        "meeting": {"id": record.meeting_id, "name": record.meeting_name},
        "status": record.status.value,
        "began": day_and_time(record.began_ms),
        "began_unix_ms": record.began_ms,
        "ended": day_and_time(record.ended_ms),
        "ended_unix_ms": record.ended_ms,
        "duration_ms": record.duration_ms,
        "live_ms": record.total("live_ms"),
        "join_ms": record.join_ms,
        "away_ms": away_ms(record),
        "frozen_ms": frozen_ms(record),
        "sound_hidden_ms": hidden_ms(record),
        "longest_outage_ms": record.longest_outage_ms,
        "reconnects": record.total("reconnects"),
        "interruptions": record.interruptions,
        "fault_count": len(record.faults),
        "clock_jump_ms": record.clock_jump_ms,
        "lacks_start": record.lacks_start,
        "grade": judge(record).grade.value,
        "lines": {"first": record.first_line, "last": record.last_line, "hash": record.hash, "proven": record.proven},
        "version": record.version,
    }


def _fault(fault: Fault) -> dict[str, Any]:
    return {
        "code": fault.code,
        "began": day_and_time(fault.began_ms),
        "began_unix_ms": fault.began_ms,
        "lasted_ms": fault.lasted_ms,
        "is_over": fault.is_over,
        "serious": is_serious(fault),
        "detail": fault.detail,
        "cause": cause(fault)._asdict(),
        "done": done(fault)._asdict(),
    }


def as_csv(records: Iterable[Record], table: Table, lang: str, separator: str = ",") -> bytes:
    """A table that Excel opens by a double click: UTF-8 with its mark in front, whole numbers, no formulas."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter=separator, lineterminator="\r\n")
    head, rows = {"quality": _quality, "faults": _faults, "meetings": _meetings}[table](records, lang)
    writer.writerow(head)
    for row in rows:
        writer.writerow([safe_cell(cell) if isinstance(cell, str) else cell for cell in row])
    return out.getvalue().encode("utf-8-sig")


def safe_cell(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULA) else text


_Rows = tuple[Sequence[str], Iterable[list[str | int]]]


def _quality(records: Iterable[Record], lang: str) -> _Rows:
    head = [Pair("Số", "Number").of(lang), Pair("Bắt đầu", "Began").of(lang)]
    rows: Iterable[list[str | int]] = (
        [record.number, day_and_time(minute.began_ms), *(minute.figures.get(name, "") for name in _QUALITY)]
        for record in records
        for minute in record.minutes
    )
    return [*head, *(pair.of(lang) for pair in _QUALITY.values())], rows


def _faults(records: Iterable[Record], lang: str) -> _Rows:
    head = (
        Pair("Số", "Number"),
        Pair("Thời điểm", "At"),
        Pair("Kéo dài (ms)", "Lasted (ms)"),
        Pair("Sự cố", "Fault"),
        Pair("Đã xử lý", "What was done"),
        Pair("Mã", "Code"),
        Pair("Chi tiết", "Detail"),
    )
    rows: Iterable[list[str | int]] = (
        [
            record.number,
            day_and_time(fault.began_ms),
            "" if fault.lasted_ms is None else fault.lasted_ms,
            cause(fault).of(lang),
            done(fault).of(lang),
            fault.code,
            fault.detail,
        ]
        for record in records
        for fault in record.faults
    )
    return [pair.of(lang) for pair in head], rows


def _meetings(records: Iterable[Record], lang: str) -> _Rows:
    head = (
        Pair("Số", "Number"),
        Pair("Điểm cầu", "Unit"),
        Pair("Cuộc họp", "Meeting"),
        Pair("Bắt đầu", "Began"),
        Pair("Kết thúc", "Ended"),
        Pair("Thời lượng (giây)", "Duration (s)"),
        Pair("Có kết nối (giây)", "Connected (s)"),
        Pair("Đứng hình (giây)", "Frozen (s)"),
        Pair("Ngắt tiếng (giây)", "Sound broken (s)"),
        Pair("Kết nối lại", "Reconnects"),
        Pair("Thiết bị ngắt", "Unit cut off"),
        Pair("Sự cố", "Faults"),
        Pair("Đánh giá", "Verdict"),
        Pair("Tình trạng", "Status"),
        Pair("Mã kiểm tra", "Hash"),
    )
    rows: Iterable[list[str | int]] = (
        [
            record.number,
            record.unit,
            record.meeting_name,
            day_and_time(record.began_ms),
            day_and_time(record.ended_ms),
            round(record.duration_ms / 1000),
            round(record.total("live_ms") / 1000),
            round(frozen_ms(record) / 1000),
            round(hidden_ms(record) / 1000),
            record.total("reconnects"),
            record.interruptions,
            len(record.faults),
            GRADES[judge(record).grade].of(lang),
            STATUS[record.status].of(lang),
            record.hash,
        ]
        for record in records
    )
    return [pair.of(lang) for pair in head], rows
