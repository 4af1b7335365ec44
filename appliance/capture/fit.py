"""Fit pictures of any size, turn, colour and pixel format into what is sent, between black bars where shapes differ.

What is sent is BT.601 in limited range, with BT.709's primaries: a webcam's own, our cards', and what a far end takes
a picture for that ignores the description in the stream. Only footage in other colours has to be converted.
"""

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter

from .pictures import black_frame, planes_of

# AVColorSpace (the frame's own word; BT.2020 has two) to the scaler's. All others, and none, are BT.601.
_MATRICES = {
    1: Colorspace.ITU709,
    4: Colorspace.FCC,
    7: Colorspace.SMPTE240M,
    9: Colorspace.BT2020,
    10: Colorspace.BT2020,
}


class Fitter:
    """Scales to one size. What it gives may be drawn on, and is valid until the next call."""

    def __init__(self, width: int, height: int) -> None:
        self._width, self._height = width, height
        self._scaler = VideoReformatter()
        self._canvas: av.VideoFrame | None = None
        self._inner = (0, 0)

    def fit(self, frame: av.VideoFrame, pixel_aspect: float = 1.0) -> av.VideoFrame:
        """`pixel_aspect` is how much wider than high the source's pixels are shown."""
        # A telephone held upright films on its side, and tells by how much to turn the picture against the clock.
        turns = round(frame.rotation / 90) % 4
        wide, high = frame.width * pixel_aspect, float(frame.height)
        width, height = self._inner_size(high, wide) if turns % 2 else self._inner_size(wide, high)
        scaled = self._scaled(frame, *((height, width) if turns % 2 else (width, height)))
        if not turns and (width, height) == (self._width, self._height):
            return scaled
        if self._canvas is None or self._inner != (width, height):
            self._canvas = black_frame(self._width, self._height)
            self._inner = (width, height)
        x, y = (self._width - width) // 4 * 2, (self._height - height) // 4 * 2
        for plane, (target, source) in enumerate(zip(planes_of(self._canvas), planes_of(scaled), strict=True)):
            left, top = (x, y) if plane == 0 else (x // 2, y // 2)
            upright = np.rot90(source, turns)
            target[top : top + upright.shape[0], left : left + upright.shape[1]] = upright
        return self._canvas

    def _scaled(self, frame: av.VideoFrame, width: int, height: int) -> av.VideoFrame:
        matrix = _MATRICES.get(frame.colorspace, Colorspace.ITU601)
        is_ours = matrix is Colorspace.ITU601 and not _is_full_range(frame)
        if is_ours and (frame.width, frame.height, frame.format.name) == (width, height, "yuv420p"):
            # It may be the decoder's own, from which later pictures are predicted.
            frame.make_writable()
            return frame
        return self._scaler.reformat(
            frame,
            width,
            height,
            "yuv420p",
            src_colorspace=matrix,
            dst_colorspace=Colorspace.ITU601,
            src_color_range=ColorRange.JPEG if _is_full_range(frame) else ColorRange.MPEG,
            dst_color_range=ColorRange.MPEG,
            threads=1,
        )

    def _inner_size(self, width: float, height: float) -> tuple[int, int]:
        """The largest even size inside ours with these proportions."""
        scale = min(self._width / width, self._height / height)
        # Bars thinner than 2 % are an encoder's padding (1088 lines for 1080), not another shape.
        inner_width, inner_height = (
            full if size * scale > full * 0.98 else max(2, int(size * scale) & ~1)
            for size, full in ((width, self._width), (height, self._height))
        )
        return inner_width, inner_height


def _is_full_range(frame: av.VideoFrame) -> bool:
    return frame.color_range == ColorRange.JPEG or frame.format.name.startswith(("yuvj", "rgb", "bgr", "gbr", "pal"))
