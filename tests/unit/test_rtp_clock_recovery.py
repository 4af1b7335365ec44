"""RTP timestamps become capture times on one time line for sound and picture."""

from hypothesis import given
from hypothesis import strategies as st

from appliance.media.clock import NS_PER_S, ntp_of
from appliance.rtp.clock_recovery import SessionTimeline, StreamClock

NOW = 5_000 * NS_PER_S
WALL = 1_800_000_000 * NS_PER_S
MS = 1_000_000


def near(a: int, b: int, within: int = 1000) -> bool:
    return abs(a - b) <= within


def test_before_the_first_report_time_counts_from_the_first_packet() -> None:
    clock = StreamClock(SessionTimeline(), 90_000)
    assert clock.time_of(1000, NOW) == NOW
    assert clock.time_of(1000 + 9000, NOW + 130 * MS) == NOW + 100 * MS
    assert not clock.has_report


def test_a_report_gives_the_capture_time() -> None:
    clock = StreamClock(SessionTimeline(), 90_000)
    clock.sender_report(ntp_of(WALL), 90_000, NOW)
    assert near(clock.time_of(90_000 - 4500, NOW + MS), NOW - 50 * MS)
    assert near(clock.time_of(90_000 + 4500, NOW + 60 * MS), NOW + 50 * MS)


def test_sound_and_picture_share_one_time_line() -> None:
    timeline = SessionTimeline()
    picture, sound = StreamClock(timeline, 90_000), StreamClock(timeline, 48_000)
    picture.sender_report(ntp_of(WALL), 700, NOW)
    # Sent 300 ms later, it took 80 ms longer: neither may shift sound against picture.
    sound.sender_report(ntp_of(WALL + 300 * MS), 48_000, NOW + 380 * MS)
    assert near(sound.time_of(48_000, NOW + 380 * MS), NOW + 300 * MS)
    assert near(picture.time_of(700 + 27_000, NOW + 380 * MS), NOW + 300 * MS)


def test_timestamps_and_ntp_wrap_unnoticed() -> None:
    timeline = SessionTimeline()
    clock = StreamClock(timeline, 90_000)
    last_of_era = (1 << 64) - (1 << 31)  # half a second before 2036-02-07 06:28:16
    clock.sender_report(last_of_era, 0xFFFFFF00, NOW)
    assert near(clock.time_of(0xFFFFFF00 + 9000 & 0xFFFFFFFF, NOW + 100 * MS), NOW + 100 * MS)
    clock.sender_report(1 << 31, 0xFFFFFF00 + 90_000 & 0xFFFFFFFF, NOW + NS_PER_S)
    assert near(clock.time_of(0xFFFFFF00 + 90_000 & 0xFFFFFFFF, NOW + NS_PER_S), NOW + NS_PER_S)


def test_the_newest_report_counts_so_that_drift_does_not_add_up() -> None:
    clock = StreamClock(SessionTimeline(), 48_000)
    for second in range(600):
        # The far end's sound card runs 200 ppm fast.
        clock.sender_report(ntp_of(WALL + second * NS_PER_S), int(second * 48_009.6), NOW + second * NS_PER_S)
    assert near(clock.time_of(int(599.5 * 48_009.6), NOW + 600 * NS_PER_S), NOW + int(599.5e9), within=200_000)


def test_a_far_end_that_sets_its_clock_moves_nothing() -> None:
    timeline = SessionTimeline()
    picture, sound = StreamClock(timeline, 90_000), StreamClock(timeline, 48_000)
    picture.sender_report(ntp_of(WALL), 0, NOW)
    sound.sender_report(ntp_of(WALL), 0, NOW)
    later = NOW + NS_PER_S
    stepped = WALL + 3600 * NS_PER_S + NS_PER_S
    picture.sender_report(ntp_of(stepped), 90_000, later)
    sound.sender_report(ntp_of(stepped), 48_000, later + 5 * MS)
    assert near(picture.time_of(90_000, later), later)
    assert near(sound.time_of(48_000, later + 5 * MS), later)


def test_timestamps_that_jump_without_a_report_count_from_their_arrival() -> None:
    clock = StreamClock(SessionTimeline(), 90_000)
    clock.sender_report(ntp_of(WALL), 0, NOW)
    assert clock.time_of(1_000_000_000, NOW + MS) == NOW + MS
    assert near(clock.time_of(1_000_000_000 + 90, NOW + 9 * MS), NOW + 2 * MS)


@given(
    st.lists(
        st.tuples(st.booleans(), st.integers(0, 2**64 - 1), st.integers(0, 2**32 - 1), st.integers(0, 10**10)),
        max_size=30,
    )
)
def test_whatever_is_reported_times_stay_near_their_arrival(events: list[tuple[bool, int, int, int]]) -> None:
    clock = StreamClock(SessionTimeline(), 90_000)
    now = NOW
    for is_report, ntp, timestamp, later in events:
        now += later
        if is_report:
            clock.sender_report(ntp, timestamp, now)
        else:
            assert now - 10 * NS_PER_S <= clock.time_of(timestamp, now) <= now + NS_PER_S
