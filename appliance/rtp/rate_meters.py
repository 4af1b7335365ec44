"""Bit rates over the last moments: of what was sent, and of what has arrived."""

from collections import deque

from appliance.media.clock import NS_PER_S


class RateMeter:
    """Bits over a sliding window. Times may come slightly out of order."""

    def __init__(self, window_ns: int) -> None:
        self._window_ns = window_ns
        self._entries: deque[tuple[int, int]] = deque()
        self._bits = 0
        self._newest_ns = 0
        self._begun_ns: int | None = None

    def add(self, at_ns: int, bits: int) -> None:
        if self._begun_ns is None or abs(at_ns - self._newest_ns) > 2 * self._window_ns:
            # A pause is no slowness, and a clock that was set is another's: measure from here.
            self._begun_ns = self._newest_ns = at_ns
            self._entries.clear()
            self._bits = 0
        self._newest_ns = max(self._newest_ns, at_ns)
        self._entries.append((at_ns, bits))
        self._bits += bits
        self._trim(self._newest_ns)

    def _trim(self, now_ns: int) -> None:
        entries = self._entries
        while entries and entries[0][0] <= now_ns - self._window_ns:
            self._bits -= entries.popleft()[1]

    def bps(self, now_ns: int | None = None) -> int | None:
        """None until half a window was seen. Without `now_ns`: up to the newest entry."""
        if self._begun_ns is None:
            return None
        if now_ns is not None:
            self._trim(now_ns)
        now_ns = self._newest_ns if now_ns is None else now_ns
        span_ns = min(now_ns - self._begun_ns, self._window_ns)
        if span_ns < self._window_ns // 2:
            return None
        return self._bits * NS_PER_S // span_ns
