"""Decide how late pictures are shown: while the line loses, late enough that a lost packet is asked for and there.

Sound and picture are shown together, so this is the delay of both. It is what the line's jitter takes, or as many
requests as the losses of late make likely to be needed; on a line that loses nothing it is the jitter alone.
"""

from collections import deque

from appliance.media.clock import NS_PER_S

_MS = 1_000_000
_BUCKET_NS = NS_PER_S // 2
# So long a loss is remembered, and the jitter.
MEMORY_NS = 12 * NS_PER_S
_BUCKETS = MEMORY_NS // _BUCKET_NS
# Of ten half seconds, in one a picture may come later than the jitter that is allowed for.
_JITTER = 0.9
# The worst of the jitter and a loss rarely meet: to what repairs take, only half of it is added.
_USUAL = 0.5
# A session begins with keyframes and a rate that is felt for: what comes late then says nothing of the line.
_SETTLING_NS = NS_PER_S
# From a whole picture to its being on screen: the pipe, the decoder, a timer.
DECODE_NS = 10 * _MS
# How long a hole goes unnoticed: at most until the next picture, and mostly until the next packet.
NOTICE_NS = 15 * _MS
# A hole or two in all that time are not worth a delay.
LEAST_LOSSES = 3
# So few pictures may come too late in that time.
MAY_BE_LATE = 0.5
# What comes too late by less than this is no freeze, only uneven: said of the last request, which is rarely needed; and
# of the single picture that is later than the usual ones, such as a paced keyframe, less is borne.
UNEVEN_NS = 60 * _MS
UNEVEN_JITTER_NS = 40 * _MS
# One repair is waited for up to this; more than one only within the second bound, which keeps a conversation possible.
MOST_NS = 300 * _MS
MOST_REPEATED_NS = 180 * _MS
# So many half seconds say what is usual. The most that was kept for repairs stays as long: a delay that goes to and fro
# is worse than a long one.
_KEPT_BUCKETS = 10
# Beyond this the sound no longer waits for its picture: people talk.
MOST_IN_ALL_NS = 400 * _MS


class _Bucket:
    __slots__ = ("least_ns", "losses", "most_ns", "reserve_ns", "until_ns")

    def __init__(self, until_ns: int) -> None:
        self.until_ns = until_ns
        self.least_ns: int | None = None  # of all pictures
        self.most_ns: int | None = None  # of those that waited for no repair
        self.losses = 0
        self.reserve_ns = 0  # the most that was kept for repairs


class PictureDelay:
    """Pure: the caller has the clock. Delays are from the capture time, on the session's time line."""

    def __init__(self) -> None:
        self._buckets: deque[_Bucket] = deque(maxlen=_BUCKETS)
        self._began_ns: int | None = None

    def _bucket(self, now_ns: int) -> _Bucket:
        if not self._buckets or now_ns >= self._buckets[-1].until_ns:
            self._buckets.append(_Bucket(now_ns + _BUCKET_NS))
        return self._buckets[-1]

    def picture(self, now_ns: int, delay_ns: int, *, repaired: bool) -> None:
        """A picture is whole `delay_ns` after its capture; `repaired`: it had to wait for a packet to come again."""
        if self._began_ns is None:
            self._began_ns = now_ns
        bucket = self._bucket(now_ns)
        if bucket.least_ns is None or delay_ns < bucket.least_ns:
            bucket.least_ns = delay_ns
        is_settled = now_ns - self._began_ns >= _SETTLING_NS
        if is_settled and not repaired and (bucket.most_ns is None or delay_ns > bucket.most_ns):
            bucket.most_ns = delay_ns

    def lost(self, now_ns: int, count: int) -> None:
        """So many packets came only because they were asked for."""
        self._bucket(now_ns).losses += count

    def wanted_ns(self, now_ns: int, *, request_ns: int, repeat_ns: int, failing: float) -> int | None:
        """Show a picture captured at t at t + this. None: no picture has come yet.

        `request_ns`: from noticing a hole to asking; `repeat_ns`: from asking to the answer, with a margin; `failing`:
        the share of requests that bring nothing.
        """
        recent = [bucket for bucket in self._buckets if now_ns - bucket.until_ns < MEMORY_NS]
        usual_ns = self._usual_ns(recent[-_KEPT_BUCKETS:], _USUAL)
        jitter_ns = self._usual_ns(recent, _JITTER)
        if usual_ns is None or jitter_ns is None:
            return None
        losses = sum(bucket.losses for bucket in recent)
        newest = recent[-1]
        newest.reserve_ns = max(newest.reserve_ns, _reserve_ns(losses, NOTICE_NS + request_ns, repeat_ns, failing))
        reserve_ns = max(bucket.reserve_ns for bucket in recent[-_KEPT_BUCKETS:])
        return min(max(jitter_ns - UNEVEN_JITTER_NS, usual_ns + reserve_ns) + DECODE_NS, MOST_IN_ALL_NS)

    @staticmethod
    def _usual_ns(buckets: list[_Bucket], share: float) -> int | None:
        """What pictures take at most when nothing is lost, in this share of the half seconds."""
        most = sorted(bucket.most_ns for bucket in buckets if bucket.most_ns is not None)
        if most:
            return most[int(share * (len(most) - 1))]
        return min((bucket.least_ns for bucket in buckets if bucket.least_ns is not None), default=None)


def _reserve_ns(losses: int, notice_ns: int, repeat_ns: int, failing: float) -> int:
    """How long a picture is kept for its repairs."""
    if losses < LEAST_LOSSES:
        return 0
    reserve_ns = min(notice_ns + repeat_ns, MOST_NS)
    too_late = losses * failing
    request = 1
    while too_late >= MAY_BE_LATE and reserve_ns < MOST_REPEATED_NS:
        request += 1
        too_late *= failing
        reserve_ns = max(reserve_ns, min(notice_ns + request * repeat_ns - UNEVEN_NS, MOST_REPEATED_NS))
    return reserve_ns
