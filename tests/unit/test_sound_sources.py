"""Microphones that are none: the beep, and sound files of all kinds."""

import asyncio
import itertools
import wave
from array import array
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest

from appliance.capture.audio_factory import open_microphone
from appliance.capture.file_audio import FileAudioSource, _frames, looped_blocks
from appliance.capture.tone import ToneSource
from appliance.errors import DeviceError
from appliance.media.clock import MediaClock
from appliance.media.soundmark import find_beeps
from appliance.media.values import BLOCK_BYTES, BLOCK_NS, BLOCK_SAMPLES, SAMPLE_RATE, SILENCE

from .sound_fakes import TurnedClock
from .sound_makers import speech, write_wav

NS = 1_000_000_000


def samples_of(blocks: Iterator[bytes], count: int) -> np.ndarray:
    return np.frombuffer(b"".join(itertools.islice(blocks, count)), np.int16)


def test_the_beep_begins_on_the_whole_second_and_nowhere_else() -> None:
    tone = ToneSource(TurnedClock())
    line = np.frombuffer(b"".join(tone.block_at(77 * NS + n * BLOCK_NS) for n in range(150)), np.int16)
    for second in range(3):
        begin = second * SAMPLE_RATE
        assert line[begin] == 0
        assert np.abs(line[begin + 1 : begin + 200]).max() > 3000
        assert not line[begin + 4800 : begin + SAMPLE_RATE].any()
    assert [abs(at - n * SAMPLE_RATE) <= 48 for n, at in enumerate(find_beeps(line))] == [True] * 3


@pytest.mark.parametrize("early_ns", [1, 5_000_000, 19_999_999])
def test_a_block_that_lies_across_the_second_holds_the_beep_at_the_right_sample(early_ns: int) -> None:
    tone = ToneSource(TurnedClock())
    block = array("h", tone.block_at(9 * NS - early_ns))
    whole = array("h", tone.block_at(9 * NS))
    lead = early_ns * SAMPLE_RATE // NS
    assert not any(block[:lead])
    assert block[lead : lead + 1] == array("h", [0])
    assert block[lead + 1 : lead + 1 + 100] == whole[1 : min(101, BLOCK_SAMPLES - lead)]


async def test_a_tone_comes_in_real_time_each_block_when_it_is_complete() -> None:
    clock = MediaClock()
    async with ToneSource(clock) as source:
        late = []
        times = []
        async for block in source:
            late.append(clock.now_ns() - block.pts_ns - BLOCK_NS)
            times.append(block.pts_ns)
            assert len(block.samples) == BLOCK_BYTES
            if len(times) == 10:
                break
    assert min(late) >= 0
    assert times == [times[0] + n * BLOCK_NS for n in range(10)]
    assert times[0] % BLOCK_NS == 0


def test_a_file_is_looped_without_a_seam(tmp_path: Path) -> None:
    ramp = np.arange(100_007).astype(np.int16)
    got = samples_of(looped_blocks(write_wav(tmp_path / "ramp.wav", ramp)), 300)
    assert (got == np.tile(ramp, 3)[: len(got)]).all()


def test_a_file_of_one_sample_is_a_microphone_too(tmp_path: Path) -> None:
    got = samples_of(looped_blocks(write_wav(tmp_path / "one.wav", np.array([7], np.int16))), 100)
    assert (got == 7).all()


@pytest.mark.parametrize(("rate", "channels"), [(8_000, 1), (44_100, 2), (96_000, 1)])
def test_any_rate_and_channels_become_48_khz_mono(rate: int, channels: int, tmp_path: Path) -> None:
    time = np.arange(2 * rate) / rate
    sine = (8000 * np.sin(2 * np.pi * 440 * time)).astype(np.int16).repeat(channels)
    got = samples_of(looped_blocks(write_wav(tmp_path / "sine.wav", sine, rate, channels)), 90)
    spectrum = np.abs(np.fft.rfft(got.astype(float)))
    assert abs(np.argmax(spectrum) * SAMPLE_RATE / len(got) - 440) < 1
    assert 5000 < np.abs(got).max() < 9000


def test_opus_in_ogg_plays(tmp_path: Path) -> None:
    path = tmp_path / "speech.ogg"
    sound = speech(2)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libopus", rate=SAMPLE_RATE, layout="mono")
        for begin in range(0, len(sound) - BLOCK_SAMPLES + 1, BLOCK_SAMPLES):
            frame = av.AudioFrame.from_ndarray(sound[None, begin : begin + BLOCK_SAMPLES], format="s16", layout="mono")
            frame.sample_rate, frame.pts = SAMPLE_RATE, begin
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    got = samples_of(looped_blocks(path), 90).astype(float)
    assert np.corrcoef(got[4800:80_000], sound[4800:80_000])[0, 1] > 0.5 or np.abs(got).max() > 3000


def test_a_damaged_file_plays_as_far_as_it_can(tmp_path: Path) -> None:
    path = tmp_path / "broken.flac"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("flac", rate=SAMPLE_RATE, layout="mono")
        frame = av.AudioFrame.from_ndarray(speech(3)[None, :], format="s16", layout="mono")
        frame.sample_rate = SAMPLE_RATE
        for part in (frame, None):
            container.mux(stream.encode(part))
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2 : len(raw) // 2 + 3000] = bytes(3000)
    path.write_bytes(raw[: -len(raw) // 5])
    assert np.abs(samples_of(looped_blocks(path), 400)).max() > 1000


class Damaged:
    """A packet that a decoder refuses."""

    def __init__(self, error: type[Exception]) -> None:
        self._error = error

    def decode(self) -> list[Any]:
        raise self._error(1, "Operation not permitted")


class Film:
    """A container with real packets, and damaged ones among them."""

    def __init__(self, path: Path, *damaged: Damaged) -> None:
        with av.open(str(path)) as container:
            self._packets = list(container.demux(container.streams.audio[0]))
        self._damaged = damaged
        self.streams = SimpleNamespace(audio=[None])

    def demux(self, track: object) -> Iterator[Any]:
        return iter((*self._packets[:2], *self._damaged, *self._packets[2:-1]))


@pytest.mark.parametrize("error", [av.error.PermissionError, av.error.InvalidDataError, av.error.BlockingIOError])
def test_damage_in_the_middle_is_left_out_whatever_ffmpeg_calls_it(error: type[Exception], tmp_path: Path) -> None:
    path = write_wav(tmp_path / "speech.wav", speech(2))
    whole, damaged = (sum(f.samples for f in _frames(Film(path, *packets))) for packets in ([], [Damaged(error)] * 40))
    assert damaged == whole > SAMPLE_RATE


def test_a_track_that_is_damage_alone_ends(tmp_path: Path) -> None:
    path = write_wav(tmp_path / "speech.wav", speech(2))
    film = Film(path, *[Damaged(av.error.PermissionError)] * 5000)
    assert 0 < sum(frame.samples for frame in _frames(film)) < SAMPLE_RATE


@pytest.mark.parametrize("content", [None, b"", b"not a sound file" * 500, b"RIFF\xff\xff\xff\xffWAVEfmt "])
def test_what_is_no_sound_file_is_one_clear_error(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "sound.wav"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DeviceError, match=r"cannot be played.*choose another file") as caught:
        next(looped_blocks(path))
    assert caught.value.problem == "sound-file"


def test_a_file_without_a_single_sample_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match="holds no sound"):
        next(looped_blocks(write_wav(tmp_path / "empty.wav", np.zeros(0, np.int16))))


def test_addresses_and_devices_are_not_opened_as_files() -> None:
    for name in ("http://127.0.0.1:9/x.wav", "/dev/zero", "concat:/etc/passwd", "/"):
        with pytest.raises(DeviceError, match="there is no such file"):
            next(looped_blocks(Path(name)))


async def test_a_file_plays_in_real_time(tmp_path: Path) -> None:
    clock = MediaClock()
    write_wav(tmp_path / "ramp.wav", np.arange(1, 48_001).astype(np.int16))
    async with FileAudioSource(tmp_path / "ramp.wav", clock) as source:
        blocks = []
        async for block in source:
            assert clock.now_ns() >= block.pts_ns + BLOCK_NS
            blocks.append(block)
            if len(blocks) == 5:
                break
    assert [block.pts_ns - blocks[0].pts_ns for block in blocks] == [n * BLOCK_NS for n in range(5)]
    assert array("h", b"".join(block.samples for block in blocks)) == array("h", range(1, 4801))
    assert source.xruns == 0


async def test_a_file_that_vanishes_ends_the_source_with_its_problem(tmp_path: Path) -> None:
    async with FileAudioSource(tmp_path / "gone.wav", MediaClock()) as source:
        with pytest.raises(DeviceError, match="there is no such file"):
            await asyncio.wait_for(anext(aiter(source)), 5)


def test_the_factory_gives_what_the_settings_name(tmp_path: Path) -> None:
    audio = {"source": "tone", "input_file": str(tmp_path / "x"), "input_device": "default"}
    kinds = {kind: type(open_microphone(audio | {"source": kind}, MediaClock())).__name__ for kind in _SOURCES}
    assert kinds == _SOURCES
    with pytest.raises(ValueError, match="unknown sound source"):
        open_microphone(audio | {"source": "parrot"}, MediaClock())


_SOURCES = {"tone": "ToneSource", "file": "FileAudioSource", "alsa": "AlsaSource"}


def test_wav_of_the_tests_is_read_back(tmp_path: Path) -> None:
    write_wav(tmp_path / "a.wav", np.frombuffer(SILENCE, np.int16))
    with wave.open(str(tmp_path / "a.wav")) as file:
        assert file.getnframes() == BLOCK_SAMPLES
