"""One clock for all media: monotonic nanoseconds, the same in every process of this machine."""

import time
from typing import Protocol

NS_PER_S = 1_000_000_000
# Seconds from the NTP era (1900) to the Unix epoch (1970), RFC 5905.
NTP_TO_UNIX_S = 2_208_988_800


class Clock(Protocol):
    """What gives the time; tests hand in one they can turn."""

    def now_ns(self) -> int: ...


class MediaClock:
    """CLOCK_MONOTONIC: the kernel's, so that a time stamped in one process means the same in another."""

    __slots__ = ()

    def now_ns(self) -> int:
        return time.monotonic_ns()


def ns_to_90k(ns: int) -> int:
    """Nanoseconds to ticks of the 90 kHz video RTP clock (not wrapped)."""
    return ns * 9 // 100_000


def ns_to_48k(ns: int) -> int:
    """Nanoseconds to samples of 48 kHz sound (not wrapped)."""
    return ns * 6 // 125_000


def ticks_to_ns(ticks: int, rate: int) -> int:
    """Ticks of an RTP clock of `rate` Hz to nanoseconds."""
    return ticks * NS_PER_S // rate


def ntp_of(wall_ns: int) -> int:
    """Unix nanoseconds to the 64-bit NTP timestamp of RTCP (RFC 3550 section 4)."""
    seconds, rest = divmod(wall_ns, NS_PER_S)
    return ((seconds + NTP_TO_UNIX_S) & 0xFFFFFFFF) << 32 | (rest << 32) // NS_PER_S


def ntp_to_ns(ntp: int) -> int:
    """A 64-bit NTP timestamp to Unix nanoseconds."""
    return ((ntp >> 32) - NTP_TO_UNIX_S) * NS_PER_S + ((ntp & 0xFFFFFFFF) * NS_PER_S >> 32)
