"""What a person in the room calls a standing picture, counted."""

from collections import deque

# As libwebrtc counts (webrtc-stats, freezeCount): longer than three usual intervals, and 150 ms more than one.
_TIMES = 3
_MORE_NS = 150_000_000
_USUAL_OF = 30


class FreezeMeter:
    """Told of each picture shown; counts the gaps between them that are freezes."""

    def __init__(self) -> None:
        self._intervals: deque[int] = deque(maxlen=_USUAL_OF)
        self._last_ns: int | None = None
        self._is_frozen = False
        self._past_ns = 0
        self.freezes = 0

    def picture(self, now_ns: int) -> None:
        """A new picture is on screen."""
        self.look(now_ns)
        if self._last_ns is not None:
            interval = now_ns - self._last_ns
            if self._is_frozen:
                self._past_ns += interval
            else:
                self._intervals.append(interval)
        self._last_ns = now_ns
        self._is_frozen = False

    def look(self, now_ns: int) -> None:
        """Notice a picture that stands now."""
        if self._last_ns is None or self._is_frozen or not self._intervals:
            return
        usual = sum(self._intervals) // len(self._intervals)
        if now_ns - self._last_ns > max(_TIMES * usual, usual + _MORE_NS):
            self._is_frozen = True
            self.freezes += 1

    def end(self, now_ns: int) -> None:
        """No pictures are expected from here on."""
        if self._is_frozen and self._last_ns is not None:
            self._past_ns += now_ns - self._last_ns
        self._last_ns = None
        self._is_frozen = False
        self._intervals.clear()

    def freeze_ms(self, now_ns: int) -> int:
        """How long the picture has stood in all, the freeze of now included."""
        running = now_ns - self._last_ns if self._is_frozen and self._last_ns is not None else 0
        return (self._past_ns + running) // 1_000_000
