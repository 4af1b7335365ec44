"""The minutes on an SD card: power cuts at any call, full and read-only cards, bounds, and the return to a meeting."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from appliance.minutes.chain import opened
from appliance.minutes.clerk import Clerk, Desk
from appliance.minutes.journal import Journal, Limits
from appliance.minutes.keeper import Book
from appliance.minutes.notes import Instant, Kind, Note
from appliance.minutes.record import Cause, Status
from appliance.minutes.segments import segments

from .minutes_makers import NS, FakeUnit, chain_of

START = {"id": "a", "name": "A", "unit": "Xã", "state": "joining", "muted": True, "camera_on": True}


class PowerCutError(BaseException):
    """The end of everything, in the middle of a call."""


def at(seconds: float) -> Instant:
    return Instant(round((1_790_000_000 + seconds) * NS), round(seconds * NS))


def book_in(folder: Path, limits: Limits | None = None, boot: str = "b") -> Book:
    return Book(Journal(folder, limits), Clerk(boot, "0.1.0"))


def a_meeting(book: Book, begin_s: float = 0, minutes: int = 2) -> None:
    book.write([Note(Kind.START, at(begin_s), START)])
    for minute in range(minutes):
        book.write([Note(Kind.QUALITY, at(begin_s + 60 * minute), {"span_ms": 60_000, "live_ms": 60_000})])
    book.write([Note(Kind.END, at(begin_s + 60 * minutes), {"reason": "left"})])


def kinds(folder: Path) -> list[str]:
    return [str(opened(line).fields["kind"]) for path in segments(folder) for line in path.read_bytes().splitlines()]


def test_a_meeting_is_a_chain_of_lines(tmp_path: Path) -> None:
    book = book_in(tmp_path)
    a_meeting(book)
    assert kinds(tmp_path) == ["segment", "start", "quality", "quality", "end"]
    chain = chain_of(tmp_path)
    assert (chain.broken, chain.first, chain.last, len(chain.starts)) == (None, 1, 5, 1)
    assert not next(tmp_path.iterdir()).stat().st_mode & 0o007, "not for every user of the machine"


def test_a_meeting_s_number_goes_on_after_restarts(tmp_path: Path) -> None:
    for number in range(1, 4):
        unit = FakeUnit(tmp_path)
        unit.join()
        unit.leave()
        unit.killed()
        assert unit.record().number == number


@pytest.mark.parametrize("call", ["os.write", "os.fsync", "os.open", "os.ftruncate", "pathlib.Path.unlink"])
@pytest.mark.parametrize("torn", [0.0, 0.4, 1.0])
def test_a_power_cut_at_any_moment_leaves_a_chain_that_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, torn: float
) -> None:
    owner, _, attribute = call.rpartition(".")
    place: Any = os if owner == "os" else Path
    real: Callable[..., Any] = getattr(place, attribute)
    # Small segments: rotation and deletion are among the moments.
    limits = Limits(segments=2, segment_bytes=900)
    for last in range(1, 60):
        folder = tmp_path / str(last)
        calls = 0

        def cut(*arguments: Any, last: int = last, **more: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == last:
                if call == "os.write" and torn:
                    real(arguments[0], bytes(arguments[1])[: int(len(arguments[1]) * torn)])
                raise PowerCutError
            return real(*arguments, **more)

        monkeypatch.setattr(place, attribute, cut)
        book = book_in(folder, limits)
        written = 0
        try:
            for number in range(4):
                a_meeting(book, 1000 * number)
                written += 1
            whole = True
        except PowerCutError:
            whole = False
        monkeypatch.undo()
        book.close()
        after = book_in(folder, limits, boot="c")
        after.write([Note(Kind.ABSENT, at(5000))])
        a_meeting(after, 6000)
        after.close()
        chain = chain_of(folder)
        assert chain.broken is None, f"{call} {last}: {chain.broken}"
        assert not chain.torn
        assert len(segments(folder)) <= 3
        if whole:
            break
    else:
        pytest.fail("writing never came to its end")


def test_a_torn_last_line_is_cut_off_and_noted(tmp_path: Path) -> None:
    book = book_in(tmp_path)
    a_meeting(book)
    book.close()
    (path,) = segments(tmp_path)
    with path.open("ab") as file:
        file.write(b'{"half":')
    assert chain_of(tmp_path).torn
    assert chain_of(tmp_path).broken is None
    again = book_in(tmp_path)
    again.write([Note(Kind.ABSENT, at(900))])
    repaired = opened(path.read_bytes().splitlines()[-1]).fields
    assert (repaired["kind"], repaired["bytes"]) == ("repaired", 8)
    chain = chain_of(tmp_path)
    assert (chain.broken, chain.torn, chain.repairs) == (None, False, 1)


def test_zeros_that_a_file_system_leaves_after_a_power_cut_are_a_torn_end_too(tmp_path: Path) -> None:
    book = book_in(tmp_path)
    a_meeting(book)
    book.close()
    (path,) = segments(tmp_path)
    with path.open("ab") as file:
        file.write(bytes(4096))
    a_meeting(book_in(tmp_path), 1000)
    assert chain_of(tmp_path).broken is None


def test_what_is_not_merely_torn_is_left_for_a_person_to_look_at(tmp_path: Path) -> None:
    book = book_in(tmp_path)
    a_meeting(book)
    book.close()
    (path,) = segments(tmp_path)
    spoiled = path.read_bytes() + b"x" * 400_000
    path.write_bytes(spoiled)
    a_meeting(book_in(tmp_path), 1000)
    assert path.read_bytes() == spoiled
    assert len(segments(tmp_path)) == 2
    broken = chain_of(tmp_path).broken
    assert broken is not None
    assert broken.file == path.name


def test_odd_things_in_the_place_of_a_file_do_not_end_the_minutes(tmp_path: Path) -> None:
    tmp_path.joinpath("00000001.jsonl").mkdir()
    os.mkfifo(tmp_path / "00000002.jsonl")
    tmp_path.joinpath("00000003.jsonl").symlink_to("/dev/zero")
    a_meeting(book_in(tmp_path))
    assert segments(tmp_path)[-1].name == "00000004.jsonl"
    assert chain_of(tmp_path).broken is not None


def test_a_full_card_changes_nothing_and_the_same_notes_can_be_written_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    book = book_in(tmp_path)
    a_meeting(book)
    (path,) = segments(tmp_path)
    before = path.read_bytes()
    real = os.write

    def full(descriptor: int, content: bytes) -> int:
        if len(content) > 100:
            return real(descriptor, bytes(content)[:100])
        raise OSError(28, "No space left on device")

    notes = [Note(Kind.START, at(500), START), Note(Kind.STATE, at(501), {"state": "live"})]
    monkeypatch.setattr(os, "write", full)
    for _ in range(3):
        with pytest.raises(OSError, match="No space"):
            book.write(notes)
        assert path.read_bytes() == before
    monkeypatch.undo()
    book.write(notes)
    assert kinds(tmp_path)[-2:] == ["start", "state"]
    assert chain_of(tmp_path).broken is None


def test_lines_that_could_not_be_taken_back_are_overwritten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The card takes the bytes, but neither the fsync nor the shortening: what it holds is not known."""
    book = book_in(tmp_path)
    a_meeting(book)

    def fails(*_: Any) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", fails)
    monkeypatch.setattr(os, "ftruncate", fails)
    with pytest.raises(OSError, match="Input/output"):
        book.write([Note(Kind.START, at(500), START)])
    monkeypatch.undo()
    book.write([Note(Kind.START, at(500), START)])
    assert kinds(tmp_path).count("start") == 2
    assert chain_of(tmp_path).broken is None


def test_a_folder_that_is_deleted_under_the_unit_is_made_again(tmp_path: Path) -> None:
    folder = tmp_path / "minutes"
    book = book_in(folder)
    a_meeting(book)
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    with pytest.raises(FileNotFoundError):
        book.write([Note(Kind.START, at(500), START)])
    book.write([Note(Kind.START, at(500), START)])
    assert kinds(folder) == ["segment", "start"]


def test_two_units_do_not_write_into_one_folder(tmp_path: Path) -> None:
    a_meeting(first := book_in(tmp_path))
    with pytest.raises(OSError, match="another unit"):
        book_in(tmp_path).write([Note(Kind.ABSENT, at(0))])
    first.close()
    book_in(tmp_path).write([Note(Kind.ABSENT, at(0))])


def test_the_minutes_are_bounded_and_still_verify_when_the_oldest_are_dropped(tmp_path: Path) -> None:
    limits = Limits(segments=3, segment_bytes=4000)
    book = book_in(tmp_path, limits)
    for number in range(60):
        a_meeting(book, 1000 * number)
        assert len(segments(tmp_path)) <= 3
        chain = chain_of(tmp_path)
        assert chain.broken is None
        assert chain.dropped == (chain.first or 1) - 1
    assert sum(path.stat().st_size for path in segments(tmp_path)) < 3 * 5500
    assert chain.dropped > 100
    assert opened(segments(tmp_path)[0].read_bytes().splitlines()[0]).number == chain.dropped + 1


def test_many_tiny_meetings_are_bounded_by_their_number(tmp_path: Path) -> None:
    limits = Limits(segments=2, segment_meetings=5)
    book = book_in(tmp_path, limits)
    for number in range(40):
        a_meeting(book, 1000 * number, minutes=0)
    assert kinds(tmp_path).count("start") <= 10
    assert chain_of(tmp_path).broken is None


def test_the_number_of_meetings_outlives_the_dropped_ones(tmp_path: Path) -> None:
    limits = Limits(segments=2, segment_bytes=1500)
    for number in range(1, 20):
        book = book_in(tmp_path, limits)
        a_meeting(book, 1000 * number)
        book.close()
    unit = FakeUnit(tmp_path, limits)
    unit.join()
    assert unit.record().number == 20


# returning to a meeting


def test_a_unit_that_returns_goes_on_with_the_same_record(tmp_path: Path) -> None:
    unit = FakeUnit(tmp_path)
    unit.join()
    unit.run(150)
    unit.killed()
    unit.power_returns(40)
    unit.join()
    unit.run(100)
    unit.leave()
    (record,) = unit.records()
    assert (record.status, record.interruptions, record.total("reconnects")) == (Status.ENDED, 1, 0)
    assert [(fault.code, fault.lasted_ms) for fault in record.faults] == [(Cause.CUT, 71_000)]


def test_the_interruption_of_a_killed_program_is_measured_by_the_clock_that_does_not_jump(tmp_path: Path) -> None:
    unit = FakeUnit(tmp_path)
    unit.join()
    unit.run(60)
    unit.killed()
    unit.pass_time(7)
    unit.wall_ns += 9999 * NS
    unit.start()
    unit.join()
    unit.leave()
    (record,) = unit.records()
    (fault,) = record.faults
    assert fault.code == Cause.CRASHED
    # The last line before it is that of the first whole minute, 60 s after the unit began to join.
    assert fault.lasted_ms == 7_000 + 1_000
    assert record.duration_ms == 1_500 + 60_000 + 7_000 + 1_500


def test_a_unit_that_stays_out_closes_the_meeting_as_interrupted(tmp_path: Path) -> None:
    unit = FakeUnit(tmp_path)
    unit.join()
    unit.run(150)
    unit.killed()
    unit.power_returns(600)
    unit.look()
    (record,) = unit.records()
    assert record.status is Status.INTERRUPTED
    assert record.duration_ms == 120_500, "up to its last line, not to the day when somebody switched it on"


def test_another_meeting_closes_the_first(tmp_path: Path) -> None:
    unit = FakeUnit(tmp_path)
    unit.join("a")
    unit.killed()
    unit.power_returns(10)
    unit.join("b")
    assert [(record.meeting_id, record.status) for record in unit.records()] == [
        ("a", Status.INTERRUPTED),
        ("b", Status.OPEN),
    ]


def test_the_same_name_on_the_next_day_is_not_the_same_meeting(tmp_path: Path) -> None:
    unit = FakeUnit(tmp_path)
    unit.join()
    unit.killed()
    unit.power_returns(20 * 3600)
    unit.join()
    assert [record.status for record in unit.records()] == [Status.INTERRUPTED, Status.OPEN]


def test_a_stopped_unit_that_returns_was_restarted_not_cut_off(tmp_path: Path) -> None:
    unit = FakeUnit(tmp_path)
    unit.join()
    unit.run(20)
    unit.stop()
    unit.pass_time(3)
    unit.start()
    unit.join()
    unit.leave()
    (record,) = unit.records()
    assert [fault.code for fault in record.faults] == [Cause.STOPPED]
    assert record.duration_ms == 26_000


def test_an_open_meeting_is_carried_over_a_rotation(tmp_path: Path) -> None:
    unit = FakeUnit(tmp_path, Limits(segments=4, segment_bytes=1500))
    unit.join()
    unit.run(600)
    assert len(segments(tmp_path)) >= 3
    unit.killed()
    unit.power_returns(30)
    unit.join()
    unit.leave()
    assert [record.number for record in unit.records()] == [1]
    assert unit.chain().broken is None


def test_a_meeting_whose_beginning_was_dropped_says_so(tmp_path: Path) -> None:
    unit = FakeUnit(tmp_path, Limits(segments=2, segment_bytes=3000))
    unit.join()
    unit.run(3600)
    unit.leave()
    (record,) = unit.records()
    assert record.lacks_start
    assert record.proven
    assert unit.chain().broken is None


def test_a_clock_of_another_time_is_set_right_in_the_record(tmp_path: Path) -> None:
    unit = FakeUnit(tmp_path)
    right_ns = unit.wall_ns
    unit.wall_ns = 0
    unit.join()
    unit.run(30)
    unit.wall_ns = right_ns
    unit.run(600)
    unit.leave()
    record = unit.record()
    assert record.began_ms == right_ns // 1_000_000 - 31_500
    assert record.duration_ms == 631_500


def test_a_board_that_starts_with_an_old_clock_is_not_said_to_have_been_away_for_nothing(tmp_path: Path) -> None:
    unit = FakeUnit(tmp_path)
    unit.join()
    unit.run(60)
    unit.killed()
    unit.power_returns(-1000)
    unit.join()
    unit.run(10)
    unit.wall_ns += 1300 * NS
    unit.run(60)
    unit.leave()
    (fault,) = [fault for fault in unit.record().faults if fault.code == Cause.CUT]
    assert fault.lasted_ms == 301_000


def test_the_desk_doubts_what_it_reads_back() -> None:
    desk = Desk()
    for line in (
        {"kind": "segment", "meetings": "many", "open": 3},
        {"kind": "start", "meeting": -1},
        {"kind": "start", "meeting": 2, "t": "x", "ms": None},
        {"kind": "quality", "meeting": 99},
        {},
    ):
        desk = desk.after(line)
    assert desk == Desk(last_meeting=2)
