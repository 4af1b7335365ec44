"""The camera worker as a real process: commanded, read and ended through its pipe."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from appliance.capture.video_factory import unit_number
from appliance.media import timecode
from appliance.media.clock import NS_PER_S, MediaClock
from appliance.media.pipe import Kind, WorkerPipe, parse_control
from appliance.media.values import EncodedFrame

from .video_doubles import Decoder, write_footage

NAME = "Xã Tân Lập"


class Engine:
    """The engine's end of the pipe."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self.frames: asyncio.Queue[EncodedFrame] = asyncio.Queue()
        self.reports: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.closed = asyncio.Event()
        self.pipe = WorkerPipe(self._message, lambda error: self.closed.set())

    def _message(self, kind: Kind, payload: bytes, time_ns: int, is_keyframe: bool) -> None:
        if kind is Kind.VIDEO:
            self.frames.put_nowait(EncodedFrame(payload, time_ns, is_keyframe))
        else:
            self.reports.put_nowait(parse_control(payload))

    def command(self, **message: Any) -> None:
        assert self.pipe.send_control(message)

    def configure(self, *, camera_on: bool = True, **video: Any) -> None:
        defaults = {
            "source": "testcard",
            "device": "/dev/video-that-is-not-there",
            "file": None,
            "width": 640,
            "height": 360,
            "fps": 30,
            "bitrate_kbps": 800,
            "keyframe_interval_s": 60,
            "time_code": False,
        }
        self.command(cmd="configure", unit_name=NAME, language="vi", video=defaults | video, camera_on=camera_on)

    async def frame(self) -> EncodedFrame:
        return await asyncio.wait_for(self.frames.get(), 5)

    async def report(self) -> dict[str, Any]:
        return await asyncio.wait_for(self.reports.get(), 5)

    async def status_where(self, **wanted: Any) -> dict[str, Any]:
        async with asyncio.timeout(5):
            while True:
                report = await self.report()
                if report["type"] == "status" and all(report[key] == value for key, value in wanted.items()):
                    return report

    async def ended(self, seconds: float) -> int:
        async with asyncio.timeout(seconds):
            while self.process.poll() is None:
                await asyncio.sleep(0.01)
        return self.process.returncode


@asynccontextmanager
async def a_worker() -> AsyncIterator[Engine]:
    ours, theirs = socket.socketpair()
    for end in (ours, theirs):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 512 * 1024)
    command = [sys.executable, "-m", "appliance.workers.camera", str(theirs.fileno())]
    with theirs:
        process = subprocess.Popen(command, pass_fds=(theirs.fileno(),), stdin=subprocess.DEVNULL)
    engine = Engine(process)
    ours.setblocking(False)
    await asyncio.get_running_loop().create_connection(lambda: engine.pipe, sock=ours)
    try:
        yield engine
    finally:
        engine.pipe.abort()
        process.kill()
        process.wait(5)
        with suppress(TimeoutError):
            await asyncio.wait_for(engine.closed.wait(), 2)


async def test_a_worker_is_ready_and_sends_its_first_picture_within_a_second() -> None:
    begun = time.monotonic()
    async with a_worker() as engine:
        engine.configure(width=1280, height=720)
        assert await engine.report() == {"type": "ready"}
        first = await engine.frame()
        # Alone on the machine this takes 0.3 s.
        assert time.monotonic() - begun < 2.5
        assert first.is_keyframe


async def test_the_test_card_arrives_with_its_time_code_at_its_pace() -> None:
    async with a_worker() as engine:
        engine.configure()
        decoder = Decoder()
        frames = [await engine.frame() for _ in range(45)]
        codes = decoder.codes(frames)
        assert [code.unit for code in codes if code] == [unit_number(NAME)] * 45
        # The time burned in is the time stamped on.
        for code, frame in zip(codes, frames, strict=True):
            assert code is not None
            assert timecode.to_ns(code.time_ms, frame.pts_ns) == frame.pts_ns // 1_000_000 * 1_000_000
        assert (frames[-1].pts_ns - frames[15].pts_ns) / NS_PER_S == pytest.approx(29 / 30, rel=0.1)
        assert 0 <= MediaClock().now_ns() - frames[-1].pts_ns < NS_PER_S // 5


async def test_the_encoder_is_restarted_on_command_with_a_keyframe_and_no_gap() -> None:
    async with a_worker() as engine:
        engine.configure()
        frames = [await engine.frame() for _ in range(10)]
        assert [frame.is_keyframe for frame in frames] == [True] + [False] * 9
        engine.command(cmd="encoder")
        async with asyncio.timeout(3):
            while not (frame := await engine.frame()).is_keyframe:
                frames.append(frame)
        assert frame.pts_ns - frames[-1].pts_ns < NS_PER_S // 4


async def test_the_status_says_what_runs_each_half_second() -> None:
    async with a_worker() as engine:
        engine.configure()
        assert (await engine.report())["type"] == "ready"
        first = await engine.report()
        begun = time.monotonic()
        second, third = await engine.report(), await engine.report()
        assert 0.8 < time.monotonic() - begun < 1.6
        assert first | {"frames": 0} == {
            "type": "status",
            "frames": 0,
            "source": "testcard",
            "encoder": "x264",
            "width": 640,
            "height": 360,
            "fps": 30,
            "bitrate_bps": 800_000,
            "rung": 0,
            "held": 0,
            "camera_on": True,
            "dropped": 0,
            "problem": None,
        }
        assert first["frames"] < second["frames"] < third["frames"]


async def test_commands_are_obeyed() -> None:
    async with a_worker() as engine:
        engine.configure()
        for _ in range(20):
            await engine.frame()
        engine.command(cmd="keyframe")
        async with asyncio.timeout(2):
            while not (await engine.frame()).is_keyframe:
                pass
        engine.command(cmd="bitrate", bps=300_000)
        engine.command(cmd="framerate", fps=10)
        engine.command(cmd="dance")
        await engine.status_where(bitrate_bps=300_000, fps=10)
        while not engine.frames.empty():
            engine.frames.get_nowait()
        frames = [await engine.frame() for _ in range(6)]
        assert (frames[-1].pts_ns - frames[1].pts_ns) / NS_PER_S == pytest.approx(0.4, rel=0.25)


async def test_a_camera_switched_off_sends_a_card_and_no_picture() -> None:
    async with a_worker() as engine:
        engine.configure()
        decoder = Decoder()
        for _ in range(5):
            assert timecode.read(decoder.show(await engine.frame())) is not None
        engine.command(cmd="camera", on=False)
        await engine.status_where(camera_on=False)
        while not engine.frames.empty():
            seen = decoder.show(engine.frames.get_nowait())
        for _ in range(4):
            seen = decoder.show(await engine.frame())
            assert timecode.read(seen) is None
        assert float(seen.mean()) < 60
        engine.command(cmd="camera", on=True)
        async with asyncio.timeout(3):
            while timecode.read(decoder.show(await engine.frame())) is None:
                pass


async def test_a_missing_camera_is_told_of_at_once_and_the_worker_stays() -> None:
    async with a_worker() as engine:
        engine.configure(source="v4l2")
        problem = (await engine.status_where(source="v4l2"))["problem"]
        while problem is None:
            problem = (await engine.report())["problem"]
        assert problem["code"] == "camera-missing"
        assert "check its cable" in problem["detail"]
        decoder = Decoder()
        # Cards are dark, and keep coming.
        assert all([float(decoder.show(await engine.frame()).mean()) < 60 for _ in range(6)])
        assert engine.process.poll() is None


async def test_footage_that_comes_back_is_played_again(tmp_path: Path) -> None:
    path = tmp_path / "film.mkv"
    async with a_worker() as engine:
        engine.configure(source="file", file=str(path), time_code=True)
        async with asyncio.timeout(5):
            while (status := await engine.report())["type"] != "status" or status["problem"] is None:
                pass
        assert status["problem"]["code"] == "video-file"
        write_footage(tmp_path / "new.mkv", 25).rename(path)
        await engine.status_where(problem=None)
        decoder = Decoder()
        async with asyncio.timeout(3):
            while not (frame := await engine.frame()).is_keyframe or timecode.read(decoder.show(frame)) is None:
                pass


async def test_an_engine_that_stops_reading_costs_pictures_and_then_gets_a_keyframe(tmp_path: Path) -> None:
    path = write_footage(tmp_path / "noise.mkv", 8, size=(640, 360), noise=60)
    async with a_worker() as engine:
        engine.configure(source="file", file=str(path), bitrate_kbps=8000)
        await engine.frame()
        transport = engine.pipe._transport
        assert transport is not None
        # About a second of such pictures fits between the processes.
        transport.pause_reading()
        await asyncio.sleep(2.5)
        transport.resume_reading()
        before = await engine.frame()
        async with asyncio.timeout(5):
            while (frame := await engine.frame()).pts_ns - before.pts_ns < NS_PER_S // 4:
                before = frame
        assert frame.is_keyframe
        frames = [frame] + [await engine.frame() for _ in range(20)]
        assert sum(later.is_keyframe for later in frames) <= 2
        assert len(Decoder().codes(frames)) == 21
        status = await engine.status_where(source="file")
        while status["dropped"] == 0:
            status = await engine.status_where(source="file")


async def test_the_end_of_the_pipe_ends_the_worker() -> None:
    async with a_worker() as engine:
        engine.configure()
        await engine.frame()
        engine.pipe.close()
        assert await engine.ended(2) == 0


async def test_ctrl_c_is_left_to_the_engine() -> None:
    async with a_worker() as engine:
        engine.configure()
        await engine.frame()
        os.kill(engine.process.pid, signal.SIGINT)
        for _ in range(10):
            await engine.frame()
        assert engine.process.poll() is None
