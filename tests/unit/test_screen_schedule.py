"""When pictures are decoded and shown, and what is dropped, with a clock of numbers."""

from typing import Any

from appliance.media.values import EncodedFrame
from appliance.playout.freezes import FreezeMeter
from appliance.playout.picture_decoder import DecodedPicture
from appliance.playout.schedule import LEAD_NS, MAX_ENCODED, MAX_ENCODED_BYTES, MOST_HELD_NS, Schedule

from .screen_doubles import FRAME_NS, MS

NOTHING: Any = None


def encoded(pts_ns: int, size: int = 10) -> EncodedFrame:
    return EncodedFrame(bytes(size), pts_ns, False)


def picture(pts_ns: int) -> DecodedPicture:
    return DecodedPicture(NOTHING, pts_ns)


def test_without_sound_to_follow_a_picture_is_shown_as_it_comes() -> None:
    schedule = Schedule()
    schedule.arrived(encoded(5), 1000 * MS)
    assert schedule.to_decode(1000 * MS) is not None
    schedule.decoded(picture(5), 1003 * MS)
    assert schedule.to_show(1003 * MS) is not None
    assert (schedule.late, schedule.dropped) == (0, 0)


def test_a_picture_waits_for_its_sound_and_is_decoded_shortly_before() -> None:
    schedule = Schedule()
    schedule.delay_ns = 200 * MS
    schedule.arrived(encoded(1000 * MS), 1010 * MS)
    assert schedule.to_decode(1010 * MS) is None
    assert schedule.next_ns() == 1200 * MS - LEAD_NS
    assert schedule.to_decode(1200 * MS - LEAD_NS) is not None
    schedule.decoded(picture(1000 * MS), 1160 * MS)
    assert schedule.to_show(1199 * MS) is None
    assert schedule.next_ns() == 1200 * MS
    assert schedule.to_show(1200 * MS) == picture(1000 * MS)
    assert schedule.late == 0


def test_of_pictures_that_are_due_together_only_the_newest_is_shown() -> None:
    schedule = Schedule()
    schedule.delay_ns = 100 * MS
    for number in range(4):
        schedule.decoded(picture(1000 * MS + number * FRAME_NS), 1000 * MS)
    shown = schedule.to_show(1100 * MS + 2 * FRAME_NS)
    assert shown == picture(1000 * MS + 2 * FRAME_NS)
    assert (schedule.dropped, schedule.late) == (2, 0)


def test_a_late_picture_is_shown_at_once_and_counted() -> None:
    schedule = Schedule()
    schedule.delay_ns = 50 * MS
    schedule.decoded(picture(1000 * MS), 1090 * MS)
    assert schedule.to_show(1090 * MS) is not None
    assert schedule.late == 1


def test_a_delay_that_would_stop_the_picture_is_not_believed() -> None:
    schedule = Schedule()
    schedule.delay_ns = 60_000 * MS
    schedule.arrived(encoded(1000 * MS), 1000 * MS)
    assert schedule.to_decode(1000 * MS) is not None
    schedule.delay_ns = MOST_HELD_NS
    schedule.arrived(encoded(1000 * MS), 1000 * MS)
    assert schedule.to_decode(1000 * MS) is None


def test_what_waits_is_bounded_in_number_and_in_bytes() -> None:
    for size in (10, MAX_ENCODED_BYTES // 4):
        schedule = Schedule()
        schedule.delay_ns = 900 * MS
        taken = 0
        while schedule.arrived(encoded(1000 * MS, size), 1000 * MS):
            taken += 1
        assert taken <= MAX_ENCODED
        assert schedule.dropped == taken + 1
        assert schedule.next_ns() is None


def frames_at(meter: FreezeMeter, *times_ms: int) -> None:
    for time_ms in times_ms:
        meter.picture(time_ms * MS)


def test_a_steady_picture_never_freezes_at_any_rate() -> None:
    for interval in (16, 33, 66, 200):
        meter = FreezeMeter()
        frames_at(meter, *range(0, 5000, interval))
        assert meter.freezes == 0


def test_a_standing_picture_is_one_freeze_as_long_as_it_stands() -> None:
    meter = FreezeMeter()
    frames_at(meter, *range(0, 1000, 33))
    last = range(0, 1000, 33)[-1]
    meter.look((last + 150) * MS)
    assert meter.freezes == 0
    for more in (250, 300, 350):
        meter.look((last + more) * MS)
    assert meter.freezes == 1
    assert meter.freeze_ms((last + 400) * MS) == 400
    meter.picture((last + 600) * MS)
    assert (meter.freezes, meter.freeze_ms((last + 700) * MS)) == (1, 600)


def test_the_end_of_a_meeting_is_no_freeze() -> None:
    meter = FreezeMeter()
    frames_at(meter, 0, 33, 66)
    meter.end(70 * MS)
    meter.look(5000 * MS)
    assert meter.freezes == 0
