"""The USB camera: real pictures at their rate, through the encoder, as the camera worker uses it."""

import asyncio
import time

import av
import numpy as np
import pytest
from av.video.codeccontext import VideoCodecContext

from appliance.capture.camera import Camera
from appliance.capture.pictures import VideoConfig, black_frame
from appliance.capture.video_factory import open_source
from appliance.media.clock import MediaClock
from appliance.media.values import EncodedFrame

FPS = 30


def _camera(device: str) -> Camera:
    config = VideoConfig("v4l2", device, None, 1280, 720, FPS, 2000, 10, time_code=False)
    clock = MediaClock()
    return Camera(
        config,
        lambda: open_source(config, "hwtest", clock),
        lambda card: black_frame(config.width, config.height),
        clock,
        unit=1,
    )


async def _record(camera: Camera, seconds: float) -> list[EncodedFrame]:
    frames: list[EncodedFrame] = []
    end = time.monotonic() + seconds
    async with camera:
        async for frame in camera:
            frames.append(frame)
            if time.monotonic() > end:
                break
    return frames


def _decoded(frames: list[EncodedFrame]) -> list[av.VideoFrame]:
    decoder = av.CodecContext.create("h264", "r")
    assert isinstance(decoder, VideoCodecContext)
    return [picture for frame in frames for picture in decoder.decode(av.Packet(frame.data))]


async def test_the_camera_gives_pictures_at_its_rate_that_are_not_black(camera: str) -> None:
    recorder = _camera(camera)
    frames = await _record(recorder, 8.0)
    assert recorder.problem is None, recorder.problem
    assert frames[0].is_keyframe
    steady = [frame for frame in frames if frame.pts_ns > frames[0].pts_ns + 3_000_000_000]
    rate = (len(steady) - 1) / ((steady[-1].pts_ns - steady[0].pts_ns) / 1e9)
    # In the dark many cameras halve their rate.
    assert rate > FPS / 2 - 2
    pictures = _decoded(frames)
    assert len(pictures) >= len(frames) - 1
    luma = pictures[-1].to_ndarray()[:720]
    assert np.std(luma) > 2, "the picture is of one colour: is the lens covered?"


async def test_the_camera_gives_a_keyframe_within_a_second_of_a_request(camera: str) -> None:
    recorder = _camera(camera)
    async with recorder, asyncio.timeout(20):
        asked_ns = 0
        async for frame in recorder:
            if not asked_ns and recorder.frames > 60:
                recorder.request_keyframe()
                asked_ns = time.monotonic_ns()
            elif asked_ns and frame.is_keyframe:
                assert time.monotonic_ns() - asked_ns < 1_000_000_000
                return


@pytest.mark.timeout(90)
async def test_a_pulled_camera_is_told_and_comes_back(camera: str, person: None) -> None:
    recorder = _camera(camera)
    print("\nPull the camera's plug, wait until this says so, and plug it in again.")
    was_lost = False
    async with recorder, asyncio.timeout(80):
        async for _ in recorder:
            if recorder.problem is not None and not was_lost:
                was_lost = True
                print(f"lost: {recorder.problem}. Plug it in again.")
            if was_lost and recorder.problem is None:
                return
