"""Notice that the far end has fallen silent long before ICE does (its consent checks take 30 s)."""

from appliance.errors import MediaLost
from appliance.media.clock import NS_PER_S

SILENCE_S = 2.25
FIRST_PACKET_S = 10.0
TICK_S = 0.25


class MediaWatchdog:
    """Fed with the time of the newest packet; raises MediaLost when it is too old. Pure: the caller has the clock."""

    def __init__(self, connected_ns: int) -> None:
        self._connected_ns = connected_ns
        self._alive_ns = connected_ns
        self._looked_ns = connected_ns
        self._last_packet_ns = 0

    def look(self, now_ns: int, last_packet_ns: int) -> bool:
        """Whether anything has arrived at all. `last_packet_ns`: 0 for never."""
        if last_packet_ns > self._last_packet_ns:
            self._last_packet_ns = last_packet_ns
            self._alive_ns = max(self._alive_ns, last_packet_ns)
        stalled_ns = now_ns - self._looked_ns - round(TICK_S * NS_PER_S)
        self._looked_ns = now_ns
        if stalled_ns > NS_PER_S:
            # We were the ones who slept (a starved board): what has come meanwhile still waits in the socket.
            self._alive_ns += stalled_ns
            self._connected_ns += stalled_ns
        if not self._last_packet_ns:
            if now_ns - self._connected_ns > FIRST_PACKET_S * NS_PER_S:
                raise MediaLost(f"the MCU sends nothing, {FIRST_PACKET_S:g} s after it was connected")
            return False
        if now_ns - self._alive_ns > SILENCE_S * NS_PER_S:
            raise MediaLost(f"nothing has arrived from the MCU for {SILENCE_S:g} s")
        return True
