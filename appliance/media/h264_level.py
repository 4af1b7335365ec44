"""H.264 levels: what a size and a frame rate ask of a decoder (ITU-T H.264 table A-1)."""

# level_idc: most macroblocks a picture, most macroblocks a second. Below 3.1 nobody gains anything.
_LEVELS = ((31, 3600, 108_000), (40, 8192, 245_760), (42, 8704, 522_240))
HIGHEST = 52


def level_idc(width: int, height: int, fps: int) -> int:
    """Ten times the level that pictures of this size (pixels) and rate need, such as 31 for 1280x720 at 30."""
    macroblocks = -(-width // 16) * -(-height // 16)
    for level, per_picture, per_second in _LEVELS:
        if macroblocks <= per_picture and macroblocks * fps <= per_second:
            return level
    return HIGHEST
