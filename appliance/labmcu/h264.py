"""H.264 in and out of the wall: a decoder that takes anything, an encoder that answers keyframe requests at once."""

from fractions import Fraction

import av
from av.codec.context import ThreadType
from av.error import FFmpegError
from av.video.frame import PictureType, VideoFrame

from appliance.media.clock import ns_to_90k

_TICK = Fraction(1, 90_000)
# A little more than 1080p. What a stranger sends must not be able to fill our memory.
_MAX_PIXELS = 1920 * 1200


class WallDecoder:
    """Decode access units. Garbage is counted and costs the pictures up to the next keyframe, nothing else."""

    def __init__(self) -> None:
        self._context = self._open()
        self._needs_keyframe = True
        self.errors = 0

    @property
    def needs_keyframe(self) -> bool:
        return self._needs_keyframe

    def decode(self, data: bytes, *, is_keyframe: bool) -> VideoFrame | None:
        """The newest picture that these bytes complete, or None."""
        if self._needs_keyframe and not is_keyframe:
            return None
        try:
            pictures = self._context.decode(av.Packet(data))
        except (FFmpegError, ValueError):
            self.reset()
            self.errors += 1
            return None
        self._needs_keyframe = not pictures and self._needs_keyframe
        return pictures[-1] if pictures else None

    def reset(self) -> None:
        """Forget what came before: the next picture is a keyframe's."""
        self._context = self._open()
        self._needs_keyframe = True

    @staticmethod
    def _open() -> av.VideoCodecContext:
        context = av.VideoCodecContext.create("h264", "r")
        # Frame threads would hold pictures back.
        context.thread_type = ThreadType.SLICE
        context.thread_count = 1
        context.options = {"max_pixels": str(_MAX_PIXELS)}
        return context


class WallEncoder:
    """x264 for the wall: constrained baseline, no picture is ever held back, keyframes when asked for."""

    def __init__(self, width: int, height: int, fps: int, bitrate_bps: int) -> None:
        context = av.VideoCodecContext.create("libx264", "w")
        context.width, context.height, context.pix_fmt = width, height, "yuv420p"
        context.time_base = _TICK
        context.framerate = Fraction(fps)
        context.bit_rate = bitrate_bps
        context.thread_count = 1
        kilobits = bitrate_bps // 1000
        # Keyframes come on request; one each 10 s heals a listener whose requests are lost.
        context.options = {
            "preset": "ultrafast",
            "tune": "zerolatency",
            "profile": "baseline",
            "forced-idr": "1",
            "x264-params": (
                f"keyint={10 * fps}:scenecut=0:repeat-headers=1:annexb=1:level=3.1:"
                # A quarter of a second: a keyframe must not stop a listener's line.
                f"vbv-maxrate={kilobits}:vbv-bufsize={kilobits // 4}"
            ),
        }
        self._context = context

    def encode(self, picture: VideoFrame, pts_ns: int, *, keyframe: bool) -> tuple[bytes, bool] | None:
        """One access unit and whether it is a keyframe. x264 copies the picture: it may be drawn on afterwards."""
        picture.pts = ns_to_90k(pts_ns)
        picture.time_base = _TICK
        picture.pict_type = PictureType.I if keyframe else PictureType.NONE
        packets = self._context.encode(picture)
        if not packets:
            return None
        return b"".join(bytes(packet) for packet in packets), packets[0].is_keyframe

    def close(self) -> None:
        self._context.encode(None)
