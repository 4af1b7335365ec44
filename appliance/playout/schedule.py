"""When each far-end picture is decoded and shown, so that lips and voices are together. Pure: no clock of its own."""

from collections import deque

from appliance.media.values import EncodedFrame

from .picture_decoder import DecodedPicture

# A picture is decoded this long before it is due: encoded it waits in a hundredth of the memory.
LEAD_NS = 45_000_000
# Later than this is late; less is the jitter of timers.
TOLERANCE_NS = 20_000_000
# A delay that holds pictures longer than this is not believed: it would be seen as a standing picture.
MOST_HELD_NS = 1_000_000_000
MAX_ENCODED = 90
MAX_ENCODED_BYTES = 8 * 1024 * 1024


class Schedule:
    """Two queues: encoded frames until shortly before they are due, and decoded pictures until they are."""

    def __init__(self) -> None:
        self._encoded: deque[tuple[EncodedFrame, int]] = deque()  # with the time of arrival
        self._encoded_bytes = 0
        self._decoded: deque[tuple[DecodedPicture, int]] = deque()
        self.delay_ns: int | None = None
        self.late = 0
        self.dropped = 0

    def arrived(self, frame: EncodedFrame, now_ns: int) -> bool:
        """Keep a frame. False when so many waited that all were dropped and a keyframe must follow."""
        if len(self._encoded) >= MAX_ENCODED or self._encoded_bytes + len(frame.data) > MAX_ENCODED_BYTES:
            self.dropped += len(self._encoded) + 1
            self._encoded.clear()
            self._encoded_bytes = 0
            return False
        self._encoded.append((frame, now_ns))
        self._encoded_bytes += len(frame.data)
        return True

    def to_decode(self, now_ns: int) -> EncodedFrame | None:
        """The next frame whose time to be decoded has come."""
        if not self._encoded:
            return None
        frame, arrived_ns = self._encoded[0]
        if self._due_ns(frame.pts_ns, arrived_ns) - LEAD_NS > now_ns:
            return None
        self._encoded.popleft()
        self._encoded_bytes -= len(frame.data)
        return frame

    def decoded(self, picture: DecodedPicture, now_ns: int) -> None:
        self._decoded.append((picture, now_ns))

    def to_show(self, now_ns: int) -> DecodedPicture | None:
        """The picture that is to be on screen from now on, if a new one is; older ones due as well are dropped."""
        newest: DecodedPicture | None = None
        due_ns = 0
        while self._decoded:
            picture, ready_ns = self._decoded[0]
            next_due_ns = self._due_ns(picture.pts_ns, ready_ns)
            if next_due_ns > now_ns:
                break
            self._decoded.popleft()
            if newest is not None:
                self.dropped += 1
            newest, due_ns = picture, next_due_ns
        if newest is not None and now_ns - due_ns > TOLERANCE_NS:
            self.late += 1
        return newest

    def next_ns(self) -> int | None:
        """When something is to be done next."""
        times = []
        if self._encoded:
            frame, arrived_ns = self._encoded[0]
            times.append(self._due_ns(frame.pts_ns, arrived_ns) - LEAD_NS)
        if self._decoded:
            picture, ready_ns = self._decoded[0]
            times.append(self._due_ns(picture.pts_ns, ready_ns))
        return min(times, default=None)

    def clear(self) -> None:
        self._encoded.clear()
        self._decoded.clear()
        self._encoded_bytes = 0

    def _due_ns(self, pts_ns: int, seen_ns: int) -> int:
        """When to show a picture; at once (when first seen) where nothing is known or what is known is absurd."""
        if self.delay_ns is None:
            return seen_ns
        due_ns = pts_ns + self.delay_ns
        return due_ns if due_ns - seen_ns <= MOST_HELD_NS else seen_ns
