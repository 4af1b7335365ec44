"""A picture source of the tests' own that can be unplugged, fall silent, hang or encode by itself."""

import threading
from typing import Any

from appliance.capture.pictures import Picture, PictureSource, black_frame, planes_of
from appliance.capture.recorder import Card
from appliance.capture.x264 import X264Encoder
from appliance.errors import DeviceError
from appliance.media.clock import MediaClock
from appliance.media.values import EncodedFrame

PICTURE, CARDS = 150, {Card.OFF: 60, Card.LOST: 80, Card.STARTING: 100}


class FakeDevice:
    """What stands behind the sources that the camera opens: a grey scene that can be unplugged."""

    def __init__(self) -> None:
        self.opened = self.closed = 0
        self.plugged = threading.Event()
        self.plugged.set()
        self.silent = threading.Event()
        self.hangs_at_close = False
        self.rates: list[int] = []
        self.encodes = False
        self.keyframes_asked = 0
        self.bug: Exception | None = None

    def open(self) -> PictureSource:
        if not self.plugged.is_set():
            raise DeviceError("no camera; check its cable", problem="camera-missing")
        self.opened += 1
        return FakeSource(self)


class FakeSource(PictureSource):
    def __init__(self, device: FakeDevice) -> None:
        self._device = device
        self._interval_s = 1 / 50
        self._frame = black_frame(320, 180)
        self._encoder = X264Encoder(320, 180, 50, 500_000, 60)
        self._keyframe = False
        self._wait = threading.Event()

    def read(self) -> Picture | EncodedFrame | None:
        device = self._device
        self._wait.wait(self._interval_s)
        if device.bug is not None:
            raise device.bug
        if not device.plugged.is_set():
            raise DeviceError("the camera went away; check its cable", problem="camera-missing")
        if device.silent.is_set():
            return None
        planes_of(self._frame)[0][:] = PICTURE
        now_ns = MediaClock().now_ns()
        if not device.encodes:
            return Picture(self._frame, now_ns)
        frame = self._encoder.encode(self._frame, now_ns, keyframe=self._keyframe)
        self._keyframe = False
        return frame

    def set_framerate(self, fps: int) -> None:
        self._interval_s = 1 / fps
        self._device.rates.append(fps)

    def request_keyframe(self) -> None:
        self._device.keyframes_asked += 1
        self._keyframe = True

    def close(self) -> None:
        self._device.closed += 1

    @property
    def is_released(self) -> bool:
        return not self._device.hangs_at_close


def draw_card(card: Card) -> Any:
    frame = black_frame(320, 180)
    planes_of(frame)[0][:] = CARDS[card]
    return frame
