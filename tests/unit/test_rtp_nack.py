"""When to ask for a missing packet, when to ask again, and when not to."""

from collections.abc import Callable

import pytest

from appliance.rtp.nack import ECHO_NS, MAX_MISSING, NackList

MS = 1_000_000


def never(_: int) -> bool:
    return False


def repairs(nacks: NackList, count: int, rtt_ms: int = 80, *, fails: Callable[[int], bool] = never) -> None:
    """Losses a second apart, each repaired by its first request, or by the second where the first one fails."""
    nacks.clear()
    for index in range(count):
        now = index * 1000 * MS
        nacks.missed(index, index + 1, now)
        rounds = 2 if fails(index) else 1
        asked = now
        for _ in range(rounds):
            wake = nacks.next_ns()
            assert wake is not None
            asked = wake
            assert nacks.due(wake) == [index]
            if rounds == 2 and nacks.next_ns() == asked + ECHO_NS:
                nacks.due(asked + ECHO_NS)
        nacks.arrived(index, asked + rtt_ms * MS, repaired=True)


def asked_ms(nacks: NackList, until_ms: int) -> list[int]:
    """When a packet that goes missing at 0 and never comes is asked for."""
    nacks.clear()
    nacks.missed(900, 901, 0)
    return [ms for ms in range(until_ms) if nacks.due(ms * MS)]


def test_a_missing_packet_is_asked_for_after_a_moment_and_then_again_and_again() -> None:
    nacks = NackList()
    nacks.missed(10, 11, 0)
    asked = [ms for ms in range(405) if nacks.due(ms * MS)]
    # Whenever one has failed, the next one goes out twice.
    assert asked == [5, 105, 123, 205, 223, 305, 323]
    assert nacks.given_up(404 * MS) is None
    assert nacks.given_up(405 * MS) == 10


@pytest.mark.parametrize("rtt_ms", [30, 80, 160])
def test_the_repeat_follows_the_round_trip(rtt_ms: int) -> None:
    nacks = NackList()
    repairs(nacks, 40, rtt_ms)
    assert nacks.rtt_ns == rtt_ms * MS
    assert asked_ms(nacks, 400)[:2] == [5, 5 + rtt_ms + 10]


@pytest.mark.parametrize("rtt_ms", [45, 60, 75, 90, 120, 180, 230])
def test_a_round_trip_that_has_become_longer_is_learned_though_each_packet_is_asked_for_twice(rtt_ms: int) -> None:
    nacks = NackList()
    repairs(nacks, 10, 30)
    for index in range(100, 600):
        now = index * 1000 * MS
        nacks.missed(index, index + 1, now)
        for ms in range(rtt_ms + 5):
            nacks.due(now + ms * MS)
        nacks.arrived(index, now + (rtt_ms + 5) * MS, repaired=True)
    assert nacks.rtt_ns is not None
    assert abs(nacks.rtt_ns - rtt_ms * MS) <= 5 * MS
    assert nacks.failing < 0.02


def test_where_requests_fail_each_is_sent_twice_and_no_longer_when_they_succeed() -> None:
    nacks = NackList()
    repairs(nacks, 40, fails=lambda index: index % 10 == 9)
    assert asked_ms(nacks, 200)[:3] == [5, 23, 95]
    repairs(nacks, 120)
    assert asked_ms(nacks, 200)[:2] == [5, 95]


def test_a_short_way_has_no_need_of_echoes() -> None:
    nacks = NackList()
    repairs(nacks, 40, 5, fails=lambda index: index % 5 == 4)
    assert asked_ms(nacks, 60) == [5, 25, 45]


def test_a_hole_is_waited_for_four_requests_on_a_long_way_and_never_for_long() -> None:
    nacks = NackList()
    repairs(nacks, 40, 110)
    assert nacks.give_up_ns == (5 + 4 * 120) * MS
    repairs(nacks, 40, 900)
    assert nacks.give_up_ns == 600 * MS


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
