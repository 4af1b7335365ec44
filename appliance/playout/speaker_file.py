"""A speaker that writes a WAV file, whose header is right whenever the process is killed."""

import asyncio
import os
import struct
from pathlib import Path
from types import TracebackType
from typing import Self

from appliance.errors import DeviceError
from appliance.media.clock import Clock
from appliance.media.values import BLOCK_BYTES, SAMPLE_RATE, AudioBlock

from .speaker_null import NullSink

_HEADER_BYTES = 44
# Twice a second the file grows by this, and its header says so afterwards: what it says is always there.
_CHUNK_BYTES = 25 * BLOCK_BYTES
# A disk that takes nothing for this long (10 s) is a failed one.
_MOST_WAITING = 20 * _CHUNK_BYTES
# The header's sizes have 32 bits. At half of that (6 hours) the file begins anew.
_MOST_DATA = 2**31


def wav_header(data_bytes: int) -> bytes:
    """The header of a WAV file: PCM, 48 kHz, one channel, 16 bit."""
    return struct.pack(
        "<4sI4s4sIHHIIHH4sI",
        b"RIFF",
        _HEADER_BYTES - 8 + data_bytes,
        b"WAVE",
        b"fmt ",
        16,
        1,
        1,
        SAMPLE_RATE,
        2 * SAMPLE_RATE,
        2,
        16,
        b"data",
        data_bytes,
    )


def recorded_bytes(descriptor: int) -> int | None:
    """How many bytes of sound a file of ours holds; None for one that is not."""
    size = os.fstat(descriptor).st_size
    header = os.pread(descriptor, _HEADER_BYTES, 0)
    length = int.from_bytes(header[-4:], "little")
    if not length <= min(size - _HEADER_BYTES, _MOST_DATA) or header != wav_header(length):
        return None
    return length


class FileSink(NullSink):
    """Paced as the null sink; written in a thread, so that a slow disk holds up no sound.

    A recording that is there goes on: a restarted worker or a full disk must not cost what was recorded before.
    """

    def __init__(self, path: Path, clock: Clock) -> None:
        super().__init__(clock)
        self._path = path
        self._file = -1
        self._written = 0
        self._waiting = bytearray()
        self._writing: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(self._create)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self._writing is not None:
                await self._writing
            await asyncio.to_thread(self._finish, bytes(self._waiting))
        except DeviceError:
            # What ends the sink (a cancellation above all) must not be replaced by what the disk says to it.
            if error is None:
                raise
        finally:
            os.close(self._file)

    async def play(self, block: AudioBlock) -> int:
        self._waiting += block.samples
        if self._writing is not None and self._writing.done():
            self._writing.result()
            self._writing = None
        if len(self._waiting) >= _CHUNK_BYTES and self._writing is None:
            self._writing = asyncio.create_task(asyncio.to_thread(self._append, bytes(self._waiting)))
            self._waiting.clear()
        if len(self._waiting) > _MOST_WAITING:
            raise self._error("the disk takes nothing")
        return await super().play(block)

    def _create(self) -> None:
        try:
            # O_NONBLOCK: a named pipe without a reader is an error, not a thread that waits.
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK
            self._file = os.open(self._path, flags, 0o644)
        except OSError as error:
            raise self._error(error.strerror) from error
        try:
            recorded = recorded_bytes(self._file)
            if recorded is None:
                os.ftruncate(self._file, 0)
                os.pwrite(self._file, wav_header(0), 0)
            self._written = recorded or 0
            # A full disk must be seen here: it would take the first blocks, fail, be opened again, take some more ...
            os.posix_fallocate(self._file, _HEADER_BYTES + self._written, _MOST_WAITING)
        except OSError as error:
            os.close(self._file)
            raise self._error(error.strerror) from error

    def _append(self, samples: bytes) -> None:
        try:
            if self._written + len(samples) > _MOST_DATA:
                os.pwrite(self._file, wav_header(0), 0)
                os.ftruncate(self._file, _HEADER_BYTES)
                self._written = 0
            done = 0
            while done < len(samples):
                done += os.pwrite(self._file, samples[done:], _HEADER_BYTES + self._written + done)
            self._written += len(samples)
            os.pwrite(self._file, wav_header(self._written), 0)
        except OSError as error:
            raise self._error(error.strerror) from error

    def _finish(self, samples: bytes) -> None:
        self._append(samples)
        os.ftruncate(self._file, _HEADER_BYTES + self._written)

    def _error(self, reason: str | None) -> DeviceError:
        return DeviceError(
            f"the sound file {self._path} cannot be written: {reason}; choose another file or make room",
            problem="speaker-missing",
        )
