"""Speakers without a card keep the pace of one, and their file can be played whenever the process dies."""

import asyncio
import errno
import os
import signal
import subprocess
import sys
import wave
from pathlib import Path

import pytest

from appliance.errors import DeviceError
from appliance.media.clock import MediaClock
from appliance.media.values import BLOCK_NS, SILENCE, AudioBlock
from appliance.playout import speaker_file
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
