"""The contracts by which parts meet that do not know each other."""

from collections.abc import AsyncIterator
from types import TracebackType
from typing import Protocol, Self

from .values import AudioBlock, EncodedFrame


class Resource(Protocol):
    """Opened with `async with`; closing gives back the device."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class VideoSource(Resource, Protocol):
    """A camera with its encoder: iterate over its frames. Raises DeviceError when the device is lost."""

    def __aiter__(self) -> AsyncIterator[EncodedFrame]: ...

    def request_keyframe(self) -> None: ...

    def set_bitrate(self, bps: int) -> None: ...

    def set_framerate(self, fps: int) -> None: ...

    def set_privacy(self, on: bool) -> None:
        """True: the picture never leaves; a card "camera off" is sent in its place."""


class AudioSource(Resource, Protocol):
    """A microphone. Iterating gives consecutive 20 ms blocks."""

    def __aiter__(self) -> AsyncIterator[AudioBlock]: ...


class AudioSink(Resource, Protocol):
    """A speaker that asks for what it plays, at the pace of its own clock."""

    async def play(self, block: AudioBlock) -> int:
        """Queue one block; return the MediaClock time (ns) at which its first sample is heard.

        Returns when the device has room for the next block: this is the pace of playout.
        """
