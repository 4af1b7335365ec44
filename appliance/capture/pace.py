"""The pace of a microphone that is none: blocks on a 20 ms grid of the MediaClock, each due when it is complete."""

from appliance.media.clock import Clock
from appliance.media.values import BLOCK_NS

# A stall longer than this is not made up for: nobody wants to hear the past faster.
STALL_NS = 200_000_000


class BlockPace:
    """Times for consecutive blocks. The grid holds each whole second, where the test beep begins."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._pts_ns = -(-clock.now_ns() // BLOCK_NS) * BLOCK_NS
        self.skipped = 0

    def next(self) -> tuple[int, float]:
        """(pts of the next block, seconds until its last sample is over)."""
        late_ns = self._clock.now_ns() - (self._pts_ns + BLOCK_NS)
        if late_ns > STALL_NS:
            blocks = late_ns // BLOCK_NS
            self._pts_ns += blocks * BLOCK_NS
            self.skipped += blocks
            late_ns -= blocks * BLOCK_NS
        pts_ns = self._pts_ns
        self._pts_ns += BLOCK_NS
        return pts_ns, max(0, -late_ns) / 1e9
