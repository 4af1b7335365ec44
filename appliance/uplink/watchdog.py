"""Notice that the far end has fallen silent long before ICE does (its consent checks take 30 s)."""

from collections.abc import Sequence

from appliance.errors import MediaLost
from appliance.media.clock import NS_PER_S

SILENCE_S = 2.25
# A leg that is silent this long is asked for a sign of life.
PROBE_S = 0.75
# A far end that answers and has nothing to send (nobody else is in the room) is waited for, but not for ever.
FIRST_PACKET_S = 60.0
TICK_S = 0.25


class _Source:
    """Something that should be heard now and then."""

    def __init__(self, since_ns: int) -> None:
        self._last_ns = 0
        self._alive_ns = since_ns

    def silent_s(self, now_ns: int, last_ns: int, stalled_ns: int) -> float:
        """Seconds without a sound of it. `last_ns`: 0 for never; `stalled_ns`: what passed without our being awake."""
        self._alive_ns += stalled_ns
        if last_ns > self._last_ns:
            self._last_ns = last_ns
            self._alive_ns = max(self._alive_ns, last_ns)
        return (now_ns - self._alive_ns) / NS_PER_S

    def forgive(self, now_ns: int) -> None:
        """Count from now on."""
        self._alive_ns = now_ns


class MediaWatchdog:
    """Fed with the times of what came last; raises MediaLost when that is too long ago. Pure: the caller has the clock.

    Two questions: does the MCU answer on each leg (media, reports, or a probe's reply), and does its media come?
    """

    def __init__(self, connected_ns: int, legs: Sequence[str]) -> None:
        """`legs`: what a person calls each of them."""
        self._legs = tuple((name, _Source(connected_ns)) for name in legs)
        self._media = _Source(connected_ns)
        self._has_media = False
        self._freshest_s = 0.0
        self._looked_ns = connected_ns

    def look(self, now_ns: int, heard_ns: Sequence[int], media_ns: int) -> list[bool]:
        """Which legs want a probe. `heard_ns`: when anything authentic came on each leg; `media_ns`: RTP; 0: never."""
        stalled_ns = now_ns - self._looked_ns - round(TICK_S * NS_PER_S)
        self._looked_ns = now_ns
        # We were the ones who slept (a starved board): what has come meanwhile still waits in the socket.
        stalled_ns = stalled_ns if stalled_ns > NS_PER_S else 0
        silences = [
            (name, source.silent_s(now_ns, last_ns, stalled_ns))
            for (name, source), last_ns in zip(self._legs, heard_ns, strict=True)
        ]
        freshest_s = min(silent_s for _, silent_s in silences)
        is_back, self._freshest_s = freshest_s < PROBE_S < self._freshest_s, freshest_s
        if is_back:
            # The line was down for a moment. Sound comes each 20 ms, but reports and answers to probes take a while.
            for _, source in self._legs:
                source.forgive(now_ns)
            return [True for _ in silences]
        for name, silent_s in silences:
            # A leg that is silent while the other is heard has failed; with both, the line has, which may be short.
            if silent_s > SILENCE_S and (freshest_s < PROBE_S or freshest_s > SILENCE_S):
                raise MediaLost(
                    f"the MCU has not answered on the {name} for {SILENCE_S:g} s; the line or the MCU is down"
                )
        self._has_media = self._has_media or media_ns > 0
        without_media_s = self._media.silent_s(now_ns, media_ns, stalled_ns)
        if self._has_media and without_media_s > SILENCE_S:
            raise MediaLost(f"nothing has arrived from the MCU for {SILENCE_S:g} s")
        if without_media_s > FIRST_PACKET_S:
            raise MediaLost(f"the MCU sends nothing, {FIRST_PACKET_S:g} s after it was connected")
        return [silent_s > PROBE_S for _, silent_s in silences]
