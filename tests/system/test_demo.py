"""The commands that README promises, as a newcomer gives them."""

import asyncio
import json
import os
import signal
import subprocess
import urllib.request
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from appliance.demo.processes import Program, bridgepoint, free_port, wait_for
from tests.call import children_of, settled, vanished

pytestmark = pytest.mark.timeout(120)


def _demo(*arguments: str) -> dict[str, Any]:
    done = subprocess.run(
        bridgepoint("demo", "--json", *arguments),
        capture_output=True,
        text=True,
        timeout=90,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return figures


def _plausible(figures: dict[str, Any], seconds: float) -> None:
    video, audio = figures["video"], figures["audio"]
    assert figures["state"] == "live"
    assert 0 < figures["connect_ms"] < 5000
    assert 20 * seconds < video["frames_captured"] < 40 * (seconds + 3)
    assert 0.8 * video["frames_captured"] - 45 < video["frames_sent"] <= video["frames_captured"] + 30
    assert video["frames_shown"] > 15 * seconds
    assert 5 < video["glass_to_glass_ms"]["p50"] <= video["glass_to_glass_ms"]["p95"] < 1000
    assert audio["blocks_sent"] > 40 * seconds
    assert audio["blocks_played"] > 40 * seconds
    assert 20 < audio["mouth_to_ear_ms"]["p50"] < 1000
    assert abs(figures["av_offset_ms"]["p50"]) < 200
    assert set(figures["cpu_s"]) >= {"engine", "camera", "sound", "screen"}
    assert all(value > 0 for value in figures["pss_mb"].values())
    assert figures["mcu"]["cpu_s"] > 0


def test_a_measured_demo_tells_what_arrived() -> None:
    _plausible(_demo("--seconds", "6"), 6)


def test_a_measured_demo_takes_any_footage_and_sound(tmp_path: Path) -> None:
    footage, sound = tmp_path / "phim.mp4", tmp_path / "tiếng.wav"
    _write_footage(footage)
    _write_sound(sound)
    port = free_port()
    given = ("--video", str(footage), "--audio", str(sound), "--panel", f"127.0.0.1:{port}")
    process = subprocess.Popen(
        bridgepoint("demo", "--json", "--seconds", "6", *given), stdout=subprocess.PIPE, text=True
    )
    panel = _panel_answers(port, process)
    out, _ = process.communicate(timeout=90)
    assert process.returncode == 0, out
    assert panel
    figures = json.loads(out.splitlines()[-1])
    _plausible(figures, 6)
    assert figures["pss_mb"]["panel"] > 0


def _panel_answers(port: int, process: "subprocess.Popen[str]") -> bool:
    while process.poll() is None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/login", timeout=1) as answer:
                return bool(answer.status == 200)
        except OSError:
            continue
    return False


def _write_footage(path: Path) -> None:
    with av.open(path, "w") as file:
        stream = file.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 640, 480, "yuv420p"
        for number in range(50):
            picture = np.full((480, 640, 3), 40 + number, np.uint8)
            picture[100:300, 8 * number : 8 * number + 100] = (200, 60, 30)
            file.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        file.mux(stream.encode(None))


def _write_sound(path: Path) -> None:
    rate = 16_000
    noise = np.random.default_rng(5).normal(0, 4000, rate * 4)
    swell = np.abs(np.sin(np.arange(rate * 4) * 2 * np.pi * 1.3 / rate))
    samples = (noise * swell).astype(np.int16)
    with av.open(path, "w") as file:
        stream = file.add_stream("pcm_s16le", rate=rate)
        frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="s16", layout="mono")
        frame.sample_rate = rate
        file.mux(stream.encode(frame))
        file.mux(stream.encode(None))


async def test_the_demo_for_people_shows_its_addresses_and_ends_with_ctrl_c(tmp_path: Path) -> None:
    log = tmp_path / "demo.log"
    async with Program("demo", bridgepoint("demo"), log) as demo:

        async def said(words: str) -> bool | None:
            return words in log.read_text() or None

        await wait_for("the addresses", lambda: said("Ctrl-C"), [demo], 60)
        await wait_for("both live", lambda: said("live"), [demo], 30)
        text = log.read_text()
        assert "http://127.0.0.1" in text
        assert "Xã Tân Lập" in text
        assert "Phường Bến Nghé" in text
        everyone = [pid for child in children_of(demo.pid) for pid in (child, *children_of(child))]
        assert len(everyone) >= 10
        os.kill(demo.pid, signal.SIGINT)
        await asyncio.wait_for(demo.ended(), 15)
        assert demo.returncode == 0
        await vanished(everyone, 3)


async def _everyone(demo: Program, at_least: int) -> list[int]:
    """The demonstration's processes and theirs, once so many run."""

    async def running() -> list[int] | None:
        found = [pid for child in children_of(demo.pid) for pid in (child, *children_of(child))]
        return found if len(found) >= at_least else None

    return await wait_for("the processes", running, [demo], 60)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
async def test_a_signal_ends_a_measured_demo_in_order_and_is_told(tmp_path: Path, number: signal.Signals) -> None:
    log = tmp_path / "demo.log"
    async with Program("demo", bridgepoint("demo", "--seconds", "60", "--json"), log) as demo:
        everyone = await _everyone(demo, 5)
        os.kill(demo.pid, number)
        await asyncio.wait_for(demo.ended(), 15)
        assert demo.returncode == 128 + number
        await vanished(everyone, 3)
    assert json.loads(log.read_text().splitlines()[-1]) == {"state": "failed", "error": f"stopped by {number.name}"}


async def test_ctrl_c_is_obeyed_while_the_demo_is_still_being_set_up(tmp_path: Path) -> None:
    log = tmp_path / "demo.log"
    async with Program("demo", bridgepoint("demo"), log) as demo:
        everyone = await _everyone(demo, 1)
        assert "Ctrl-C" not in log.read_text()
        os.kill(demo.pid, signal.SIGINT)
        # Much less than the setting-up takes when a part does not start.
        await asyncio.wait_for(demo.ended(), 10)
        assert demo.returncode == 0
        await vanished(everyone, 3)


async def test_a_demo_that_is_killed_leaves_nothing_running(tmp_path: Path) -> None:
    async with Program("demo", bridgepoint("demo", "--seconds", "60", "--json"), tmp_path / "demo.log") as demo:
        everyone = await _everyone(demo, 5)
        os.kill(demo.pid, signal.SIGKILL)
        await vanished(everyone, 5)


async def test_a_worker_that_is_killed_in_a_measured_call_is_counted_with_its_successor(tmp_path: Path) -> None:
    log = tmp_path / "demo.log"
    async with Program("demo", bridgepoint("demo", "--seconds", "8", "--json"), log) as demo:

        async def live() -> bool | None:
            return "live" in log.read_text() or None

        await wait_for("the call", live, [demo], 60)
        await settled(4)
        camera = next(pid for pid in await _everyone(demo, 5) if "workers.camera" in _command_line(pid))
        os.kill(camera, signal.SIGKILL)
        await asyncio.wait_for(demo.ended(), 60)
        assert demo.returncode == 0
    video = json.loads(log.read_text().splitlines()[-1])["video"]
    # The half second before the kill was not reported any more.
    assert video["frames_captured"] > 25 * 5
    assert video["freezes"] >= 1


def _command_line(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")


async def test_options_of_a_measured_demo_alone_are_refused_with_a_hint(tmp_path: Path) -> None:
    log = tmp_path / "demo.log"
    async with Program("demo", bridgepoint("demo", "--json"), log) as demo:
        await asyncio.wait_for(demo.ended(), 30)
        assert demo.returncode == 2
        assert "--seconds" in log.read_text()
