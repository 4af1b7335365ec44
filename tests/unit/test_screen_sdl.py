"""The window on a real X server: what its viewer sees, what its buttons do, and what happens without a display."""

import asyncio
import mmap
import os
import shutil
import signal
import struct
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pytest

from appliance.capture.pictures import black_frame, planes_of
from appliance.errors import DeviceError
from appliance.playout.screen_sdl import SdlDisplay, sdl2
from appliance.supervisor import Backoff, Supervisor
from appliance.worker_process import WorkerProcess

needs_x = pytest.mark.skipif(shutil.which("Xvfb") is None, reason="Xvfb is not installed (Debian: xvfb)")

SIZE = (1600, 900)
# BT.601, limited range.
RED = (81, 90, 240)
SCENE = {"cmd": "scene", "state": "standby", "title": "", "lines": [], "problem": None, "muted": False}


class Monitor:
    """An X server and its picture, read from the server's own memory: nothing of SDL vouches for it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self._number = ""

    @property
    def address(self) -> str:
        return f":{self._number}"

    def plug_in(self) -> Self:
        """Start; the same number again after `unplug`."""
        reading, writing = os.pipe()
        number = [self.address] if self._number else []
        screen = ["-screen", "0", f"{SIZE[0]}x{SIZE[1]}x24", "-fbdir", str(self._folder)]
        self._process = subprocess.Popen(
            ["Xvfb", *number, "-displayfd", str(writing), "-nolisten", "tcp", *screen],
            pass_fds=(writing,),
            stderr=subprocess.DEVNULL,
        )
        os.close(writing)
        with os.fdopen(reading) as pipe:
            self._number = pipe.readline().strip()
        assert self._number, "Xvfb did not start"
        return self

    def unplug(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def picture(self) -> npt.NDArray[np.uint8]:
        """What the monitor shows: rows of (red, green, blue). The file is in XWD's format (XWDFile.h)."""
        with (
            self._folder.joinpath("Xvfb_screen0").open("rb") as file,
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as memory,
        ):
            header = struct.unpack(">25I", memory[:100])
            begin, width, height, row = header[0] + header[19] * 12, header[4], header[5], header[12]
            pixels = np.frombuffer(memory[begin : begin + row * height], np.uint8).reshape(height, row)
        return pixels[:, : width * 4].reshape(height, width, 4)[:, :, 2::-1]

    def red_area(self) -> tuple[int, int]:
        """Width and height of what is red."""
        picture = self.picture().astype(np.int16)
        is_red = (picture[:, :, 0] > 200) & (picture[:, :, 1] < 60) & (picture[:, :, 2] < 60)
        return int(is_red.any(axis=0).sum()), int(is_red.any(axis=1).sum())


@pytest.fixture
def monitor(tmp_path: Path) -> Iterator[Monitor]:
    monitor = Monitor(tmp_path).plug_in()
    try:
        yield monitor
    finally:
        monitor.unplug()


@pytest.fixture
def _desktop(monitor: Monitor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISPLAY", monitor.address)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.delenv("SDL_VIDEODRIVER", raising=False)


@pytest.fixture
def _nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER"):
        monkeypatch.delenv(name, raising=False)


def red(width: int, height: int) -> Any:
    frame = black_frame(width, height)
    for plane, level in zip(planes_of(frame), RED, strict=True):
        plane[:] = level
    return frame


def push(kind: int) -> Any:
    event = sdl2.SDL_Event()
    event.type = kind
    return event


def pumped_until(display: SdlDisplay, seen: Callable[[], bool]) -> None:
    """Let the window live until the X server has done what it was asked."""
    deadline = time.monotonic() + 5
    while not seen():
        assert time.monotonic() < deadline, "not seen within 5 s"
        display.pump()
        time.sleep(0.01)


@needs_x
@pytest.mark.usefixtures("_desktop")
def test_a_picture_fills_the_window_in_its_colours(monitor: Monitor) -> None:
    display = SdlDisplay("Xã Tân Lập", fullscreen=False)
    try:
        display.show(red(1280, 720), None)
        pumped_until(display, lambda: monitor.red_area() == (1280, 720))
    finally:
        display.close()


@needs_x
@pytest.mark.usefixtures("_desktop")
def test_a_picture_of_another_shape_keeps_it_between_black_bars(monitor: Monitor) -> None:
    display = SdlDisplay("Xã Tân Lập", fullscreen=False)
    try:
        display.show(red(640, 480), None)
        pumped_until(display, lambda: monitor.red_area() == (960, 720))
        # Left of it, in the window.
        assert monitor.picture()[450, 200].tolist() == [0, 0, 0]
    finally:
        display.close()


@needs_x
@pytest.mark.usefixtures("_desktop")
def test_full_screen_fills_the_monitor_and_f11_goes_back_to_a_window(monitor: Monitor) -> None:
    display = SdlDisplay("Xã Tân Lập", fullscreen=True)
    try:
        display.show(red(1280, 720), None)
        pumped_until(display, lambda: monitor.red_area() == SIZE)
        key = push(sdl2.SDL_KEYDOWN)
        key.key.keysym.sym = sdl2.SDLK_F11
        sdl2.SDL_PushEvent(key)
        pumped_until(display, lambda: monitor.red_area() == (1280, 720))
    finally:
        display.close()


@needs_x
@pytest.mark.usefixtures("_desktop")
def test_a_closed_window_is_a_lost_screen() -> None:
    display = SdlDisplay("Xã Tân Lập", fullscreen=False)
    try:
        sdl2.SDL_PushEvent(push(sdl2.SDL_QUIT))
        with pytest.raises(DeviceError, match="window was closed") as caught:
            display.pump()
        assert caught.value.problem == "screen-missing"
    finally:
        display.close()


@pytest.mark.usefixtures("_nowhere")
def test_without_a_display_the_screen_is_missing_and_no_try_leaks() -> None:
    def one_try() -> None:
        with pytest.raises(DeviceError, match="check the cable") as caught:
            SdlDisplay("Xã Tân Lập", fullscreen=True)
        assert caught.value.problem == "screen-missing"

    one_try()
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(10):
        one_try()
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    assert sdl2.SDL_WasInit(sdl2.SDL_INIT_VIDEO) == 0


@pytest.mark.usefixtures("_nowhere")
def test_a_display_that_nobody_sees_is_taken_where_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    display = SdlDisplay("Xã Tân Lập", fullscreen=False)
    display.show(red(1280, 720), None)
    display.close()


@needs_x
@pytest.mark.usefixtures("_nowhere")
def test_a_display_that_comes_later_is_found(monitor: Monitor, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DeviceError):
        SdlDisplay("Xã Tân Lập", fullscreen=False)
    monkeypatch.setenv("DISPLAY", monitor.address)
    display = SdlDisplay("Xã Tân Lập", fullscreen=False)
    try:
        display.show(red(1280, 720), None)
        pumped_until(display, lambda: monitor.red_area() == (1280, 720))
    finally:
        display.close()


class Room:
    """The screen worker under supervision, as the engine runs it."""

    def __init__(self) -> None:
        self.pids: list[int] = []
        self.problems: list[str | None] = []
        self._changed = asyncio.Event()
        self._worker = WorkerProcess("screen", self._configure, lambda *media: None, self._report, self._running)
        self._job = asyncio.create_task(
            Supervisor().keep("screen worker", self._worker.run, backoff=Backoff(base_s=0.1, cap_s=0.5))
        )

    async def until(self, seen: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not seen():
                self._changed.clear()
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._changed.wait(), 0.1)

    async def close(self) -> None:
        self._job.cancel()
        with suppress(asyncio.CancelledError):
            await self._job

    def _configure(self) -> dict[str, Any]:
        screen = {"sink": "sdl", "fullscreen": True}
        return {"cmd": "configure", "screen": screen, "unit_name": "Xã Tân Lập", "language": "vi", "tap_dir": None}

    def _running(self, pid: int | None) -> None:
        if pid is not None:
            self.pids.append(pid)
            self._worker.command({**SCENE, "camera_on": True})

    def _report(self, message: dict[str, Any]) -> None:
        if message["type"] == "status":
            self.problems.append(message["problem"] and message["problem"]["code"])
            self._changed.set()


def is_card(monitor: Monitor) -> bool:
    """The status card's green edge (standby) stands at the left of the monitor."""
    red, green, blue = monitor.picture()[450, 5].tolist()
    return green > 150 and red < 100 and blue < 160


@needs_x
@pytest.mark.usefixtures("_desktop")
async def test_a_display_that_dies_is_a_problem_until_it_is_back(monitor: Monitor) -> None:
    room = Room()
    try:
        await room.until(lambda: is_card(monitor))
        await room.until(lambda: room.problems[-1:] == [None])
        monitor.unplug()
        await room.until(lambda: room.problems[-1:] == ["screen-missing"])
        monitor.plug_in()
        await room.until(lambda: is_card(monitor))
        await room.until(lambda: room.problems[-1:] == [None])
    finally:
        await room.close()


@needs_x
@pytest.mark.usefixtures("_desktop")
async def test_a_worker_with_a_window_ends_when_it_is_told_to(monitor: Monitor) -> None:
    room = Room()
    try:
        await room.until(lambda: is_card(monitor))
        os.kill(room.pids[0], signal.SIGTERM)
        # The one that the supervisor starts in its place.
        await room.until(lambda: len(room.pids) == 2)
    finally:
        await room.close()
