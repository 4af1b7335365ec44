"""Tell loss that our own rate causes from loss that the line has anyway, and bound the rate by the first alone.

Radio and bad cable lose 5 or 10 % at any rate: sending less cures nothing. A queue that overflows loses more the more
is sent. So loss beyond what the line is known to have is answered once; where it stays at the lower rate, it is the
line's, and is borne from then on.
"""

import math

from appliance.media.clock import NS_PER_S

WINDOW_NS = NS_PER_S
_LEAST_PACKETS = 20
# Loss below this is nobody's business.
_HARMLESS = 0.02
# More than this is never taken for a property of the line.
MOST_INHERENT = 0.2
# And more than this, chance included, is never borne.
_MOST_BORNE = 0.25
# Sending so much less should have lost less, were the loss our own doing.
_CUT = 0.15
_TRIALS = 2


class LossBound:
    """Pure: counts in, a verdict a second out."""

    def __init__(self) -> None:
        self.inherent = 0.0
        self.fraction = 0.0
        self._window_ns: int | None = None
        self._lost = self._total = 0
        self._answered = 0
        self._answered_loss = 0.0

    def restart_window(self) -> None:
        """What was lost meanwhile had another cause: a cut, a queue that is being drained."""
        self._window_ns = None
        self._lost = self._total = 0

    def add(self, now_ns: int, lost: int, arrived: int) -> bool:
        """Count; True when the rate shall be cut because of loss."""
        if self._window_ns is None:
            self._window_ns = now_ns
        self._lost += lost
        self._total += lost + arrived
        if now_ns - self._window_ns < WINDOW_NS or self._total < _LEAST_PACKETS:
            return False
        fraction, count = max(self._lost, 0) / self._total, self._total
        self._window_ns, self._lost, self._total = now_ns, 0, 0
        self.fraction = fraction
        return self._judge(fraction, count)

    def told(self, fraction: float, count: int) -> bool:
        """A receiver report's fraction lost, of about so many packets."""
        self.fraction = fraction
        return self._judge(fraction, max(count, 1))

    def _judge(self, fraction: float, count: int) -> bool:
        known = self.inherent
        chance = 2 * math.sqrt(max(known, 0.01) * (1 - known) / count)
        if fraction <= min(max(known + chance, _HARMLESS), _MOST_BORNE):
            # Falls faster than it rises: a line that has become good is used.
            self.inherent += (min(fraction, MOST_INHERENT) - known) * (0.3 if fraction < known else 0.1)
            self._answered = 0
            return False
        if self._answered and fraction >= self._answered_loss * 0.7:
            self._answered += 1
            if self._answered > _TRIALS:
                self.inherent = min(fraction, MOST_INHERENT)
                self._answered = 0
                return fraction > MOST_INHERENT
            return True
        self._answered, self._answered_loss = 1, fraction
        return True

    def bounded(self, rate_bps: float, acked_bps: float | None) -> float:
        """The rate after a cut: what arrived of it, or a clear step below."""
        arrived = acked_bps / (1 - self.inherent) if acked_bps is not None else rate_bps * (1 - self.fraction / 2)
        return max(min(arrived, rate_bps * (1 - min(self.fraction, 0.08))), rate_bps * (1 - max(_CUT, self.fraction)))
