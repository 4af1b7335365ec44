"""Judges a meeting by what its room saw and heard, and says it in plain words."""

from dataclasses import dataclass
from enum import StrEnum

from .figures import BLOCK_MS
from .record import Cause, Minute, Record
from .words import Pair, count, lasted, share

# Below this there is nothing to judge.
SHORT_MS = 60_000
FAIR_SHARE, POOR_SHARE = 0.01, 0.05
FAIR_OUTAGE_MS, POOR_OUTAGE_MS = 5_000, 60_000
# A minute in which so much is lost explains what was seen.
LOSSY_SHARE = 0.02


class Grade(StrEnum):
    GOOD = "good"
    FAIR = "fair"
    POOR = "poor"
    FAILED = "failed"
    SHORT = "short"


GRADES: dict[Grade, Pair] = {
    Grade.GOOD: Pair("TỐT", "GOOD"),
    Grade.FAIR: Pair("ĐẠT", "FAIR"),
    Grade.POOR: Pair("KÉM", "POOR"),
    Grade.FAILED: Pair("KHÔNG VÀO ĐƯỢC HỌP", "NEVER CONNECTED"),
    Grade.SHORT: Pair("KHÔNG ĐÁNH GIÁ", "NOT JUDGED"),
}


@dataclass(frozen=True, slots=True)
class Verdict:
    grade: Grade
    sentences: tuple[Pair, ...]

    @property
    def words(self) -> Pair:
        return Pair(" ".join(said.vi for said in self.sentences), " ".join(said.en for said in self.sentences))


def away_ms(record: Record) -> int:
    """How long the room was without the meeting after it had once been in it."""
    if record.join_ms is None:
        return 0
    return max(0, record.duration_ms - record.join_ms - record.total("live_ms"))


def frozen_ms(minute: Minute | Record) -> int:
    """How long the picture stood while connected."""
    get = minute.total if isinstance(minute, Record) else minute.__getitem__
    return min(get("freeze_ms"), get("live_ms"))


def hidden_ms(minute: Minute | Record) -> int:
    """How long sound was replaced because it was missing."""
    get = minute.total if isinstance(minute, Record) else minute.__getitem__
    return min(get("blocks_concealed") * BLOCK_MS, get("live_ms"))


def lost_share(minute: Minute | Record, way: str) -> float:
    """Of the packets of one way, `in` or `out`, how many the line lost (before they were repaired)."""
    get = minute.total if isinstance(minute, Record) else minute.__getitem__
    lost, count_ = get(f"packets_{way}_lost"), get(f"packets_{way}")
    # What we count coming in has arrived; what we count going out was sent.
    expected = count_ + lost if way == "in" else count_
    return min(1.0, lost / expected) if expected > 0 else 0.0


def judge(record: Record) -> Verdict:
    if record.join_ms is None:
        if record.duration_ms < SHORT_MS:
            return Verdict(Grade.SHORT, (Pair("Chưa kịp vào họp.", "The meeting was left before it was joined."),))
        said = Pair("Điểm cầu không kết nối được với trung tâm.", "The unit never reached the conference centre.")
        return Verdict(Grade.FAILED, (said,))
    away, frozen, hidden = away_ms(record), frozen_ms(record), hidden_ms(record)
    in_meeting = max(1, record.duration_ms - record.join_ms)
    seen, heard = (away + frozen) / in_meeting, (away + hidden) / in_meeting
    worst, outage = max(seen, heard), record.longest_outage_ms
    if record.total("live_ms") + away < SHORT_MS:
        grade = Grade.SHORT
    elif worst >= POOR_SHARE or outage >= POOR_OUTAGE_MS:
        grade = Grade.POOR
    elif worst >= FAIR_SHARE or outage >= FAIR_OUTAGE_MS:
        grade = Grade.FAIR
    else:
        grade = Grade.GOOD
    return Verdict(grade, tuple(_sentences(record, grade, away, frozen, hidden, in_meeting)))


def _sentences(record: Record, grade: Grade, away: int, frozen: int, hidden: int, in_meeting: int) -> list[Pair]:
    said: list[Pair] = []
    if grade is Grade.GOOD:
        said.append(Pair("Hình và tiếng ổn định suốt cuộc họp.", "Picture and sound were steady throughout."))
    elif grade is Grade.SHORT:
        said.append(Pair("Cuộc họp quá ngắn để đánh giá.", "The meeting was too short to be judged."))
    reconnects = record.total("reconnects")
    if reconnects or record.interruptions:
        times, span = count(reconnects + record.interruptions), lasted(away)
        said.append(
            Pair(
                f"Gián đoạn {times.vi}, tổng cộng {span.vi}; thiết bị tự vào lại họp.",
                f"Cut off {times.en}, {span.en} in all; the unit returned by itself.",
            )
        )
    elif away >= FAIR_OUTAGE_MS:
        span = lasted(away)
        said.append(Pair(f"Mất kết nối {span.vi}.", f"Without connection for {span.en}."))
    if frozen / in_meeting >= FAIR_SHARE:
        times, span, part = count(record.total("freezes")), lasted(frozen), share(frozen / in_meeting)
        said.append(
            Pair(
                f"Hình đứng {times.vi}, tổng cộng {span.vi} ({part.vi} thời gian họp).",
                f"The picture stood {times.en}, {span.en} in all ({part.en} of the time).",
            )
        )
    if hidden / in_meeting >= FAIR_SHARE:
        span, part = lasted(hidden), share(hidden / in_meeting)
        said.append(
            Pair(
                f"Tiếng bị ngắt quãng, tổng cộng {span.vi} ({part.vi} thời gian họp).",
                f"The sound was broken for {span.en} ({part.en} of the time).",
            )
        )
    if grade in (Grade.FAIR, Grade.POOR):
        said += _likely_cause(record)
    return said


def _likely_cause(record: Record) -> list[Pair]:
    worst_in = max((lost_share(minute, "in") for minute in record.minutes), default=0.0)
    worst_out = max((lost_share(minute, "out") for minute in record.minutes), default=0.0)
    if max(worst_in, worst_out) >= LOSSY_SHARE:
        part = share(max(worst_in, worst_out))
        return [
            Pair(
                f"Đường truyền mất gói, có phút đến {part.vi}: nên kiểm tra đường truyền.",
                f"The line lost up to {part.en} of the packets of a minute: have the line checked.",
            )
        ]
    if any(fault.code == Cause.CUT for fault in record.faults):
        return [Pair("Nên kiểm tra nguồn điện của thiết bị.", "Have the unit's power supply checked.")]
    if record.total("reconnects"):
        return [
            Pair(
                "Đường truyền bị ngắt: nên kiểm tra dây mạng và đường truyền.",
                "The line was cut: have cable and line checked.",
            )
        ]
    return []
