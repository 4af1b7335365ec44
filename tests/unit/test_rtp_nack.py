"""When to ask for a missing packet, when to ask again, and when not to."""

from appliance.rtp.nack import MAX_MISSING, NackList

MS = 1_000_000


def test_a_missing_packet_is_asked_for_after_a_moment_and_then_again_and_again() -> None:
    nacks = NackList()
    nacks.missed(10, 11, 0)
    asked = [ms for ms in range(301) if nacks.due(ms * MS)]
    assert asked == [5, 65, 125, 185, 245]
    assert nacks.given_up(299 * MS) is None
    assert nacks.given_up(300 * MS) == 10


def test_the_repeat_follows_the_round_trip() -> None:
    nacks = NackList()
    for sequence in range(20):
        now = sequence * 1000 * MS
        nacks.missed(sequence, sequence + 1, now)
        assert nacks.due(now + 5 * MS) == [sequence]
        nacks.arrived(sequence, now + 5 * MS + 30 * MS, repaired=True)
    assert nacks.rtt_ns == 30 * MS
    nacks.missed(50, 51, 0)
    assert [ms for ms in range(120) if nacks.due(ms * MS)] == [5, 55, 105]


def test_a_fast_line_is_asked_at_most_each_20_ms() -> None:
    nacks = NackList()
    nacks.missed(1, 2, 0)
    nacks.due(5 * MS)
    nacks.arrived(1, 6 * MS, repaired=True)
    nacks.missed(2, 3, 0)
    assert [ms for ms in range(60) if nacks.due(ms * MS)] == [5, 25, 45]


def test_where_packets_overtake_each_other_more_patience_is_learned() -> None:
    nacks = NackList()
    nacks.missed(1, 2, 0)
    nacks.arrived(1, 4 * MS, repaired=False)
    nacks.missed(2, 3, 0)
    assert not nacks.due(8 * MS)
    assert nacks.due(9 * MS) == [2]


def test_what_came_or_is_no_longer_wanted_is_not_asked_for() -> None:
    nacks = NackList()
    nacks.missed(1, 10, 0)
    nacks.arrived(3, 0, repaired=False)
    nacks.forget_before(5)
    assert nacks.due(60 * MS) == [5, 6, 7, 8, 9]
    nacks.clear()
    assert nacks.next_ns() is None
    assert not len(nacks)


def test_too_many_holes_are_given_up_at_once() -> None:
    nacks = NackList()
    nacks.missed(0, MAX_MISSING, 0)
    assert nacks.given_up(0) is None
    nacks.missed(MAX_MISSING, MAX_MISSING + 1, 0)
    assert nacks.given_up(0) == MAX_MISSING


def test_a_sender_that_repeats_nothing_is_not_asked_and_not_waited_for_long() -> None:
    nacks = NackList(repairs=False)
    nacks.missed(1, 2, 0)
    assert nacks.next_ns() == 60 * MS
    assert not nacks.due(60 * MS)
    assert nacks.given_up(60 * MS) == 1
