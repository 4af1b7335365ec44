"""USB cameras. No camera is at hand here: a fake stands where PyAV opens the device, and gives real coded streams.

Only the first tests reach Linux's own V4L2 code, with what is no camera.
"""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from appliance.capture.annexb import NAL_IDR, NAL_PPS, NAL_SPS, is_constrained_baseline, nal_types, nal_units
from appliance.capture.pictures import Picture, planes_of
from appliance.capture.v4l2 import V4l2Source
from appliance.capture.v4l2_controls import CameraControls
from appliance.errors import DeviceError
from appliance.media import timecode
from appliance.media.clock import NS_PER_S, MediaClock
from appliance.media.values import EncodedFrame

from .fake_v4l2 import FakeCamera
from .video_doubles import Decoder, a_config


@contextmanager
def plugged_in(camera: FakeCamera, **changes: Any) -> Iterator[V4l2Source]:
    config = a_config(**{"source": "v4l2", "time_code": True} | changes)
    source = V4l2Source(config, MediaClock(), open_device=camera.open, open_controls=camera.controls)
    try:
        yield source
    finally:
        source.close()
        source._thread.join(2)
        assert source.is_released
        assert all(container.is_closed for container in camera.opened)


def next_shot(source: V4l2Source, seconds: float = 4) -> Picture | EncodedFrame:
    end_ns = MediaClock().now_ns() + int(seconds * NS_PER_S)
    while MediaClock().now_ns() < end_ns:
        if (shot := source.read()) is not None:
            return shot
    raise AssertionError("the camera gave nothing")


def pictures(source: V4l2Source, count: int) -> list[Picture]:
    taken = [next_shot(source) for _ in range(count)]
    assert all(isinstance(shot, Picture) for shot in taken)
    return [shot for shot in taken if isinstance(shot, Picture)]


def encoded(source: V4l2Source, count: int) -> list[EncodedFrame]:
    taken = [next_shot(source) for _ in range(count)]
    assert all(isinstance(shot, EncodedFrame) for shot in taken)
    return [shot for shot in taken if isinstance(shot, EncodedFrame)]


# With Linux's own Video4Linux code


@pytest.mark.parametrize(
    ("device", "words"), [("/dev/video-that-is-not-there", "check its cable"), ("/dev/null", "is not a camera")]
)
def test_what_is_no_camera_is_named(device: str, words: str) -> None:
    source = V4l2Source(a_config(device=device), MediaClock())
    with pytest.raises(DeviceError, match=words) as caught:
        next_shot(source)
    assert caught.value.problem == "camera-missing"
    source.close()
    assert source.is_released


def test_controls_of_what_is_no_camera_say_no() -> None:
    for device in ("/dev/null", "/dev/video-that-is-not-there"):
        controls = CameraControls(device)
        assert not controls.force_keyframe()
        assert not controls.set_bitrate(500_000)
        controls.close()
        controls.close()


# With the fake


@pytest.mark.parametrize("pixel_format", ["mjpeg", "yuyv422", "h264"])
def test_every_format_gives_pictures(pixel_format: str, tmp_path: Path) -> None:
    camera = FakeCamera(tmp_path, {pixel_format: {(640, 360): 30}})
    with plugged_in(camera, width=640, height=360) as source:
        for picture in pictures(source, 3):
            assert (picture.frame.width, picture.frame.height, picture.frame.format.name) == (640, 360, "yuv420p")
            assert timecode.read(planes_of(picture.frame)[0]) is not None


def test_the_kernels_time_stamp_is_the_capture_time(tmp_path: Path) -> None:
    camera = FakeCamera(tmp_path, {"mjpeg": {(640, 360): 30}})
    with plugged_in(camera, width=640, height=360) as source:
        picture = pictures(source, 3)[-1]
        age_ns = MediaClock().now_ns() - picture.captured_ns
        assert 20_000_000 <= age_ns < 60_000_000


@pytest.mark.parametrize("age_ns", [None, 100 * NS_PER_S, -NS_PER_S])
def test_a_driver_without_a_sound_clock_is_stamped_on_arrival(age_ns: int | None, tmp_path: Path) -> None:
    camera = FakeCamera(tmp_path, {"mjpeg": {(640, 360): 30}})
    camera.stamps_ns = age_ns
    with plugged_in(camera, width=640, height=360) as source:
        picture = pictures(source, 2)[-1]
        assert 0 <= MediaClock().now_ns() - picture.captured_ns < 50_000_000


def test_large_pictures_are_taken_as_mjpeg_and_small_ones_uncompressed(tmp_path: Path) -> None:
    sizes = {(1280, 720): 30, (640, 360): 30}
    camera = FakeCamera(tmp_path, {"mjpeg": sizes, "yuyv422": sizes})
    with plugged_in(camera, width=1280, height=720) as source:
        pictures(source, 1)
    with plugged_in(camera, width=640, height=360) as source:
        pictures(source, 1)
    assert camera.asked == ["mjpeg", "yuyv422"]


def test_a_slow_uncompressed_mode_gives_way_to_a_smaller_fast_one(tmp_path: Path) -> None:
    camera = FakeCamera(tmp_path, {"yuyv422": {(1280, 720): 10, (640, 480): 30}})
    with plugged_in(camera, width=1280, height=720) as source:
        luma = planes_of(pictures(source, 1)[0].frame)[0]
        assert luma.shape == (720, 1280)
        assert (luma[:, :150] == 16).all()  # 4:3 between bars
    assert camera.given[-1] == (640, 480)


def test_a_camera_with_slow_modes_only_is_still_used(tmp_path: Path) -> None:
    camera = FakeCamera(tmp_path, {"yuyv422": {(640, 360): 10}})
    with plugged_in(camera, width=640, height=360) as source:
        pictures(source, 2)


def test_more_pictures_than_wanted_are_thinned_evenly(tmp_path: Path) -> None:
    camera = FakeCamera(tmp_path, {"mjpeg": {(640, 360): 30}})
    with plugged_in(camera, width=640, height=360) as source:
        pictures(source, 2)
        source.set_framerate(10)
        pictures(source, 1)
        taken = pictures(source, 8)
        assert 0.6 <= (taken[-1].captured_ns - taken[0].captured_ns) / NS_PER_S <= 0.95


def test_an_unplugged_camera_is_missing(tmp_path: Path) -> None:
    camera = FakeCamera(tmp_path, {"mjpeg": {(640, 360): 30}})
    with plugged_in(camera, width=640, height=360) as source:
        pictures(source, 2)
        camera.unplugged.set()
        with pytest.raises(DeviceError, match="check its cable") as caught:
            [next_shot(source) for _ in range(5)]
        assert caught.value.problem == "camera-missing"


def test_a_camera_that_stops_giving_pictures_is_missing(tmp_path: Path) -> None:
    camera = FakeCamera(tmp_path, {"mjpeg": {(640, 360): 30}})
    with plugged_in(camera, width=640, height=360) as source:
        pictures(source, 2)
        camera.paused.set()
        with pytest.raises(DeviceError, match="gives no pictures") as caught:
            [next_shot(source) for _ in range(5)]
        assert caught.value.problem == "camera-missing"
        camera.paused.clear()


@pytest.mark.parametrize(
    ("number", "problem", "words"),
    [
        (errno.EBUSY, "camera-busy", "in use by another program"),
        (errno.ENODEV, "camera-missing", "check its cable"),
        (errno.EACCES, "camera-missing", "group 'video'"),
        (errno.EINVAL, "camera-missing", "no picture format"),
    ],
)
def test_a_camera_that_cannot_be_opened_says_why(number: int, problem: str, words: str, tmp_path: Path) -> None:
    camera = FakeCamera(tmp_path, {})
    camera.open_error = number
    with plugged_in(camera) as source:
        with pytest.raises(DeviceError, match=words) as caught:
            next_shot(source)
        assert caught.value.problem == problem


def test_spoiled_pictures_now_and_then_are_left_out(tmp_path: Path) -> None:
    camera = FakeCamera(tmp_path, {"mjpeg": {(640, 360): 30}})
    with plugged_in(camera, width=640, height=360) as source:
        pictures(source, 1)
    path = next(tmp_path.glob("mjpeg*"))
    data = path.read_bytes()
    start = data.index(b"\xff\xd8\xff", len(data) // 2)
    path.write_bytes(data[:start] + bytes(600) + data[start + 600 :])
    with plugged_in(camera, width=640, height=360) as source:
        pictures(source, 50)


# H.264 from the camera


def test_the_cameras_own_h264_is_passed_on_as_it_is(tmp_path: Path) -> None:
    camera = FakeCamera(tmp_path, {"h264": {(640, 360): 30}, "mjpeg": {(640, 360): 30}})
    with plugged_in(camera, width=640, height=360, time_code=False, bitrate_kbps=8000) as source:
        frames = encoded(source, 25)
        assert [frame.is_keyframe for frame in frames[:11]] == [True] + [False] * 9 + [True]
        for frame in frames:
            if frame.is_keyframe:
                assert {NAL_SPS, NAL_PPS, NAL_IDR} <= set(nal_types(frame.data))
        numbers = [code.time_ms for code in Decoder().codes(frames) if code is not None]
        assert numbers == list(range(25))
    assert camera.asked == ["h264"]
    assert camera.bitrates == [8_000_000]


def test_a_keyframe_request_reaches_the_camera(tmp_path: Path) -> None:
    camera = FakeCamera(tmp_path, {"h264": {(640, 360): 30}})
    with plugged_in(camera, width=640, height=360, time_code=False, bitrate_kbps=8000) as source:
        encoded(source, 2)
        before = camera.keyframes_forced
        source.request_keyframe()
        source.request_keyframe()
        assert camera.keyframes_forced == before + 1


def test_a_camera_that_gives_no_keyframe_on_request_is_encoded_here(tmp_path: Path) -> None:
    camera = FakeCamera(tmp_path, {"h264": {(640, 360): 30}, "mjpeg": {(640, 360): 30}}, g="1000")
    with plugged_in(camera, width=640, height=360, time_code=False, bitrate_kbps=8000) as source:
        encoded(source, 3)
        source.request_keyframe()
        while isinstance(next_shot(source), EncodedFrame):
            pass
        pictures(source, 2)
    assert (camera.asked[0], camera.asked[-1]) == ("h264", "mjpeg")


def test_a_camera_that_ignores_the_bit_rate_is_encoded_here(tmp_path: Path) -> None:
    camera = FakeCamera(tmp_path, {"h264": {(640, 360): 30}, "mjpeg": {(640, 360): 30}})
    with plugged_in(camera, width=640, height=360, time_code=False, bitrate_kbps=8000) as source:
        encoded(source, 3)
        source.set_bitrate(40_000)
        while isinstance(next_shot(source), EncodedFrame):
            pass
    assert (camera.asked[0], camera.asked[-1]) == ("h264", "mjpeg")


def test_a_profile_that_was_not_agreed_on_is_not_passed_on(tmp_path: Path) -> None:
    camera = FakeCamera(tmp_path, {"h264": {(640, 360): 30}, "mjpeg": {(640, 360): 30}}, profile="high")
    with plugged_in(camera, width=640, height=360, time_code=False, bitrate_kbps=8000) as source:
        pictures(source, 2)


def test_another_size_or_a_time_code_is_not_passed_on(tmp_path: Path) -> None:
    camera = FakeCamera(tmp_path, {"h264": {(320, 180): 30}, "mjpeg": {(640, 360): 30}})
    with plugged_in(camera, width=640, height=360, time_code=False) as source:
        pictures(source, 1)
    with plugged_in(camera, width=320, height=180, time_code=True) as source:
        pictures(source, 1)


def test_access_units_are_read_without_decoding() -> None:
    unit = b"\x00\x00\x00\x01\x67\x42\xc0\x1f\x00\x00\x01\x68\xce\x00\x00\x00\x01\x65\x88"
    assert list(nal_units(unit)) == [b"\x67\x42\xc0\x1f", b"\x68\xce", b"\x65\x88"]
    assert nal_types(b"") == nal_types(b"\x00\x00\x01") == nal_types(b"no start code") == []
    assert is_constrained_baseline(b"\x67\x42\xe0\x1f")
    assert is_constrained_baseline(b"\x67\x4d\xc0\x1f")
    assert not is_constrained_baseline(b"\x67\x42\x00\x1f")
    assert not is_constrained_baseline(b"\x67\x64\x00\x1f")
    assert not is_constrained_baseline(b"\x67")
