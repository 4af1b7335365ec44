"""No screen at all: for demonstrations and tests. Records what would have been seen, to be measured afterwards."""

from pathlib import Path

import av
import numpy as np

from appliance.media import timecode
from appliance.media.clock import Clock


class HeadlessDisplay:
    """With `record`: appends `shown_ns,time code (ns) or nothing,pts_ns` for each far-end picture."""

    def __init__(self, clock: Clock, record: Path | None = None) -> None:
        self._clock = clock
        # A worker that was replaced goes on with the record.
        self._record = record.open("a", buffering=1, encoding="ascii") if record is not None else None

    def show(self, frame: av.VideoFrame, pts_ns: int | None) -> None:
        if self._record is None or pts_ns is None:
            return
        now_ns = self._clock.now_ns()
        self._record.write(f"{now_ns},{_captured_ns(frame, now_ns) or ''},{pts_ns}\n")

    def pump(self) -> None:
        return

    def close(self) -> None:
        if self._record is not None:
            self._record.close()
            self._record = None


def _captured_ns(frame: av.VideoFrame, now_ns: int) -> int | None:
    """What the picture says of its own capture; in a wall of several, the first that says anything."""
    plane = frame.planes[0]
    luma = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)[: frame.height, : frame.width]
    code = timecode.read(luma)
    if code is None:
        codes = timecode.read_wall(luma)
        code = codes[0] if codes else None
    return None if code is None else timecode.to_ns(code.time_ms, now_ns)
