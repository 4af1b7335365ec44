"""Two knobs of cameras that encode H.264 themselves: a keyframe now, and the bit rate (VIDIOC_S_CTRL on the device)."""

import fcntl
import os
import struct
from contextlib import suppress

_CONTROL = struct.Struct("=Ii")  # struct v4l2_control: id, value
_S_CTRL = 3 << 30 | _CONTROL.size << 16 | ord("V") << 8 | 28  # _IOWR('V', 28, struct v4l2_control)
_CODEC_BASE = 0x0099_0000 | 0x900
_BITRATE = _CODEC_BASE + 207  # V4L2_CID_MPEG_VIDEO_BITRATE
_FORCE_KEYFRAME = _CODEC_BASE + 229  # V4L2_CID_MPEG_VIDEO_FORCE_KEY_FRAME


class CameraControls:
    """Many cameras know neither knob; each call says whether the camera took it."""

    def __init__(self, device: str) -> None:
        self._file: int | None = None
        with suppress(OSError):
            # V4L2 lets several files of one device set controls while one of them streams.
            self._file = os.open(device, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)

    def force_keyframe(self) -> bool:
        return self._set(_FORCE_KEYFRAME, 1)

    def set_bitrate(self, bps: int) -> bool:
        return self._set(_BITRATE, bps)

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _set(self, control: int, value: int) -> bool:
        if self._file is None:
            return False
        try:
            fcntl.ioctl(self._file, _S_CTRL, _CONTROL.pack(control, value))
        except OSError:
            return False
        return True
