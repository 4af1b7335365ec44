"""When silence ends a session, and how loud our sound says it is."""

import pytest

from appliance.errors import MediaLost
from appliance.media.values import SILENCE
from appliance.uplink.loudness import loudness_dbov
from appliance.uplink.watchdog import MediaWatchdog

S = 1_000_000_000


def test_the_watchdog_forgives_a_stall_of_our_own() -> None:
    dog = MediaWatchdog(0)
    assert dog.look(S // 4, S // 4)
    assert dog.look(20 * S, S // 4)  # we slept 20 s; the packets of that time are still in the socket
    assert dog.look(20 * S + S // 4, 20 * S)


def test_the_watchdog_tells_silence_to_the_tick() -> None:
    dog = MediaWatchdog(0)
    assert dog.look(S // 4, S // 4)
    for quarter in range(2, 11):
        assert dog.look(quarter * S // 4, S // 4)
    with pytest.raises(MediaLost):
        dog.look(11 * S // 4, S // 4)


def test_loudness_is_told_in_decibels_below_the_loudest() -> None:
    assert loudness_dbov(SILENCE) == -127
    assert loudness_dbov(b"\xff\x7f" * 960) == 0
    assert loudness_dbov(b"\x00\x08" * 960) == -24
    assert loudness_dbov(b"") == -127
