"""The encoder: what goes on the line is what was asked for, in form, size and rate."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import av
import numpy as np
import pytest

from appliance.capture.annexb import NAL_IDR, NAL_PPS, NAL_SEI, NAL_SPS, is_constrained_baseline, nal_types, nal_units
from appliance.capture.pictures import black_frame, planes_of
from appliance.capture.x264 import X264Encoder
from appliance.media.clock import NS_PER_S
from appliance.media.values import EncodedFrame

WIDTH, HEIGHT = 640, 360


class Camera:
    """A moving, slightly noisy picture: what rate control has to work for."""

    def __init__(self) -> None:
        rng = np.random.default_rng(1)
        coarse = rng.integers(30, 220, (HEIGHT // 40, WIDTH // 40)).astype(np.uint8)
        smooth = (
            av.VideoFrame.from_ndarray(coarse, "gray").reformat(WIDTH, HEIGHT, interpolation="BICUBIC").to_ndarray()
        )
        texture = np.cumsum(rng.normal(0, 3, (HEIGHT, WIDTH)), 1) % 24
        self._scene = (smooth + texture).clip(16, 235).astype(np.int16)
        self._noise = [rng.normal(0, 4, (HEIGHT, WIDTH)).astype(np.int16) for _ in range(5)]
        self._frame = black_frame(WIDTH, HEIGHT)
        self._number = 0

    def take(self) -> av.VideoFrame:
        self._number += 1
        luma, _, _ = planes_of(self._frame)
        luma[:] = np.roll(self._scene, self._number * 2, 1) + self._noise[self._number % 5]
        return self._frame


class Recording:
    """An encoder fed by the camera at a frame rate; its time runs only here."""

    def __init__(self, bps: int, keyframe_interval_s: int = 60) -> None:
        self.encoder = X264Encoder(WIDTH, HEIGHT, 30, bps, keyframe_interval_s)
        self._camera = Camera()
        self.now_ns = 5_000 * NS_PER_S

    def record(self, seconds: float, fps: int = 30) -> list[EncodedFrame]:
        frames = []
        for _ in range(round(seconds * fps)):
            self.now_ns += NS_PER_S // fps
            frame = self.encoder.encode(self._camera.take(), self.now_ns)
            assert frame is not None
            frames.append(frame)
        return frames


def bits(frames: list[EncodedFrame]) -> int:
    return sum(len(frame.data) for frame in frames) * 8


def decoded(frames: list[EncodedFrame]) -> Iterator[av.VideoFrame]:
    decoder: Any = av.CodecContext.create("h264", "r")
    for frame in frames:
        yield from decoder.decode(av.Packet(frame.data))
    yield from decoder.decode(None)


def test_the_stream_is_constrained_baseline_in_annex_b_without_reordering() -> None:
    frames = Recording(500_000).record(2)
    first = frames[0]
    assert first.data.startswith(b"\x00\x00\x00\x01")
    assert [kind for kind in nal_types(first.data) if kind != NAL_SEI] == [NAL_SPS, NAL_PPS, NAL_IDR]
    sps = next(unit for unit in nal_units(first.data) if unit[0] & 0x1F == NAL_SPS)
    assert is_constrained_baseline(sps)
    assert sps[3] == 31
    assert [frame.is_keyframe for frame in frames] == [True] + [False] * 59
    assert all(nal_types(frame.data) == [1] for frame in frames[1:])
    pictures = list(decoded(frames))
    assert len(pictures) == 60
    assert {av.video.frame.PictureType(picture.pict_type).name for picture in pictures} == {"I", "P"}


def test_each_picture_comes_out_at_once_and_keeps_its_capture_time() -> None:
    recording = Recording(500_000)
    decoder: Any = av.CodecContext.create("h264", "r")
    decoder.thread_type = "SLICE"
    for _ in range(5):
        frame = recording.record(1 / 30)[0]
        assert frame.pts_ns == recording.now_ns
        assert len(decoder.decode(av.Packet(frame.data))) == 1


def test_a_requested_keyframe_is_an_idr_with_its_headers() -> None:
    recording = Recording(500_000)
    recording.record(1)
    recording.now_ns += NS_PER_S // 30
    frame = recording.encoder.encode(Camera().take(), recording.now_ns, keyframe=True)
    assert frame is not None
    assert frame.is_keyframe
    assert nal_types(frame.data) == [NAL_SPS, NAL_PPS, NAL_IDR]
    assert recording.record(0.5)[0].is_keyframe is False
    assert recording.encoder.openings == 1


@pytest.mark.parametrize("fps", [30, 7])
def test_keyframes_come_by_time_at_any_frame_rate(fps: int) -> None:
    frames = Recording(500_000, keyframe_interval_s=2).record(6.5, fps)
    times = [frame.pts_ns for frame in frames if frame.is_keyframe]
    assert len(times) == 4
    assert all(2.0 <= (after - before) / NS_PER_S < 2.2 for before, after in pairwise(times))


def test_the_bit_rate_follows_large_and_small_steps() -> None:
    recording = Recording(800_000)
    recording.record(2)
    for bps in (800_000, 700_000, 250_000, 230_000, 900_000, 1_800_000):
        recording.encoder.set_bitrate(bps)
        recording.record(2)
        assert bits(recording.record(2)) / 2 == pytest.approx(bps, rel=0.2)


def test_a_small_step_down_costs_no_keyframe_and_a_large_one_begins_with_one() -> None:
    recording = Recording(800_000)
    recording.record(1)
    recording.encoder.set_bitrate(720_000)
    assert not any(frame.is_keyframe for frame in recording.record(1))
    recording.encoder.set_bitrate(300_000)
    assert [frame.is_keyframe for frame in recording.record(0.2)] == [True] + [False] * 5


def test_raises_in_quick_succession_are_gathered_into_one() -> None:
    recording = Recording(300_000)
    recording.record(3)
    keyframes = 0
    for step in range(20):
        recording.encoder.set_bitrate(320_000 + step * 20_000)
        keyframes += sum(frame.is_keyframe for frame in recording.record(0.2))
    assert 1 <= keyframes <= 2
    recording.record(2)
    assert bits(recording.record(2)) / 2 == pytest.approx(700_000, rel=0.2)


def test_the_bit_rate_stays_when_the_frame_rate_changes() -> None:
    recording = Recording(600_000)
    recording.record(2)
    for fps in (10, 30, 5):
        recording.encoder.set_framerate(fps)
        recording.record(2, fps)
        assert bits(recording.record(3, fps)) / 3 == pytest.approx(600_000, rel=0.2)


def test_no_frame_is_larger_than_half_a_second_of_the_line() -> None:
    recording = Recording(400_000, keyframe_interval_s=1)
    for bps in (400_000, 150_000, 1_000_000):
        recording.encoder.set_bitrate(bps)
        recording.record(2)
        assert max(bits([frame]) for frame in recording.record(3)) <= bps * 0.5


def test_pictures_that_are_not_newer_are_left_out() -> None:
    encoder = X264Encoder(WIDTH, HEIGHT, 30, 500_000, 10)
    camera = Camera()
    assert encoder.encode(camera.take(), 2_000_000) is not None
    assert encoder.encode(camera.take(), 2_000_000) is None
    assert encoder.encode(camera.take(), 1_000_000) is None
    assert encoder.encode(camera.take(), 3_000_000) is not None


@pytest.mark.parametrize(
    ("width", "height", "fps", "level"),
    [(160, 90, 5, 31), (1280, 720, 30, 31), (1920, 1080, 30, 40), (1280, 720, 60, 40)],
)
def test_the_level_is_true_for_the_size(width: int, height: int, fps: int, level: int) -> None:
    frame = X264Encoder(width, height, fps, 1_000_000, 10).encode(black_frame(width, height), NS_PER_S)
    assert frame is not None
    sps = next(unit for unit in nal_units(frame.data) if unit[0] & 0x1F == NAL_SPS)
    assert sps[3] == level


def test_the_stream_says_what_its_colours_are() -> None:
    frame = Recording(800_000).record(0.1)[0]
    decoder: Any = av.CodecContext.create("h264", "r")
    decoder.thread_type = "SLICE"
    (picture,) = decoder.decode(av.Packet(frame.data))
    # BT.601's matrix in limited range, BT.709's primaries and transfer (H.264 tables E-3 to E-5).
    assert (picture.colorspace, picture.color_range) == (6, 1)
    assert (decoder.color_primaries, decoder.color_trc) == (1, 1)
