"""Decide how late sound is played: as early as the line's jitter allows, measured by how old packets are when needed.

The speaker asks for 20 ms at its own pace and packets come at theirs, so the delay moves in steps of one packet: either
the newest packet is reliably there when it is needed, or the one before it must do. A drifting clock moves the phase
between the two slowly; one step every few minutes answers it.

The picture may need more delay than the sound, to be repaired: then sound waits for it (`picture_delay.py`).
"""

from collections import deque

from appliance.media.clock import NS_PER_S
from appliance.media.values import BLOCK_NS, BLOCK_SAMPLES, SAMPLE_RATE

_MS = 1_000_000
# A packet that is needed this soon after it came will be too late one day.
SAFETY_NS = 1_500_000
# So many in about a second: a drift or a worse line, and not one moment in which this machine was busy.
_NEAR_MISSES = 4
# Between "too late" and "too early" lies one step and this.
_HYSTERESIS_NS = 4 * _MS
_BUCKET_NS = NS_PER_S // 2
_LEAST_HOLD = 16  # buckets
_MOST_HOLD = 40
# So long after a loss the delay stays long enough to use the next packet's redundancy.
_LOSS_MEMORY_NS = 15 * NS_PER_S
_LOSSES = 2
# Losses nearer to each other count as one.
_ONE_LOSS_NS = NS_PER_S // 5
_LEAST_SPARE = SAMPLE_RATE // 200
# The picture's wish is followed when it is off by more than this, by so much at a time.
_OFF_NS = 10 * _MS
_MOST_STEP = BLOCK_SAMPLES
# A wish for so much more is none that comes of losses: the far end's clocks for sound and picture do not agree.
_MOST_OFF_NS = 500 * _MS


class _Bucket:
    __slots__ = ("least_spare", "least_wait_ns", "most_wait_ns", "near_misses", "until_ns")

    def __init__(self, until_ns: int, wait_ns: int, spare: int) -> None:
        self.until_ns = until_ns
        self.least_wait_ns = self.most_wait_ns = wait_ns
        self.least_spare = spare
        self.near_misses = 0


class PlayoutDelay:
    """`correction`: samples to insert (positive) or to leave out (negative) as soon as it can be done unheard."""

    def __init__(self) -> None:
        self._hold = _LEAST_HOLD
        self._losses: deque[int] = deque(maxlen=_LOSSES)
        self._now_ns = 0
        self._wait_ns = 0.0
        self._grown_ns = 0
        # By how much the sound is heard earlier than the picture can be shown; None: there is no picture.
        self._short_ns: int | None = None
        self.is_gentle = False
        self.restart()

    def restart(self) -> None:
        """What was observed no longer holds."""
        self._buckets: deque[_Bucket] = deque()
        self.correction = 0
        self.is_gentle = False

    @property
    def wait_ns(self) -> float:
        """From a packet's arrival to its being played, on average."""
        return self._wait_ns

    @property
    def target_ms(self) -> float:
        """What the line's jitter and losses ask for."""
        spread = 0
        if self._buckets:
            spread = max(b.most_wait_ns for b in self._buckets) - min(b.least_wait_ns for b in self._buckets)
        return (self._least_ns + spread) / _MS

    @property
    def _least_ns(self) -> int:
        """How old the newest packet needed must be at least."""
        return SAFETY_NS + (BLOCK_NS if self._is_lossy else 0)

    @property
    def _is_lossy(self) -> bool:
        return len(self._losses) == _LOSSES and self._now_ns - self._losses[0] < _LOSS_MEMORY_NS

    def follow(self, short_ns: int | None) -> None:
        """The sound is heard this much earlier than the picture can be shown (negative: later; None: no picture)."""
        self._short_ns = None if short_ns is None or short_ns > _MOST_OFF_NS else short_ns

    def observe(self, now_ns: int, wait_ns: int, spare: int) -> None:
        """A block is played: its newest packet came `wait_ns` ago, and `spare` decoded samples are left over."""
        self._now_ns = now_ns
        self._wait_ns += (wait_ns - self._wait_ns) / 32 if self._buckets else wait_ns - self._wait_ns
        if self.correction:
            # Half-way between two delays nothing is learned about either.
            return
        buckets = self._buckets
        if not buckets or now_ns >= buckets[-1].until_ns:
            buckets.append(_Bucket(now_ns + _BUCKET_NS, wait_ns, spare))
            while len(buckets) > self._hold:
                buckets.popleft()
        else:
            bucket = buckets[-1]
            bucket.least_wait_ns = min(bucket.least_wait_ns, wait_ns)
            bucket.most_wait_ns = max(bucket.most_wait_ns, wait_ns)
            bucket.least_spare = min(bucket.least_spare, spare)
        least_ns = self._least_ns
        if wait_ns < least_ns:
            buckets[-1].near_misses += 1
        self._decide(least_ns)

    def _decide(self, least_ns: int) -> None:
        buckets = self._buckets
        if buckets[-1].near_misses + (buckets[-2].near_misses if len(buckets) > 1 else 0) >= _NEAR_MISSES:
            self._begin(BLOCK_SAMPLES, BLOCK_NS)
            return
        short_ns = self._short_ns
        if short_ns is not None and short_ns > _OFF_NS:
            self._begin(min(_samples(short_ns), _MOST_STEP), min(short_ns, BLOCK_NS), gentle=True)
            return
        if len(buckets) < _LEAST_HOLD:
            return
        # What may be left out without making the picture late.
        free_ns = NS_PER_S if short_ns is None else -short_ns
        surplus_ns = min(bucket.least_wait_ns for bucket in buckets) - least_ns
        # A large surplus need not wait for a long calm.
        is_large = surplus_ns >= BLOCK_NS + _HYSTERESIS_NS and (len(buckets) >= self._hold or surplus_ns > 3 * BLOCK_NS)
        if is_large and free_ns > _OFF_NS:
            step_ns = min(free_ns, BLOCK_NS)
            self._begin(-_samples(step_ns), -step_ns, gentle=short_ns is not None)
            return
        spare = min(min(bucket.least_spare for bucket in buckets), _samples(free_ns))
        if spare >= _LEAST_SPARE:
            # Left over each time: it delays without helping.
            self._begin(-(spare // 4 * 4), 0)

    def _begin(self, correction: int, step_ns: int, *, gentle: bool = False) -> None:
        self.correction = correction
        self.is_gentle = gentle
        # What was observed holds after the step as well, moved by it.
        for bucket in self._buckets:
            bucket.least_wait_ns += step_ns
            bucket.most_wait_ns += step_ns
            bucket.near_misses = 0
            if not step_ns:
                bucket.least_spare += correction

    def corrected(self, samples: int) -> None:
        """So much of the correction is done."""
        self.correction -= samples

    def grown(self) -> None:
        """A packet came too late and is played all the same: keep the longer delay for a while, each time longer."""
        self.restart()
        if self._grown_ns and self._now_ns - self._grown_ns < 2 * _MOST_HOLD * _BUCKET_NS:
            self._hold = min(2 * self._hold, _MOST_HOLD)
        else:
            self._hold = _LEAST_HOLD
        self._grown_ns = self._now_ns

    def lost(self) -> None:
        """A packet is lost whose sound the next packet carries as well, or could have if it had been there in time."""
        if not self._losses or self._now_ns - self._losses[-1] > _ONE_LOSS_NS:
            self._losses.append(self._now_ns)


def _samples(ns: int) -> int:
    """In whole steps of the stretcher's search; negative times give none."""
    return max(ns * SAMPLE_RATE // NS_PER_S // 4 * 4, 0)
