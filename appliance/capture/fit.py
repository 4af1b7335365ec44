"""Fit pictures of any size and pixel format into the configured size, between black bars where the shape differs."""

import av
from av.video.reformatter import ColorRange, VideoReformatter

from .pictures import black_frame, planes_of


class Fitter:
    """Scales to one size. What it gives may be drawn on, and is valid until the next call."""

    def __init__(self, width: int, height: int) -> None:
        self._width, self._height = width, height
        self._scaler = VideoReformatter()
        self._canvas: av.VideoFrame | None = None
        self._inner = (0, 0)

    def fit(self, frame: av.VideoFrame, pixel_aspect: float = 1.0) -> av.VideoFrame:
        """`pixel_aspect` is how much wider than high the source's pixels are shown."""
        width, height = self._inner_size(frame.width * pixel_aspect, frame.height)
        if (frame.width, frame.height, frame.format.name) == (width, height, "yuv420p") and not _is_full_range(frame):
            scaled = frame
            # It may be the decoder's own, from which later pictures are predicted.
            scaled.make_writable()
        else:
            scaled = self._scaler.reformat(
                frame,
                width,
                height,
                "yuv420p",
                src_color_range=ColorRange.JPEG if _is_full_range(frame) else ColorRange.MPEG,
                dst_color_range=ColorRange.MPEG,
                threads=1,
            )
        if (width, height) == (self._width, self._height):
            return scaled
        if self._canvas is None or self._inner != (width, height):
            self._canvas = black_frame(self._width, self._height)
            self._inner = (width, height)
        x, y = (self._width - width) // 4 * 2, (self._height - height) // 4 * 2
        for plane, (target, source) in enumerate(zip(planes_of(self._canvas), planes_of(scaled), strict=True)):
            left, top = (x, y) if plane == 0 else (x // 2, y // 2)
            target[top : top + source.shape[0], left : left + source.shape[1]] = source
        return self._canvas

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
