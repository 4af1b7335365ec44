"""The lab MCU's video: pace, keyframes, threads, and what garbage does (nothing)."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import pairwise

import numpy as np
from av.video.frame import VideoFrame

from appliance.labmcu.h264 import WallDecoder, WallEncoder
from appliance.labmcu.tile_source import TileSource
from appliance.labmcu.video_mixer import TickGate, VideoMixer, WallSettings
from appliance.labmcu.wall import planes
from appliance.media.clock import MediaClock
from appliance.media.values import EncodedFrame

MS = 1_000_000
SMALL = WallSettings(640, 360, 30, 800_000)


def flat(width: int, height: int, luma: int, u: int = 90, v: int = 160) -> VideoFrame:
    frame = VideoFrame(width, height, "yuv420p")
    for plane, value in zip(planes(frame), (luma, u, v), strict=True):
        plane[:] = value
    return frame


def encoded(luma: int, count: int = 1, width: int = 640, height: int = 360) -> list[EncodedFrame]:
    encoder = WallEncoder(width, height, 30, 500_000)
    frames = []
    for number in range(count):
        unit = encoder.encode(flat(width, height, luma), number * 33 * MS, keyframe=number == 0)
        assert unit is not None
        frames.append(EncodedFrame(unit[0], number * 33 * MS, unit[1]))
    return frames


# The pace


def ticks(arrivals_ms: list[float], until_ms: float) -> list[float]:
    """When a gate that is polled each 0.1 ms lets walls through, given when fresh pictures arrive."""
    gate = TickGate(30)
    gate.ticked(0)
    fresh, left, found = False, sorted(arrivals_ms), []
    for step in range(1, int(until_ms * 10)):
        now_ms = step / 10
        while left and left[0] <= now_ms:
            fresh = bool(left.pop(0)) or fresh
        if gate.due_ns(fresh=fresh) <= now_ms * MS:
            gate.ticked(int(now_ms * MS))
            found.append(now_ms)
            fresh = False
    return found


def test_a_single_camera_s_pictures_are_composed_as_they_come_however_they_jitter() -> None:
    rng = np.random.default_rng(1)
    arrivals = [100 + n * 100 / 3 + float(rng.uniform(-4, 4)) for n in range(300)]
    found = ticks(arrivals, 10_100)
    waits = [min(tick - arrival for tick in found if tick >= arrival) for arrival in arrivals[:-1]]
    assert float(np.mean(waits)) < 1
    assert float(np.quantile(waits, 0.95)) < 4


def test_two_cameras_do_not_make_more_walls_than_the_rate_allows() -> None:
    arrivals = [100 + n * 100 / 3 for n in range(300)] + [112 + n * 100 / 3 for n in range(300)]
    found = ticks(arrivals, 10_100)
    assert 295 <= len([tick for tick in found if tick > 100]) <= 306
    waits = [min(tick - arrival for tick in found if tick >= arrival) for arrival in sorted(arrivals)[:-2]]
    assert max(waits) < 34


def test_a_camera_whose_clock_is_fast_does_not_build_up_delay() -> None:
    arrivals = [100 + n * 33.1 for n in range(300)]
    found = ticks(arrivals, 10_000)
    waits = [min(tick - arrival for tick in found if tick >= arrival) for arrival in arrivals[-50:-1]]
    assert max(waits) < 1


def test_without_new_pictures_the_wall_goes_on_at_half_the_rate() -> None:
    assert 14 <= len(ticks([], 1000)) <= 15


# H.264


def test_the_decoder_gives_each_picture_at_once() -> None:
    decoder = WallDecoder()
    for frame in encoded(120, 10):
        picture = decoder.decode(frame.data, is_keyframe=frame.is_keyframe)
        assert picture is not None
        assert abs(int(planes(picture)[0][100, 100]) - 120) <= 3


def test_the_decoder_waits_for_a_keyframe_and_survives_garbage() -> None:
    decoder = WallDecoder()
    frames = encoded(120, 4)
    assert decoder.decode(frames[1].data, is_keyframe=False) is None
    assert decoder.needs_keyframe
    for garbage in (b"", b"\x00", b"\x00\x00\x00\x01\x65" + bytes(range(256)), b"\xff" * 5000):
        decoder.decode(garbage, is_keyframe=True)
    assert decoder.decode(frames[0].data, is_keyframe=True) is not None
    assert not decoder.needs_keyframe


def test_a_picture_too_large_for_us_is_refused() -> None:
    decoder = WallDecoder()
    frame = encoded(120, 1, 2560, 1440)[0]
    assert decoder.decode(frame.data, is_keyframe=True) is None


def test_a_keyframe_carries_all_that_a_new_decoder_needs() -> None:
    encoder = WallEncoder(640, 360, 30, 500_000)
    for number in range(20):
        unit = encoder.encode(flat(640, 360, 100 + number), number * 33 * MS, keyframe=number == 13)
        assert unit is not None
        assert unit[1] == (number in (0, 13))
        assert WallDecoder().decode(unit[0], is_keyframe=unit[1]) is None or unit[1]


def test_the_wall_is_sent_as_constrained_baseline() -> None:
    data = encoded(120)[0].data
    profile, constraints = data[5], data[6]
    assert (data[4] & 31, profile) == (7, 66)
    assert constraints & 0x40


# A participant's decoder, and the mixer, in their threads


@asynccontextmanager
async def running(job: asyncio.Task[None]) -> AsyncIterator[None]:
    try:
        yield
    finally:
        job.cancel()
        await asyncio.wait([job])
        assert job.cancelled()


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not true():
            await asyncio.sleep(0.005)


async def test_a_tile_source_asks_for_a_keyframe_until_it_has_one() -> None:
    asked: list[int] = []
    fresh: list[int] = []
    source = TileSource("a", MediaClock(), lambda: fresh.append(1))
    frames = encoded(150, 5)
    async with running(asyncio.create_task(source.run(lambda: asked.append(1)))):
        source.feed(frames[2])
        await until(lambda: bool(asked))
        assert source.picture is None
        source.feed(frames[0])
        await until(lambda: bool(fresh))
    assert source.picture is not None
    assert source.picture.pts_ns == frames[0].pts_ns


async def test_a_tile_source_that_lags_drops_and_starts_over_at_a_keyframe() -> None:
    source = TileSource("a", MediaClock(), lambda: None)
    frames = encoded(150, 35)
    for frame in frames:
        source.feed(frame)
    assert source.dropped == 30
    async with running(asyncio.create_task(source.run(lambda: None))):
        source.feed(frames[0])
        await until(lambda: source.picture is not None)
    assert source.decoded == 1


async def test_the_mixer_delivers_walls_that_decode_and_keyframes_on_request() -> None:
    clock = MediaClock()
    mixer = VideoMixer(SMALL, "giao-ban", clock)
    source = TileSource("a", clock, mixer.wake)
    walls: list[EncodedFrame] = []
    decoding = asyncio.create_task(source.run(lambda: None))
    async with running(asyncio.create_task(mixer.run(walls.append))), running(decoding):
        mixer.show([source])
        mixer.watch(on=True)
        source.feed(encoded(150)[0])
        await until(lambda: source.composed == 1)
        mixer.request_keyframe()
        before = len(walls)
        await until(lambda: any(wall.is_keyframe for wall in walls[before:]))
        mixer.watch(on=False)
    assert walls[0].is_keyframe
    assert all(one.pts_ns < other.pts_ns for one, other in pairwise(walls))
    decoder = WallDecoder()
    pictures = [decoder.decode(wall.data, is_keyframe=wall.is_keyframe) for wall in walls]
    last = pictures[-1]
    assert last is not None
    assert abs(int(planes(last)[0][100, 100]) - 150) <= 3


async def test_nothing_is_composed_for_nobody() -> None:
    mixer = VideoMixer(SMALL, "giao-ban", MediaClock())
    walls: list[EncodedFrame] = []
    async with running(asyncio.create_task(mixer.run(walls.append))):
        mixer.wake()
        mixer.watch(on=True)
        await until(lambda: len(walls) >= 2)
        mixer.watch(on=False)
        await until(lambda: mixer.composed == len(walls))
        seen = mixer.composed
        mixer.wake()
        await asyncio.sleep(0.3)
        assert mixer.composed <= seen + 1


async def test_the_wall_s_time_is_shifted_by_the_lead_and_never_runs_backwards() -> None:
    clock = MediaClock()
    mixer = VideoMixer(SMALL, "giao-ban", clock)
    walls: list[EncodedFrame] = []
    async with running(asyncio.create_task(mixer.run(walls.append))):
        mixer.set_lead(60 * MS)
        mixer.watch(on=True)
        await until(lambda: len(walls) >= 2)
        assert walls[0].pts_ns > clock.now_ns() - 200 * MS
        mixer.set_lead(-500 * MS)
        seen = len(walls)
        await until(lambda: len(walls) >= seen + 3)
    assert all(one.pts_ns < other.pts_ns for one, other in pairwise(walls))
