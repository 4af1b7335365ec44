"""The camera on its ladder: other sizes in mid-stream, the time code right on each, pictures left out on request."""

import threading
from collections.abc import Callable, Iterator
from itertools import pairwise

import av
import numpy as np
import pytest

from appliance.capture.card import card_maker
from appliance.capture.ladder import rungs
from appliance.capture.letters import pillow_lettering
from appliance.capture.recorder import Recorder, Shot
from appliance.capture.testcard import TestCardSource
from appliance.labmcu.h264 import WallDecoder, WallEncoder
from appliance.labmcu.tile_source import Fitter, TileSource
from appliance.media import timecode
from appliance.media.clock import NS_PER_S, MediaClock
from appliance.media.timecode import TimeCode

from .video_doubles import TurnedClock, a_config, luma_of

UNIT = 9
MS = 1_000_000


class Studio:
    """The recorder's thread without the thread: a test card, a decoder at the far end, and time that runs only here."""

    def __init__(self, width: int = 1280, height: int = 720, *, privacy: bool = False) -> None:
        self.clock = TurnedClock()
        config = a_config(width=width, height=height, fps=30, bitrate_kbps=2000, time_code=True)
        self.recorder = Recorder(
            config,
            lambda: TestCardSource(config, "Xã Tân Lập", pillow_lettering, self.clock, sleep=self.clock.sleep),
            card_maker(width, height, "Xã Tân Lập", "vi", pillow_lettering),
            self.clock,
            unit=UNIT,
            privacy=privacy,
        )
        self.decoder = WallDecoder()

    def shots(self, seconds: float) -> Iterator[tuple[Shot, av.VideoFrame]]:
        """What is sent in this time, and what the far end sees of it."""
        end_ns = self.clock.now_ns() + round(seconds * NS_PER_S)
        never = threading.Event()
        while self.clock.now_ns() < end_ns:
            shot = self.recorder._next(never)
            if shot is None:
                if self.recorder.privacy:
                    self.clock.sleep(0.05)
                continue
            picture = self.decoder.decode(shot.frame.data, is_keyframe=shot.frame.is_keyframe)
            assert picture is not None
            yield shot, picture


def through_the_wall() -> Callable[[av.VideoFrame, int], TimeCode | None]:
    """What a viewer of the lab MCU reads: scaled up to its wall, encoded once more, decoded."""
    fitter, encoder, viewer = Fitter(), WallEncoder(1280, 720, 30, 2_000_000), WallDecoder()

    def see(picture: av.VideoFrame, at_ns: int) -> TimeCode | None:
        unit = encoder.encode(fitter.fitted(picture, (1280, 720)), at_ns, keyframe=False)
        assert unit is not None
        wall = viewer.decode(unit[0], is_keyframe=unit[1])
        assert wall is not None
        return timecode.read(luma_of(wall))

    return see


@pytest.mark.parametrize("rung", rungs(1280, 720, 30, 2_000_000), ids=lambda rung: f"{rung.width}x{rung.height}")
def test_the_time_code_is_right_on_each_rung_and_readable_on_the_wall(rung: object) -> None:
    studio = Studio()
    list(studio.shots(0.3))
    studio.recorder.bitrate_bps = max(rung.least_bps + 1000, 45_000)  # type: ignore[attr-defined]
    list(studio.shots(1))
    see, read = through_the_wall(), 0
    count = 0
    for shot, picture in studio.shots(1.5):
        assert (picture.width, picture.height) == (rung.width, rung.height)  # type: ignore[attr-defined]
        wanted = TimeCode(UNIT, shot.frame.pts_ns // MS % 2**32)
        assert timecode.read(luma_of(picture)) == wanted
        read += see(picture, shot.frame.pts_ns) == wanted
        count += 1
    assert count == pytest.approx(1.5 * rung.fps, abs=2)  # type: ignore[attr-defined]
    assert read == count


def test_a_new_size_begins_with_a_keyframe_small_enough_for_the_line() -> None:
    studio = Studio()
    list(studio.shots(1))
    for bps in (400_000, 100_000, 48_000):
        studio.recorder.bitrate_bps = bps
        shots = [shot for shot, _ in studio.shots(3)]
        sizes = [8 * len(shot.frame.data) for shot in shots]
        assert any(shot.frame.is_keyframe for shot in shots)
        # VBV: no picture takes the line for longer than about a quarter of a second.
        assert max(sizes) <= 0.3 * bps
        assert sum(sizes) <= 3 * bps * 1.15 + 0.3 * bps


def test_the_whole_way_down_and_up_costs_the_far_end_no_picture() -> None:
    studio, heights = Studio(), []
    for bps in (2_000_000, 600_000, 400_000, 250_000, 160_000, 100_000, 48_000, 2_000_000):
        studio.recorder.bitrate_bps = bps
        heights += [picture.height for _, picture in studio.shots(4)]
    assert studio.decoder.errors == 0
    assert [height for height, after in pairwise((*heights, 0)) if height != after] == [720, 540, 360, 270, 180, 720]


def test_cards_are_as_small_as_pictures() -> None:
    studio = Studio(privacy=True)
    studio.recorder.bitrate_bps = 48_000
    shots = list(studio.shots(3))
    assert all(shot.is_card for shot, _ in shots)
    assert (shots[-1][1].width, shots[-1][1].height) == (320, 180)
    assert int(luma_of(shots[-1][1]).max()) > 150, "its letters are there"


def test_another_shape_keeps_its_shape() -> None:
    studio = Studio(640, 480)
    studio.recorder.bitrate_bps = 48_000
    *_, (_, picture) = studio.shots(2)
    assert picture.width / picture.height == pytest.approx(4 / 3, rel=0.02)
    assert picture.height == 180


def test_pictures_are_left_out_on_request_and_nothing_breaks_by_it() -> None:
    studio = Studio()
    list(studio.shots(1))
    studio.recorder.hold_until_ns = studio.clock.now_ns() + 200 * MS
    times = [shot.frame.pts_ns for shot, _ in studio.shots(1)]
    assert times[0] - (studio.clock.now_ns() - NS_PER_S) == pytest.approx(200 * MS, abs=40 * MS)
    assert studio.recorder.held == pytest.approx(6, abs=1)
    assert studio.decoder.errors == 0


def test_however_far_the_line_is_behind_the_camera_is_never_silent_for_long() -> None:
    studio = Studio()
    list(studio.shots(0.5))
    studio.recorder.hold_until_ns = studio.clock.now_ns() + 3600 * NS_PER_S
    times = [shot.frame.pts_ns for shot, _ in studio.shots(10)]
    assert max(np.diff(times)) < NS_PER_S


async def test_the_lab_mcu_takes_another_size_in_mid_stream() -> None:
    studio = Studio()
    tile = TileSource("a", MediaClock(), lambda: None)
    frames = [shot.frame for shot, _ in studio.shots(0.3)]
    studio.recorder.bitrate_bps = 48_000
    frames += [shot.frame for shot, _ in studio.shots(0.5)]
    sizes = []
    for frame in frames:
        picture = tile._decoder.decode(frame.data, is_keyframe=frame.is_keyframe)
        assert picture is not None
        sizes.append(picture.height)
    assert tile.errors == 0
    assert (sizes[0], sizes[-1]) == (720, 180)
