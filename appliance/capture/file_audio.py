"""A microphone that plays a sound file: whatever FFmpeg opens, as 48 kHz mono, in real time, over and over."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import av
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.container import InputContainer
from av.error import FFmpegError

from appliance.errors import DeviceError
from appliance.media.clock import Clock
from appliance.media.values import BLOCK_BYTES, SAMPLE_RATE, AudioBlock

from .ffmpeg_reason import reason_of
from .pace import BlockPace

# A shorter file is kept and repeated from memory: opening one sample 48,000 times a second is no microphone.
_SHORT_BYTES = 2 * SAMPLE_RATE
# Decoded at once, while the ones before are played: few trips to the thread, and time enough for a slow disk.
_BATCH_BLOCKS = 10
# A track of so many packets (20 s and more) without a sound is not worth the time; what comes after is left out.
_MOST_FRUITLESS_PACKETS = 1000


class FileAudioSource:
    """Decodes ahead in a thread. Damaged parts are left out; a file without any sound is a DeviceError."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._pace: BlockPace | None = None

    @property
    def xruns(self) -> int:
        return self._pace.skipped if self._pace else 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    async def __aiter__(self) -> AsyncIterator[AudioBlock]:
        blocks = looped_blocks(self._path)
        batch = await asyncio.to_thread(_take, blocks)
        # Opening may take its time: the pace begins with the first sound.
        pace = self._pace = BlockPace(self._clock)
        while True:
            following = asyncio.create_task(asyncio.to_thread(_take, blocks))
            try:
                for block in batch:
                    pts_ns, wait_s = pace.next()
                    await asyncio.sleep(wait_s)
                    yield AudioBlock(block, pts_ns)
                batch = await following
            finally:
                following.cancel()


def _take(blocks: Iterator[bytes]) -> list[bytes]:
    return list(itertools.islice(blocks, _BATCH_BLOCKS))


def looped_blocks(path: Path) -> Iterator[bytes]:
    """The file's sound in blocks of 20 ms, without end and without a seam where it begins again."""
    waiting = bytearray()
    short: bytes | None = None
    while True:
        length = 0
        begin = bytearray()
        for piece in _decoded(path) if short is None else (short,):
            length += len(piece)
            if length <= _SHORT_BYTES:
                begin += piece
            waiting += piece
            while len(waiting) >= BLOCK_BYTES:
                yield bytes(waiting[:BLOCK_BYTES])
                del waiting[:BLOCK_BYTES]
        if not length:
            raise _unusable(path, "it holds no sound that can be decoded")
        if short is None and length <= _SHORT_BYTES:
            short = bytes(begin) * -(-_SHORT_BYTES // length)


def _decoded(path: Path) -> Iterator[bytes]:
    """One pass over the file, as 48 kHz mono."""
    # FFmpeg would take addresses of networks and devices for names as well.
    if not path.is_file():
        raise _unusable(path, "there is no such file")
    try:
        with av.open(f"file:{path}", metadata_errors="ignore") as container:
            if not container.streams.audio:
                raise _unusable(path, "it has no sound track")
            resampler = _resampler()
            for frame in _frames(container):
                try:
                    pieces = resampler.resample(frame)
                except ValueError:
                    # The track changes its rate or channels on the way.
                    yield from _raw(resampler.resample(None))
                    resampler = _resampler()
                    pieces = resampler.resample(frame)
                yield from _raw(pieces)
            yield from _raw(resampler.resample(None))
    except (FFmpegError, OSError, ValueError) as error:
        raise _unusable(path, reason_of(error)) from error


def _frames(container: InputContainer) -> Iterator[AudioFrame]:
    """What can be decoded: damaged packets are left out, whatever FFmpeg calls it, and a damaged end is the end."""
    packets = container.demux(container.streams.audio[0])
    fruitless = 0
    while fruitless < _MOST_FRUITLESS_PACKETS:
        try:
            packet = next(packets, None)
        except (FFmpegError, OSError):
            return
        if packet is None:
            return
        fruitless += 1
        try:
            frames = packet.decode()
        except (FFmpegError, OSError):
            continue
        for frame in frames:
            fruitless = 0
            yield frame


def _resampler() -> AudioResampler:
    return AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE)


def _raw(frames: list[AudioFrame]) -> Iterator[bytes]:
    for frame in frames:
        yield bytes(frame.planes[0])[: 2 * frame.samples]


def _unusable(path: Path, reason: str) -> DeviceError:
    return DeviceError(f"the sound file {path} cannot be played: {reason}; choose another file", problem="sound-file")
