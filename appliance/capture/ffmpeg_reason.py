"""Word FFmpeg's errors for people: its own numbers (such as 1094995529) mean nothing to anybody."""

from av.error import EOFError as EndOfFileError
from av.error import FFmpegError, InvalidDataError

_NO_MEDIA = "it is no media file, or is damaged"


def reason_of(error: Exception) -> str:
    """Why a file cannot be played, to stand behind a colon."""
    if isinstance(error, (InvalidDataError, EndOfFileError)):
        return _NO_MEDIA
    if isinstance(error, FFmpegError):
        # `strerror` without number and file name; the errors of FFmpeg's own have no better words than these.
        return error.strerror or _NO_MEDIA
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return str(error)
