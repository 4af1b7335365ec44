"""When silence ends a session, and how loud our sound says it is."""

import pytest

from appliance.errors import MediaLost
from appliance.media.values import SILENCE
from appliance.uplink.loudness import loudness_dbov
from appliance.uplink.watchdog import FIRST_PACKET_S, MediaWatchdog

S = 1_000_000_000
TICK = S // 4


def watchdog() -> MediaWatchdog:
    return MediaWatchdog(0, ("sending", "receiving"))


def test_the_watchdog_forgives_a_stall_of_our_own() -> None:
    dog = watchdog()
    dog.look(TICK, [TICK, TICK], TICK)
    dog.look(20 * S, [TICK, TICK], TICK)  # we slept 20 s; the packets of that time are still in the socket
    dog.look(20 * S + TICK, [20 * S, 20 * S], 20 * S)


def test_the_watchdog_tells_silence_of_the_media_to_the_tick() -> None:
    dog = watchdog()
    for tick in range(1, 11):
        dog.look(tick * TICK, [tick * TICK] * 2, TICK)
    with pytest.raises(MediaLost, match="nothing has arrived"):
        dog.look(11 * TICK, [11 * TICK] * 2, TICK)


@pytest.mark.parametrize("leg", [0, 1])
def test_a_leg_that_does_not_answer_is_noticed_though_the_other_flows(leg: int) -> None:
    dog = watchdog()
    heard = [0, 0]
    for tick in range(1, 11):
        heard[1 - leg] = tick * TICK
        heard[leg] = TICK
        probes = dog.look(tick * TICK, heard, tick * TICK)
        assert probes == [index == leg and tick > 4 for index in range(2)], "a silent leg is asked for a sign of life"
    heard[1 - leg] = 11 * TICK
    with pytest.raises(MediaLost, match=("sending", "receiving")[leg]):
        dog.look(11 * TICK, heard, 11 * TICK)


def test_an_mcu_that_answers_and_has_nothing_to_send_is_waited_for() -> None:
    dog = watchdog()
    last = int(FIRST_PACKET_S) * 4
    for tick in range(1, last + 1):
        dog.look(tick * TICK, [tick * TICK] * 2, 0)
    with pytest.raises(MediaLost, match="sends nothing"):
        dog.look((last + 1) * TICK, [(last + 1) * TICK] * 2, 0)


def test_loudness_is_told_in_decibels_below_the_loudest() -> None:
    assert loudness_dbov(SILENCE) == -127
    assert loudness_dbov(b"\xff\x7f" * 960) == 0
    assert loudness_dbov(b"\x00\x08" * 960) == -24
    assert loudness_dbov(b"") == -127


def test_a_cut_of_two_seconds_is_none_though_one_leg_was_last_heard_a_second_before_it() -> None:
    dog = watchdog()
    for tick in range(1, 13):
        dog.look(tick * TICK, [4 * TICK, min(tick, 6) * TICK], min(tick, 6) * TICK)
    # Sound is back at once; the sending leg's report comes later.
    for tick in range(14, 18):
        dog.look(tick * TICK, [4 * TICK, tick * TICK], tick * TICK)
    dog.look(18 * TICK, [18 * TICK, 18 * TICK], 18 * TICK)


def test_a_leg_that_does_not_come_back_with_the_line_is_noticed_as_soon_as_any_other() -> None:
    dog = watchdog()
    for tick in range(1, 10):
        dog.look(tick * TICK, [TICK, TICK], TICK)
    for tick in range(10, 20):
        dog.look(tick * TICK, [TICK, tick * TICK], tick * TICK)
    with pytest.raises(MediaLost, match="sending"):
        dog.look(20 * TICK, [TICK, 20 * TICK], 20 * TICK)
