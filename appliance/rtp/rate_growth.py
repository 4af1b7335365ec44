"""How fast the rate may rise: hardly, where the line showed its limit of late; ever faster, the longer it does not.

That is the shape of CUBIC (RFC 9438): a plateau at the last limit, and a search beyond it.
"""

from appliance.media.clock import NS_PER_S

# A second.
_SLOW, _FAST, _HURRY = 0.03, 0.25, 0.5
_PLATEAU_NS = 4 * NS_PER_S
_DOUBLES_EVERY_NS = 2 * NS_PER_S
_FORGET_NS = 30 * NS_PER_S
_PROBE_AFTER_NS = 5 * NS_PER_S


class Growth:
    """Pure."""

    def __init__(self, now_ns: int) -> None:
        self._limited_ns: int | None = None
        self._limit_bps = 0.0
        self._hurry_until_ns = 0

    def limited(self, bps: float, now_ns: int) -> None:
        """The line carries this much, and no more."""
        self._limited_ns, self._limit_bps = now_ns, bps
        self._hurry_until_ns = 0

    def forget(self) -> None:
        """The limit was another's, who is gone."""
        self._limited_ns = None

    def hurry(self, now_ns: int) -> None:
        """The line is back after a silence: what it carried before is most likely."""
        self._hurry_until_ns = now_ns + 5 * NS_PER_S

    def is_near_limit(self, now_ns: int) -> bool:
        return self._limited_ns is not None and now_ns - self._limited_ns < _FORGET_NS

    def may_probe(self, now_ns: int) -> bool:
        return self._limited_ns is None or now_ns - self._limited_ns > _PROBE_AFTER_NS

    def raised(self, bps: float, now_ns: int, step_ns: int) -> float:
        """The rate after `step_ns` more in which the line took all of it."""
        if now_ns < self._hurry_until_ns:
            share = _HURRY
        elif self._limited_ns is None or bps < 0.7 * self._limit_bps:
            share = _FAST
        else:
            doublings = max(now_ns - self._limited_ns - _PLATEAU_NS, 0) / _DOUBLES_EVERY_NS
            share = min(_SLOW * 2 ** min(doublings, 10), _FAST)
        # A kilobit a second at least, or the lowest rates would never be left.
        return bps + max(bps * share, 2_000) * step_ns / NS_PER_S
