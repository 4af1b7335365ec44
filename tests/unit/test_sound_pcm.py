"""Loudness, volume, channels and edges of a block, and the record that a call is measured by."""

import math
from array import array
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.media.pcm import (
    FLOOR_DBFS,
    Volume,
    dbfs,
    fade_in,
    fade_out_from,
    last_sample,
    mean_square,
    to_mono,
    to_stereo,
)
from appliance.media.sound_tap import SoundTap
from appliance.media.values import BLOCK_NS, BLOCK_SAMPLES, SILENCE

values = st.integers(-32768, 32767)


def sine(amplitude: float, frequency: int = 1000) -> bytes:
    time = np.arange(BLOCK_SAMPLES) / 48_000
    return (amplitude * np.sin(2 * math.pi * frequency * time)).astype(np.int16).tobytes()


@pytest.mark.parametrize(("amplitude", "level"), [(32_767, -3.0), (3_277, -23.0), (328, -43.0)])
def test_a_sine_reads_its_level(amplitude: float, level: float) -> None:
    assert dbfs(mean_square(sine(amplitude))) == pytest.approx(level, abs=0.2)


def test_silence_reads_the_floor() -> None:
    assert dbfs(mean_square(SILENCE)) == FLOOR_DBFS
    assert dbfs(mean_square(b"")) == FLOOR_DBFS


@given(st.lists(values, min_size=1, max_size=100))
def test_what_goes_to_two_channels_comes_back_from_them(mono: list[int]) -> None:
    samples = array("h", mono).tobytes()
    assert to_mono(to_stereo(samples)) == samples


@given(st.lists(st.tuples(values, values), min_size=1, max_size=100))
def test_mixing_two_channels_never_overflows(frames: list[tuple[int, int]]) -> None:
    mixed = array("h", to_mono(array("h", [value for frame in frames for value in frame]).tobytes()))
    assert list(mixed) == [(left + right) // 2 for left, right in frames]


@given(st.lists(values, min_size=1, max_size=100), st.integers(-50, 200))
def test_volume_never_makes_louder_and_keeps_the_sign(samples: list[int], percent: int) -> None:
    quiet = array("h", Volume(percent).apply(array("h", samples).tobytes()))
    assert all(
        abs(after) <= abs(before) + 1 and after * before >= 0 for before, after in zip(samples, quiet, strict=True)
    )


def test_volume_is_even_to_the_ear() -> None:
    loud = sine(20_000)
    levels = [dbfs(mean_square(Volume(percent).apply(loud))) for percent in (100, 50, 25)]
    assert levels[0] - levels[1] == pytest.approx(18, abs=0.3)
    assert levels[1] - levels[2] == pytest.approx(18, abs=0.5)
    assert Volume(100).apply(loud) == loud
    assert Volume(0).apply(loud) == bytes(len(loud))


@given(values)
def test_an_end_fades_from_where_the_sound_was(value: int) -> None:
    block = array("h", fade_out_from(value))
    assert len(block) == BLOCK_SAMPLES
    assert not any(block[96:])
    assert abs(block[0] - value) <= abs(value) / 96 + 1


def test_a_begin_fades_in_and_leaves_the_rest() -> None:
    block = array("h", fade_in(b"\x00\x20" * BLOCK_SAMPLES))
    assert block[0] == 0
    assert list(block[:96]) == sorted(block[:96])
    assert set(block[96:]) == {0x2000}
    assert last_sample(block.tobytes()) == 0x2000
    assert last_sample(b"\x00\x00\xff\xff") == -1


def test_a_record_marks_its_beginning_and_each_hole(tmp_path: Path) -> None:
    tap = SoundTap(tmp_path, "mic")
    start_ns = 123_456_789_000
    for number in (0, 1, 2, 5, 6):
        tap.write(bytes([number, 0]) * BLOCK_SAMPLES, start_ns + number * BLOCK_NS)
    tap.close()
    samples = np.fromfile(tmp_path / "mic.s16le", np.int16)
    marks = np.fromfile(tmp_path / "mic.idx", np.int64).reshape(-1, 2)
    assert len(samples) == 5 * BLOCK_SAMPLES
    assert marks.tolist() == [[0, start_ns], [3 * BLOCK_SAMPLES, start_ns + 5 * BLOCK_NS]]


def test_the_samples_of_a_record_are_on_disk_before_their_marks(tmp_path: Path) -> None:
    tap = SoundTap(tmp_path, "speaker")
    for number in range(60):
        tap.write(SILENCE, number * 2 * BLOCK_NS)
        marks = np.fromfile(tmp_path / "speaker.idx", np.int64).reshape(-1, 2)
        assert not len(marks) or marks[-1][0] * 2 < (tmp_path / "speaker.s16le").stat().st_size
    tap.close()
