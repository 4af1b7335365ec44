"""H.264 in software (libx264 through PyAV): constrained baseline without delay, for a live line.

Preset measured at 720p30 on camera-like footage (CPU-s per 60 s, one thread; luma PSNR at 0.6 and 2 Mb/s):
ultrafast 5.8-7.4 (34.3, 40.0 dB), superfast 8.5-12.1 (36.4, 40.6), veryfast 15-22 (36.3, 40.7); ultrafast with the
deblocking filter 5.8-6.9 (35.4, 40.7): as good as superfast where it matters, at little more than half the cost.
"""

from fractions import Fraction

import av
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType
from av.video.reformatter import ColorPrimaries, ColorRange, ColorTrc

from appliance.media.clock import NS_PER_S
from appliance.media.h264_level import level_idc
from appliance.media.values import EncodedFrame

LEAST_BPS, MOST_BPS = 32_000, 20_000_000
# The line buffer that rate control plans with: no frame, keyframes too, is larger than what the line carries in this
# time, or the pictures behind it would wait for it.
_VBV_S = 0.25
# A rate that rises by less takes effect without a keyframe.
_ROOM = 1.1
# libx264's wrapper changes the mean rate of an open encoder but not its buffer (PyAV cannot set `rc_max_rate`), so a
# mean below the buffer's rate may be overdrawn by as much as the buffer allows: down to here it is tolerable.
_IN_PLACE_DOWN = 0.77
# More bits are never urgent, and each opening costs a keyframe.
_LEAST_TIME_BETWEEN_RAISES_NS = 2 * NS_PER_S
_TIME_BASE = Fraction(1, 1_000_000)
# AVColorSpace: the matrix of BT.601.
_SMPTE170M = 6


class X264Encoder:
    """One picture in, one access unit out (Annex B; parameter sets with each keyframe). Not thread-safe."""

    def __init__(self, width: int, height: int, fps: int, bps: int, keyframe_interval_s: int) -> None:
        self._width, self._height, self._fps = width, height, fps
        self._keyframe_interval_ns = keyframe_interval_s * NS_PER_S
        self._wanted_bps = _within_limits(bps)
        self._current_bps = self._opened_bps = 0
        self._opened_ns = self._keyframe_ns = 0
        self._last_us = -1
        self._codec: VideoCodecContext | None = None
        self.openings = 0

    @property
    def bitrate_bps(self) -> int:
        """The rate asked for last."""
        return self._wanted_bps

    def set_bitrate(self, bps: int) -> None:
        """Aim at this rate from the next picture on; a large step begins with a keyframe."""
        self._wanted_bps = _within_limits(bps)

    def set_framerate(self, fps: int) -> None:
        """Share the bits among so many pictures a second, beginning with a keyframe."""
        self.set_format(self._width, self._height, fps)

    def set_format(self, width: int, height: int, fps: int) -> None:
        """Take pictures of this size and so many a second; a change begins with a keyframe."""
        if (width, height, fps) != (self._width, self._height, self._fps):
            self._width, self._height, self._fps = width, height, fps
            self._codec = None

    def encode(self, frame: av.VideoFrame, pts_ns: int, *, keyframe: bool = False) -> EncodedFrame | None:
        """None when the picture is not newer than the last one."""
        pts_us = pts_ns // 1000
        if pts_us <= self._last_us:
            return None
        codec = self._codec
        keyframe = keyframe or codec is None or pts_ns - self._keyframe_ns >= self._keyframe_interval_ns
        if codec is None or (self._wanted_bps != self._current_bps and self._must_open(pts_ns, keyframe)):
            codec = self._open(pts_ns)
            keyframe = True
        elif self._wanted_bps != self._current_bps:
            self._current_bps = min(self._wanted_bps, self._opened_bps)
            codec.bit_rate = self._current_bps
        frame.pts = pts_us
        frame.time_base = _TIME_BASE
        frame.pict_type = PictureType.I if keyframe else PictureType.NONE
        packets = codec.encode(frame)
        self._last_us = pts_us
        if not packets:
            return None
        if packets[0].is_keyframe:
            self._keyframe_ns = pts_ns
        return EncodedFrame(b"".join(bytes(packet) for packet in packets), pts_ns, packets[0].is_keyframe)

    def close(self) -> None:
        self._codec = None

    def _must_open(self, pts_ns: int, keyframe: bool) -> bool:
        if keyframe:
            return True
        if self._wanted_bps > self._opened_bps:
            return pts_ns - self._opened_ns >= _LEAST_TIME_BETWEEN_RAISES_NS
        return self._wanted_bps < self._opened_bps * _IN_PLACE_DOWN

    def _open(self, pts_ns: int) -> VideoCodecContext:
        codec = av.CodecContext.create("libx264", "w")
        assert isinstance(codec, VideoCodecContext)
        bps = self._wanted_bps
        codec.width, codec.height, codec.pix_fmt = self._width, self._height, "yuv420p"
        # x264 could plan by each picture's own time (vfr-input), but then it holds one picture back.
        codec.time_base, codec.framerate = _TIME_BASE, Fraction(self._fps)
        codec.bit_rate = bps
        most = int(bps * _ROOM)
        codec.thread_count = 1
        _describe_colours(codec)
        codec.options = {
            "preset": "ultrafast",
            "tune": "zerolatency",
            "profile": "baseline",
            # As our SDP says.
            "level": f"{level_idc(self._width, self._height, self._fps) / 10:.1f}",
            "maxrate": str(most),
            "bufsize": str(int(most * _VBV_S)),
            "forced-idr": "1",
            # Keyframes come by time, from `encode`.
            "g": "1000000",
            # Finer than 18 nobody sees: a still picture need not fill the line.
            "x264-params": "deblock=0,0:qpmin=18",
        }
        codec.open()
        self._codec = codec
        self._current_bps, self._opened_bps = bps, most
        self._opened_ns = pts_ns
        self.openings += 1
        return codec


def _describe_colours(codec: VideoCodecContext) -> None:
    """Say in the stream (VUI, H.264 annex E) what `fit` makes: else each decoder guesses, by size or by habit."""
    codec.color_range = ColorRange.MPEG
    codec.color_primaries = ColorPrimaries.BT709
    codec.color_trc = ColorTrc.BT709
    codec.colorspace = _SMPTE170M


def _within_limits(bps: int) -> int:
    return max(LEAST_BPS, min(MOST_BPS, bps))
