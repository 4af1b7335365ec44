"""Speakers without a card keep the pace of one, and their file can be played whenever the process dies."""

import asyncio
import errno
import os
import signal
import subprocess
import sys
import wave
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from appliance.errors import DeviceError
from appliance.media.clock import MediaClock
from appliance.media.values import BLOCK_NS, SILENCE, AudioBlock
from appliance.playout import speaker as speaker_module
from appliance.playout import speaker_file
from appliance.playout.far_sound import FarSound
from appliance.playout.speaker import Speaker
from appliance.playout.speaker_factory import open_speaker
from appliance.playout.speaker_file import FileSink
from appliance.playout.speaker_null import NullSink

BLOCK = AudioBlock(b"\x05\x00" * 960, 0)


async def test_the_null_speaker_takes_50_blocks_a_second_and_holds_20_to_40_ms() -> None:
    clock = MediaClock()
    heard, ahead = [], []
    async with NullSink(clock) as sink:
        for _ in range(12):
            heard.append(await sink.play(BLOCK))
            ahead.append(heard[-1] + BLOCK_NS - clock.now_ns())
        assert sink.xruns == 0
    assert heard == [heard[0] + n * BLOCK_NS for n in range(12)]
    assert all(0 < left_ns <= BLOCK_NS for left_ns in ahead)


async def test_a_speaker_that_was_left_dry_counts_it_and_goes_on() -> None:
    class Late(MediaClock):
        def now_ns(self) -> int:
            return super().now_ns() + late_ns

    late_ns = 0
    clock = Late()
    async with NullSink(clock) as sink:
        await sink.play(BLOCK)
        late_ns = 500_000_000
        heard_ns = await sink.play(BLOCK)
        assert sink.xruns == 1
        assert heard_ns >= clock.now_ns() - BLOCK_NS


async def test_the_file_holds_what_was_played(tmp_path: Path) -> None:
    async with FileSink(tmp_path / "out.wav", MediaClock()) as sink:
        for number in range(8):
            await sink.play(AudioBlock(number.to_bytes(2, "little") * 960, 0))
    with wave.open(str(tmp_path / "out.wav")) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (48_000, 1, 2)
        assert file.readframes(100_000) == b"".join(number.to_bytes(2, "little") * 960 for number in range(8))


async def test_the_file_is_whole_after_a_kill(tmp_path: Path) -> None:
    path = tmp_path / "out.wav"
    script = f"""
import asyncio
from pathlib import Path
from appliance.media.clock import MediaClock
from appliance.media.values import AudioBlock
from appliance.playout.speaker_file import FileSink
async def main():
    async with FileSink(Path({str(path)!r}), MediaClock()) as sink:
        print("open", flush=True)
        for number in range(1000):
            await sink.play(AudioBlock(b"\\x05\\x00" * 960, 0))
            if number == 60:
                print("played", flush=True)
asyncio.run(main())
"""
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process.stdout:
        assert process.stdout.readline() == "open\n"
        with wave.open(str(path)) as file:
            assert file.getnframes() == 0  # valid from the first moment
        assert process.stdout.readline() == "played\n"
        process.send_signal(signal.SIGKILL)
        process.wait()
    with wave.open(str(path)) as file:
        assert 25 * 960 <= file.getnframes() <= 60 * 960
        assert set(file.readframes(100_000)[::2]) == {5}


async def test_a_file_at_its_limit_begins_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speaker_file, "_CHUNK_BYTES", 2 * len(SILENCE))
    monkeypatch.setattr(speaker_file, "_MOST_DATA", 5 * len(SILENCE))
    async with FileSink(tmp_path / "out.wav", MediaClock()) as sink:
        for _ in range(12):
            await sink.play(BLOCK)
    with wave.open(str(tmp_path / "out.wav")) as file:
        assert 0 < file.getnframes() <= 5 * 960
    assert (tmp_path / "out.wav").stat().st_size <= 44 + 5 * len(SILENCE)


async def record(path: Path, level: int, blocks: int = 30) -> None:
    async with FileSink(path, MediaClock()) as sink:
        for _ in range(blocks):
            await sink.play(AudioBlock(level.to_bytes(2, "little") * 960, 0))


def levels_of(path: Path) -> list[int]:
    with wave.open(str(path)) as file:
        return list(file.readframes(10_000_000)[::1920])


async def test_a_recording_goes_on_when_the_file_is_opened_again(tmp_path: Path) -> None:
    await record(tmp_path / "out.wav", 1)
    await record(tmp_path / "out.wav", 2)
    assert levels_of(tmp_path / "out.wav") == [1] * 30 + [2] * 30
    assert (tmp_path / "out.wav").stat().st_size == 44 + 60 * len(SILENCE)


async def test_a_recording_goes_on_after_a_kill_where_its_header_ends(tmp_path: Path) -> None:
    path = tmp_path / "out.wav"
    await record(path, 1)
    with path.open("ab") as file:
        file.write(b"\x77" * 5001)
    await record(path, 2)
    assert levels_of(path) == [1] * 30 + [2] * 30


@pytest.mark.parametrize("content", [b"", b"RIFF", b"no sound" * 100, b"\xff" * 44, speaker_file.wav_header(5000)])
async def test_what_is_no_whole_recording_begins_anew(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "out.wav"
    path.write_bytes(content)
    await record(path, 3)
    assert levels_of(path) == [3] * 30


class SmallDisk:
    """A file system with room for so many bytes of one file."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, room: int) -> None:
        self.room = room
        pwrite, allocate = os.pwrite, os.posix_fallocate

        def write(descriptor: int, data: bytes, offset: int) -> int:
            self._check(offset + len(data))
            return pwrite(descriptor, data, offset)

        def reserve(descriptor: int, offset: int, length: int) -> None:
            self._check(offset + length)
            allocate(descriptor, offset, length)

        monkeypatch.setattr(speaker_file.os, "pwrite", write)
        monkeypatch.setattr(speaker_file.os, "posix_fallocate", reserve)

    def _check(self, end: int) -> None:
        if end > self.room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


async def test_a_full_disk_is_one_problem_until_there_is_room_and_costs_nothing_recorded_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(speaker_file, "_CHUNK_BYTES", 2 * len(SILENCE))
    monkeypatch.setattr(speaker_module, "REOPEN_BLOCKS", 2)
    path, clock = tmp_path / "out.wav", MediaClock()
    disk = SmallDisk(monkeypatch, 44 + 1_000_000)
    opened, problems = 0, []

    def open_sink() -> FileSink:
        nonlocal opened
        opened += 1
        return FileSink(path, clock)

    def answer(heard_ns: int) -> bool:
        asyncio.get_running_loop().call_soon(far.answer, b"\x05\x00" * 960, heard_ns)
        return True

    far = FarSound(answer, clock)
    speaker = Speaker(
        open_sink,
        far,
        clock,
        volume_percent=100,
        on_heard=lambda samples, heard_ns: None,
        on_problem=lambda: problems.append(speaker.problem and speaker.problem.problem),
    )

    async def until(seen: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not seen():
                await asyncio.sleep(0.01)

    playing = asyncio.create_task(speaker.run())
    try:
        await until(lambda: path.exists() and len(levels_of(path)) > 4)
        disk.room = 44 + len(levels_of(path)) * len(SILENCE)
        await until(lambda: opened >= 5)
        recorded = len(levels_of(path))
        assert recorded > 4
        assert problems == ["speaker-missing"]
        disk.room = 10_000_000
        await until(lambda: len(levels_of(path)) > recorded + 4)
        assert problems == ["speaker-missing", None]
    finally:
        playing.cancel()
        with suppress(asyncio.CancelledError):
            await playing


@pytest.mark.parametrize("where", ["no/such/folder/out.wav", ".", "pipe"])
async def test_a_file_that_cannot_be_made_is_an_error(where: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DeviceError, match="cannot be written") as caught:
        async with FileSink(tmp_path / where, MediaClock()):
            pass
    assert caught.value.problem == "speaker-missing"


@pytest.fixture
def disk_that_fills(monkeypatch: pytest.MonkeyPatch) -> None:
    """Has room for the header alone."""
    pwrite = os.pwrite

    def full(descriptor: int, data: bytes, offset: int) -> int:
        if len(data) > 44:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return pwrite(descriptor, data, offset)

    monkeypatch.setattr(speaker_file.os, "pwrite", full)
    monkeypatch.setattr(speaker_file, "_CHUNK_BYTES", len(SILENCE))


async def play_on(path: Path, playing: asyncio.Event) -> None:
    async with FileSink(path, MediaClock()) as sink:
        while True:
            await sink.play(BLOCK)
            playing.set()


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.usefixtures("disk_that_fills")
async def test_a_full_disk_is_an_error_and_leaves_no_descriptor(tmp_path: Path) -> None:
    before = open_descriptors()
    with pytest.raises(DeviceError, match="No space left"):
        await play_on(tmp_path / "out.wav", asyncio.Event())
    assert open_descriptors() == before


@pytest.mark.usefixtures("disk_that_fills")
async def test_a_full_disk_does_not_keep_the_worker_from_ending(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(speaker_file, "_CHUNK_BYTES", 100 * len(SILENCE))
    started = asyncio.Event()
    playing = asyncio.create_task(play_on(tmp_path / "out.wav", started))
    await started.wait()
    playing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await playing


def test_the_factory_gives_what_the_settings_name(tmp_path: Path) -> None:
    audio = {"output_file": str(tmp_path / "x.wav"), "output_device": "default"}
    kinds = {"null": "NullSink", "file": "FileSink", "alsa": "AlsaSink"}
    assert {kind: type(open_speaker(audio | {"sink": kind}, MediaClock())).__name__ for kind in kinds} == kinds
    with pytest.raises(ValueError, match="unknown sound output"):
        open_speaker(audio | {"sink": "horn"}, MediaClock())
