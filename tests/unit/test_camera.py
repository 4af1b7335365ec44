"""The camera as the engine sees it: frames always flow, and what flows is what may be seen."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import av
import numpy as np
import pytest

from appliance.capture import recorder
from appliance.capture.camera import Camera
from appliance.capture.card import card_maker
from appliance.capture.letters import pillow_lettering
from appliance.capture.pictures import VideoConfig, planes_of
from appliance.capture.recorder import Card
from appliance.capture.x264 import X264Encoder
from appliance.errors import WorkerError
from appliance.media import timecode
from appliance.media.clock import NS_PER_S, MediaClock
from appliance.media.timecode import Luma, TimeCode
from appliance.media.values import EncodedFrame

from .fake_picture_source import CARDS, PICTURE, FakeDevice, draw_card
from .video_doubles import Decoder, a_config


class Viewer:
    """The far end: decodes what the camera sends, from the first frame on."""

    def __init__(self, camera: Camera) -> None:
        self.camera = camera
        self._frames = camera.__aiter__()
        self._decoder = Decoder()
        self.last: EncodedFrame | None = None

    async def look(self) -> Luma:
        self.last = await asyncio.wait_for(anext(self._frames), 3)
        return self._decoder.show(self.last)

    async def sees(self) -> int:
        """The level of the scene: the picture's or a card's."""
        level = float((await self.look())[60:].mean())
        return min((PICTURE, *CARDS.values()), key=lambda known: abs(known - level))

    async def look_until(self, wanted: Callable[[int], bool], seconds: float = 3) -> list[int]:
        """Everything seen up to what is wanted."""
        seen: list[int] = []
        async with asyncio.timeout(seconds):
            while not seen or not wanted(seen[-1]):
                seen.append(await self.sees())
        return seen


@asynccontextmanager
async def a_camera(device: FakeDevice, *, camera_on: bool = True, **changes: Any) -> AsyncIterator[Viewer]:
    config: VideoConfig = a_config(**changes)
    async with Camera(config, device.open, draw_card, MediaClock(), unit=9, camera_on=camera_on) as camera:
        yield Viewer(camera)


@pytest.fixture
def device() -> Iterator[FakeDevice]:
    device = FakeDevice()
    yield device
    assert device.hangs_at_close or device.opened == device.closed


async def test_pictures_flow_from_a_keyframe_on(device: FakeDevice) -> None:
    async with a_camera(device) as viewer:
        assert await viewer.sees() == PICTURE
        assert viewer.last is not None
        assert viewer.last.is_keyframe
        for _ in range(5):
            assert await viewer.sees() == PICTURE
            assert viewer.last.is_keyframe is False
            assert 0 <= MediaClock().now_ns() - viewer.last.pts_ns < NS_PER_S // 5
        assert viewer.camera.frames == 6
        assert viewer.camera.problem is None
        assert viewer.camera.encoder == "x264"


async def test_the_time_code_tells_the_capture_time_where_the_settings_ask_for_it(device: FakeDevice) -> None:
    async with a_camera(device, time_code=True) as viewer:
        for _ in range(3):
            luma = await viewer.look()
            assert viewer.last is not None
            assert timecode.read(luma) == TimeCode(9, viewer.last.pts_ns // 1_000_000 % 2**32)
    async with a_camera(device) as viewer:
        assert timecode.read(await viewer.look()) is None


async def test_with_the_camera_off_a_card_is_sent_and_the_device_given_back(device: FakeDevice) -> None:
    async with a_camera(device) as viewer:
        await viewer.look_until(lambda level: level == PICTURE)
        viewer.camera.set_privacy(True)
        # From this moment on not one picture of the room comes out.
        first = await viewer.sees()
        assert viewer.last is not None
        assert viewer.last.is_keyframe
        assert first == CARDS[Card.OFF]
        assert [await viewer.sees() for _ in range(3)] == [CARDS[Card.OFF]] * 3
        assert (device.opened, device.closed) == (1, 1)
        assert viewer.camera.camera_on is False
        viewer.camera.set_privacy(False)
        seen = await viewer.look_until(lambda level: level == PICTURE)
        assert viewer.last.is_keyframe
        assert len(seen) <= 3
        assert device.opened == 2


async def test_pictures_that_wait_when_privacy_is_asked_for_never_leave(device: FakeDevice) -> None:
    async with a_camera(device) as viewer:
        await viewer.look_until(lambda level: level == PICTURE)
        for _ in range(3):
            # Let pictures pile up behind a loop that is late.
            end_ns = MediaClock().now_ns() + NS_PER_S // 10
            while MediaClock().now_ns() < end_ns:
                pass
            viewer.camera.set_privacy(True)
            assert await viewer.sees() == CARDS[Card.OFF]
            viewer.camera.set_privacy(False)
            await viewer.look_until(lambda level: level == PICTURE)
        assert viewer.camera.dropped > 0


async def test_a_camera_that_starts_off_is_not_opened(device: FakeDevice) -> None:
    async with a_camera(device, camera_on=False) as viewer:
        assert [await viewer.sees() for _ in range(2)] == [CARDS[Card.OFF]] * 2
        assert device.opened == 0
        assert viewer.camera.problem is None


async def test_cards_come_five_times_a_second(device: FakeDevice) -> None:
    async with a_camera(device, camera_on=False) as viewer:
        times = []
        for _ in range(6):
            await viewer.look()
            assert viewer.last is not None
            times.append(viewer.last.pts_ns)
        assert (times[-1] - times[0]) / NS_PER_S == pytest.approx(1, abs=0.15)


async def test_a_lost_camera_is_told_of_shown_as_a_card_and_opened_again(device: FakeDevice) -> None:
    async with a_camera(device) as viewer:
        await viewer.look_until(lambda level: level == PICTURE)
        device.plugged.clear()
        await viewer.look_until(lambda level: level == CARDS[Card.LOST])
        assert viewer.last is not None
        assert viewer.last.is_keyframe
        assert viewer.camera.problem is not None
        assert viewer.camera.problem.problem == "camera-missing"
        device.plugged.set()
        seen = await viewer.look_until(lambda level: level == PICTURE)
        assert set(seen[:-1]) <= {CARDS[Card.LOST]}
        assert viewer.last.is_keyframe
        assert viewer.camera.problem is None


async def test_a_camera_that_is_not_there_at_the_start_is_waited_for(device: FakeDevice) -> None:
    device.plugged.clear()
    async with a_camera(device) as viewer:
        assert await viewer.sees() == CARDS[Card.LOST]
        device.plugged.set()
        await viewer.look_until(lambda level: level == PICTURE)


async def test_a_slow_start_and_a_stall_are_bridged_by_cards(device: FakeDevice) -> None:
    device.silent.set()
    async with a_camera(device) as viewer:
        assert await viewer.sees() == CARDS[Card.STARTING]
        device.silent.clear()
        await viewer.look_until(lambda level: level == PICTURE)
        device.silent.set()
        await viewer.look_until(lambda level: level == CARDS[Card.LOST])
        assert viewer.camera.problem is None
        device.silent.clear()
        await viewer.look_until(lambda level: level == PICTURE)
        assert device.opened == 1


async def test_keyframes_come_on_request_but_not_twice_in_half_a_second(device: FakeDevice) -> None:
    async with a_camera(device, fps=50) as viewer:
        keyframes = []
        for _ in range(75):
            viewer.camera.request_keyframe()
            await viewer.look()
            assert viewer.last is not None
            if viewer.last.is_keyframe:
                keyframes.append(viewer.last.pts_ns)
        gaps = np.diff(keyframes)
        assert len(gaps) >= 2
        assert gaps.min() >= NS_PER_S // 2
        assert gaps.max() < NS_PER_S * 6 // 10


async def test_the_frame_rate_and_bit_rate_reach_the_device_and_the_encoder(device: FakeDevice) -> None:
    async with a_camera(device) as viewer:
        await viewer.look()
        viewer.camera.set_framerate(10)
        viewer.camera.set_bitrate(250_000)
        times = []
        for _ in range(12):
            await viewer.look()
            assert viewer.last is not None
            times.append(viewer.last.pts_ns)
        assert (times[-1] - times[2]) / NS_PER_S == pytest.approx(0.9, rel=0.25)
        assert device.rates[-1] == 10
        assert (viewer.camera.fps, viewer.camera.bitrate_bps) == (10, 250_000)


async def test_a_loop_that_lags_gets_whole_pictures_again(device: FakeDevice) -> None:
    async with a_camera(device, fps=50) as viewer:
        await viewer.look()
        end_ns = MediaClock().now_ns() + NS_PER_S // 2
        while MediaClock().now_ns() < end_ns:
            pass
        # The decoder would complain of what is missing; what comes is a keyframe, or follows the last picture.
        await viewer.look()
        assert viewer.last is not None
        assert viewer.last.is_keyframe
        assert viewer.camera.dropped > 0


async def test_a_camera_that_encodes_is_passed_on_and_cards_still_come_from_here(device: FakeDevice) -> None:
    device.encodes = True
    async with a_camera(device) as viewer:
        assert await viewer.sees() == PICTURE
        assert viewer.camera.encoder == "camera"
        await viewer.look_until(lambda level: level == PICTURE)
        viewer.camera.request_keyframe()
        async with asyncio.timeout(2):
            while device.keyframes_asked == 0:
                await viewer.look()
        viewer.camera.set_privacy(True)
        assert await viewer.sees() == CARDS[Card.OFF]
        assert viewer.camera.encoder == "x264"
        viewer.camera.set_privacy(False)
        await viewer.look_until(lambda level: level == PICTURE)
        assert viewer.last is not None
        assert viewer.last.is_keyframe


async def test_a_bug_in_a_source_ends_the_worker_and_is_not_hidden(device: FakeDevice) -> None:
    async with a_camera(device) as viewer:
        await viewer.look()
        device.bug = ZeroDivisionError("a bug")
        with pytest.raises(ZeroDivisionError):
            await viewer.look_until(lambda _: False)


async def test_a_driver_that_keeps_the_device_ends_the_worker(device: FakeDevice) -> None:
    device.hangs_at_close = True
    async with a_camera(device) as viewer:
        await viewer.look()
        device.plugged.clear()
        with pytest.raises(WorkerError, match="does not give the device back"):
            await viewer.look_until(lambda _: False, seconds=6)


@pytest.mark.parametrize(("width", "height"), [(160, 90), (640, 360), (1920, 1080)])
def test_every_card_is_written_in_both_languages_at_every_size(width: int, height: int) -> None:
    texts: list[str] = []

    def lettering(text: str, size: int) -> Luma:
        texts.append(text)
        return pillow_lettering(text, size)

    for language in ("vi", "en"):
        draw = card_maker(width, height, "Xã Tân Lập", language, lettering)
        for card in Card:
            luma = planes_of(draw(card))[0]
            assert luma.shape == (height, width)
            assert int(luma.max()) > 150
    assert texts[:3] == ["Xã Tân Lập", "Camera đã tắt", "Camera off"]
    assert texts[9:12] == ["Xã Tân Lập", "Camera off", "Camera đã tắt"]


class SwallowingEncoder(X264Encoder):
    """Takes pictures and gives nothing, until it is opened anew."""

    swallows = True

    def encode(self, frame: av.VideoFrame, pts_ns: int, *, keyframe: bool = False) -> EncodedFrame | None:
        return None if self.swallows else super().encode(frame, pts_ns, keyframe=keyframe)

    def close(self) -> None:
        self.swallows = False
        super().close()


async def test_an_encoder_that_swallows_its_pictures_gives_them_again_once_it_is_restarted(
    device: FakeDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder, "X264Encoder", SwallowingEncoder)
    async with a_camera(device) as viewer:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await viewer.sees()
        assert viewer.camera.frames == 0
    async with a_camera(device) as viewer:
        viewer.camera.restart_encoder()
        await viewer.look_until(lambda level: level == PICTURE)
        assert viewer.camera.frames > 0
