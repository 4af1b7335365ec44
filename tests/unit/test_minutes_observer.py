"""What the observer notes of a unit: pure, with made-up snapshots and clocks."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.minutes.figures import Figures
from appliance.minutes.notes import Instant, Kind, Note
from appliance.minutes.observer import NOTES_PER_MINUTE, Observer
from appliance.state import ApplianceState, MeetingState, MeetingStatus

from .minutes_makers import NS, FakeUnit


@pytest.fixture
def unit(tmp_path: Path) -> FakeUnit:
    return FakeUnit(tmp_path)


def of(unit: FakeUnit, kind: Kind) -> list[Note]:
    return [note for note in unit.notes if note.kind is kind]


def figures(unit: FakeUnit) -> list[dict[str, int]]:
    return [dict(note.fields) for note in of(unit, Kind.QUALITY)]


def test_outside_meetings_nothing_is_noted(unit: FakeUnit) -> None:
    unit.run(300)
    unit.problem("camera-missing")
    assert [note.kind for note in unit.notes] == [Kind.ABSENT]


def test_a_meeting_is_noted_from_start_to_end(unit: FakeUnit) -> None:
    unit.join()
    unit.run(90)
    unit.leave()
    assert [note.kind for note in unit.notes] == [
        Kind.START,
        Kind.STATE,
        Kind.QUALITY,
        Kind.QUALITY,
        Kind.END,
    ]
    start = of(unit, Kind.START)[0]
    assert (start.fields["id"], start.fields["name"]) == ("giao-ban", "Giao ban tháng 11")
    assert start.fields["unit"] == "Xã Tân Lập"
    assert of(unit, Kind.END)[0].fields == {"reason": "left"}


def test_each_minute_has_one_line_of_what_was_counted_in_it(unit: FakeUnit) -> None:
    unit.join()
    unit.run(180)
    minutes = figures(unit)
    assert [minute["span_ms"] for minute in minutes] == [60_500, 60_000, 60_000]
    assert [minute["live_ms"] for minute in minutes] == [59_000, 60_000, 60_000]
    assert minutes[1]["frames_sent"] == 30 * 60
    assert minutes[1]["packets_in"] == 280 * 60
    assert minutes[1]["rtt_ms"] == 25
    assert minutes[1]["mic_dbfs"] == -31


def test_lines_that_come_a_little_late_do_not_add_up(unit: FakeUnit) -> None:
    unit.join()
    unit.run(3600, step_s=0.7)
    assert len(figures(unit)) == 60
    assert sum(minute["span_ms"] for minute in figures(unit)) - 3_600_000 < 2000


def test_a_process_that_was_held_up_tells_of_all_that_time_at_once(unit: FakeUnit) -> None:
    unit.join()
    unit.run(400, step_s=390)
    unit.run(120)
    assert [minute["span_ms"] // 1000 for minute in figures(unit)] == [391, 29, 60]


def test_a_new_session_counts_from_zero_and_nothing_is_counted_twice_or_lost(unit: FakeUnit) -> None:
    unit.join()
    unit.run(300)
    for _ in range(5):
        unit.lose(7)
        unit.run(60)
    unit.leave()
    minutes = figures(unit)
    live_s = sum(minute["live_ms"] for minute in minutes) / 1000
    assert live_s == 600
    assert sum(minute["frames_sent"] for minute in minutes) == 30 * 600
    assert sum(minute["reconnects"] for minute in minutes) == 5


def test_what_was_counted_before_the_meeting_is_not_of_it(unit: FakeUnit) -> None:
    unit.join("first")
    unit.run(600)
    unit.leave()
    unit.notes.clear()
    unit.join("second")
    unit.run(60)
    unit.leave()
    assert sum(minute["frames_shown"] for minute in figures(unit)) == 30 * 60


def test_a_worker_that_starts_again_counts_from_zero() -> None:
    counted = Figures({"screen": {"shown": 5000, "freezes": 3}})
    counted.count({"screen": {"shown": 5010, "freezes": 3}})
    counted.count({"screen": {"shown": 4, "freezes": 1}})
    assert counted.take() == {"frames_shown": 14, "freezes": 1}


def test_late_packets_make_losses_smaller_and_a_new_stream_begins_anew() -> None:
    def told(received: int, lost: int) -> dict[str, dict[str, Any]]:
        return {"session": {"video_in_packets_received": received, "video_in_packets_lost": lost}}

    counted = Figures({})
    counted.count(told(100, 9))
    counted.count(told(150, 4))
    assert counted.take() == {"packets_in": 150, "packets_in_lost": 4}
    counted.count(told(10, 2))
    assert counted.take() == {"packets_in": 10, "packets_in_lost": 2}


def test_figures_are_left_out_as_long_as_no_part_has_told_them() -> None:
    counted = Figures({})
    counted.count({"screen": {"shown": 3}})
    assert counted.take() == {"frames_shown": 3}
    counted.count({})
    assert counted.take() == {"frames_shown": 0}


_WILD = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.lists(st.integers(), max_size=2)
)
_NUMBERS = st.fixed_dictionaries(
    {},
    optional={
        "session": st.dictionaries(
            st.sampled_from(["video_in_packets_lost", "video_in_packets_received", "video_out_rtt_ms"]), _WILD
        ),
        "screen": st.dictionaries(st.sampled_from(["shown", "freeze_ms"]), _WILD),
        "sound": st.dictionaries(st.sampled_from(["xruns", "level_dbfs"]), _WILD),
    },
)


@given(_NUMBERS, st.lists(_NUMBERS, max_size=6))
def test_whatever_a_part_tells_the_figures_are_whole_numbers(first: Any, later: list[Any]) -> None:
    counted = Figures(first)
    for numbers in later:
        counted.count(numbers)
        counted.sample(numbers)
        assert all(type(value) is int for value in counted.take().values())


def test_problems_are_noted_with_begin_and_end_also_those_that_were_there_before(unit: FakeUnit) -> None:
    unit.problem("camera-missing", "/dev/video0 is gone")
    unit.join()
    unit.run(10)
    unit.no_problem("camera-missing")
    unit.problem("mcu-busy")
    assert [(note.kind, note.fields["code"]) for note in unit.notes if "code" in note.fields] == [
        (Kind.PROBLEM, "camera-missing"),
        (Kind.PROBLEM_END, "camera-missing"),
        (Kind.PROBLEM, "mcu-busy"),
    ]


def test_switches_and_worker_restarts_are_noted(unit: FakeUnit) -> None:
    unit.join()
    unit.set(muted=False)
    unit.run(30)
    unit.set(muted=True, camera_on=False)
    unit.run(10)
    unit.worker_dies("sound")
    unit.leave()
    assert [note.fields for note in of(unit, Kind.SWITCH)] == [{"muted": False}, {"muted": True, "camera_on": False}]
    assert [note.fields for note in of(unit, Kind.WORKER)] == [{"worker": "sound"}]
    (minute,) = figures(unit)
    assert (minute["mic_on_ms"], minute["camera_off_ms"]) == (30_000, 10_000)


def test_a_clock_that_is_set_is_noted_and_changes_no_length(unit: FakeUnit) -> None:
    unit.join()
    unit.run(30)
    unit.wall_ns += 3600 * NS
    unit.run(30)
    unit.wall_ns -= 7200 * NS
    unit.run(30)
    unit.leave()
    assert [note.fields["jump_ms"] for note in of(unit, Kind.CLOCK)] == [3_600_000, -7_200_000]
    assert sum(minute["span_ms"] for minute in figures(unit)) == 91_500


def test_leaving_and_joining_between_two_looks_makes_two_meetings(unit: FakeUnit) -> None:
    unit.join()
    unit.run(10)
    unit.meeting(MeetingState.JOINING)
    assert len(of(unit, Kind.START)) == 2
    unit.meeting(MeetingState.LIVE)
    unit.meeting(MeetingState.FAULT, attempts=1)
    unit.meeting(MeetingState.JOINING, attempts=2)
    assert len(of(unit, Kind.START)) == 2, "after a refusal the unit is still in the same meeting"


def test_going_over_to_another_meeting_ends_the_first(unit: FakeUnit) -> None:
    unit.join("a")
    unit.join("b")
    assert [note.fields for note in of(unit, Kind.END)] == [{"reason": "changed"}]
    assert [note.fields["id"] for note in of(unit, Kind.START)] == ["a", "b"]


def test_a_line_that_flaps_cannot_fill_the_card(unit: FakeUnit) -> None:
    unit.join()
    for _ in range(400):
        unit.lose(0.2)
        unit.run(0.1)
    unit.leave()
    assert len(unit.notes) < 3 * (2 * NOTES_PER_MINUTE + 3)
    minutes = figures(unit)
    assert sum(minute["reconnects"] for minute in minutes) == 400, "counted all the same"
    assert sum(minute["unlisted"] for minute in minutes) > 0
    begun = [note.fields["code"] for note in of(unit, Kind.PROBLEM)]
    ended = [note.fields["code"] for note in of(unit, Kind.PROBLEM_END)]
    assert len(begun) == len(ended)


def test_a_problem_that_stays_is_noted_after_a_storm(unit: FakeUnit) -> None:
    unit.join()
    for _ in range(40):
        unit.lose(0.1)
    unit.problem("camera-missing")
    unit.run(120)
    assert "camera-missing" in [note.fields["code"] for note in of(unit, Kind.PROBLEM)]


def test_a_stopped_unit_says_so_once(unit: FakeUnit) -> None:
    unit.join()
    unit.run(5)
    unit.stop()
    assert [note.kind for note in unit.notes[-2:]] == [Kind.QUALITY, Kind.STOPPED]
    assert Observer().stop(unit.now) == []


_STATES = st.sampled_from(list(MeetingState))


@given(
    st.lists(
        st.tuples(
            _STATES, st.sampled_from(["a", "b"]), st.booleans(), st.integers(0, 3), st.integers(0, 100), _NUMBERS
        ),
        max_size=30,
    )
)
def test_in_any_order_every_meeting_that_starts_ends_before_the_next(steps: list[Any]) -> None:
    observer = Observer()
    inside = False
    mono = 0
    for state, meeting_id, muted, attempts, seconds, numbers in steps:
        mono += seconds * NS
        status = MeetingStatus(state, meeting_id, meeting_id, attempts=attempts)
        if state is MeetingState.STANDBY:
            status = MeetingStatus(state)
        snapshot = replace(ApplianceState(), meeting=status, muted=muted, numbers=numbers)
        for note in observer.look(snapshot, Instant(mono, mono)):
            if note.kind is Kind.ABSENT:
                continue
            assert inside is (note.kind is not Kind.START)
            inside = note.kind is not Kind.END
        assert inside is (state is not MeetingState.STANDBY)
