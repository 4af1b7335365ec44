"""Turn RTP timestamps into capture times on one time line per session, so that sound and picture can be aligned.

The far end's sender reports (RFC 3550 section 6.4.1) pair RTP time with its wall clock. The session's time line is that
wall clock minus a constant, chosen so that the numbers lie near our MediaClock.
"""

from appliance.media.clock import NS_PER_S

from .header import signed32

# A sender report this far off the time line tells that the far end's wall clock was set, not that the line was slow.
_STEP_NS = 3 * NS_PER_S
# Capture times outside of this are no capture times: the far end started a new RTP time line without a report.
_MAX_AGE_NS = 10 * NS_PER_S
_MAX_AHEAD_NS = NS_PER_S


class SessionTimeline:
    """Shared by the streams of one session: where a moment of the far end's wall clock lies on our time line."""

    def __init__(self) -> None:
        self._first_ntp: int | None = None
        self._origin_ns = 0

    def place(self, ntp: int, arrival_ns: int) -> int:
        """The time (ns) of a 64-bit NTP timestamp that arrived at `arrival_ns`."""
        if self._first_ntp is None:
            self._first_ntp = ntp
            self._origin_ns = arrival_ns
            return arrival_ns
        # Relative to the first one and signed, so that the end of the NTP era (2036) is no special day.
        ticks = ((ntp - self._first_ntp + (1 << 63)) & ((1 << 64) - 1)) - (1 << 63)
        elapsed_ns = ticks * NS_PER_S >> 32
        if abs(self._origin_ns + elapsed_ns - arrival_ns) > _STEP_NS:
            self._origin_ns = arrival_ns - elapsed_ns
        return self._origin_ns + elapsed_ns


class StreamClock:
    """One stream's RTP clock. Before the first sender report, time counts from the arrival of the first packet."""

    def __init__(self, timeline: SessionTimeline, rate: int) -> None:
        self._timeline = timeline
        self._rate = rate
        self._anchor: tuple[int, int] | None = None
        self.has_report = False

    @property
    def has_origin(self) -> bool:
        return self._anchor is not None

    def restart(self) -> None:
        """Another stream (SSRC) follows: its timestamps have nothing to do with the old ones."""
        self._anchor = None
        self.has_report = False

    def sender_report(self, ntp: int, timestamp: int, arrival_ns: int) -> None:
        self._anchor = (timestamp, self._timeline.place(ntp, arrival_ns))
        self.has_report = True

    def time_of(self, timestamp: int, arrival_ns: int) -> int:
        """The capture time (ns on the session's time line) of `timestamp`, which arrived at or before `arrival_ns`."""
        if self._anchor is not None:
            base, base_ns = self._anchor
            time_ns = base_ns + signed32(timestamp - base) * NS_PER_S // self._rate
            if -_MAX_AGE_NS <= time_ns - arrival_ns <= _MAX_AHEAD_NS:
                return time_ns
        self._anchor = (timestamp & 0xFFFFFFFF, arrival_ns)
        self.has_report = False
        return arrival_ns
