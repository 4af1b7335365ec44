"""One relation of media clock and wall clock for a whole session, so that lip sync survives a wall clock step."""

import secrets
import time

from appliance.media.clock import ntp_of


class SessionClock:
    """Taken once and shared by a peer's sound and picture: their sender reports speak of the same wall clock."""

    __slots__ = ("_offset_ns",)

    def __init__(self) -> None:
        self._offset_ns = time.time_ns() - time.monotonic_ns()

    def ntp(self, media_ns: int) -> int:
        """The 64-bit NTP timestamp of a MediaClock time."""
        return ntp_of(media_ns + self._offset_ns)


def random_ssrc() -> int:
    return secrets.randbelow(0xFFFFFFFF) + 1


def random_sequence() -> int:
    """In the lower half: a wrap among the first packets would break the receiver's guess of the SRTP roll-over."""
    return secrets.randbelow(0x8000)
