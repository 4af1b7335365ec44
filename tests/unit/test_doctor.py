"""The doctor: each check's good and bad outcome, and the whole of it with real workers and a real server."""

import asyncio
import errno
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from aiohttp import web
from click.testing import CliRunner

from appliance import doctor, doctor_media
from appliance.cli import main
from appliance.control.protocol import hello
from appliance.control.server import Commands, ControlServer
from appliance.control.words import WORDS
from appliance.errors import ControlError
from appliance.paths import Paths
from appliance.problems import CATALOGUE
from appliance.settings import Meeting, Settings
from appliance.state import ApplianceState, StateStore

CAMERA = {
    "frames": 10,
    "source": "testcard",
    "width": 640,
    "height": 360,
    "fps": 30,
    "encoder": "x264",
    "bitrate_bps": 900_000,
    "camera_on": True,
}
SOUND = {"level_dbfs": -20.0, "muted": False, "source": "tone", "sink": "null", "playout_delay_ns": 40_000_000}


def results(findings: Any) -> dict[str, str]:
    return {finding.check: finding.result for finding in findings}


def test_a_camera_that_gives_pictures_is_well_and_its_encoder_named() -> None:
    findings = doctor_media._camera(CAMERA, {**CAMERA, "frames": 50}, set())
    assert results(findings) == {"camera": "ok", "encoder": "ok"}
    assert "x264" in findings[1].found[1]


@pytest.mark.parametrize(
    ("first", "last", "problems"),
    [(CAMERA, CAMERA, set()), (None, None, set()), (CAMERA, {**CAMERA, "frames": 50}, {"camera-missing"})],
    ids=["stands still", "no worker", "lost"],
)
def test_a_camera_without_pictures_has_failed_and_its_cable_is_named(first: Any, last: Any, problems: set[str]) -> None:
    (finding,) = doctor_media._camera(first, last, problems)
    assert finding.result == "failed"
    assert finding.cure is not None
    assert "cable" in finding.cure[1]


def test_a_silent_microphone_is_a_warning_and_a_muted_one_is_told() -> None:
    silent = doctor_media._sound({**SOUND, "level_dbfs": -90.0}, {**SOUND, "level_dbfs": -88.0}, set())
    assert results(silent) == {"microphone": "warning", "speaker": "ok"}
    muted = doctor_media._sound(SOUND, {**SOUND, "muted": True}, set())
    assert "(muted)" in muted[0].found[1]


def test_a_speaker_that_plays_nothing_has_failed() -> None:
    assert results(doctor_media._sound(SOUND, {**SOUND, "playout_delay_ns": 0}, set()))["speaker"] == "failed"
    assert results(doctor_media._sound(SOUND, SOUND, {"speaker-missing"}))["speaker"] == "failed"
    assert results(doctor_media._sound(None, None, set())) == {"microphone": "failed"}


def test_a_card_that_cannot_be_written_has_failed(tmp_path: Path) -> None:
    assert results(doctor._disk(tmp_path)) == {"disk": "ok"}
    assert list(tmp_path.iterdir()) == []
    tmp_path.joinpath("file").touch()
    assert results(doctor._disk(tmp_path / "file" / "state")) == {"disk": "failed"}


def test_a_full_card_is_no_dead_one_and_the_check_leaves_nothing_on_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(doctor.os, "fsync", full)
    (finding,) = doctor._disk(tmp_path)
    assert finding.found[1].startswith(CATALOGUE["storage-full"].cause_en)
    assert list(tmp_path.iterdir()) == []


def test_a_nearly_full_card_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "LEAST_FREE_MB", 10**12)
    assert results(doctor._disk(tmp_path)) == {"disk": "warning"}


@pytest.fixture
async def mcu() -> AsyncIterator[tuple[str, dict[str, str]]]:
    """A server that answers anything with these headers."""
    headers: dict[str, str] = {}

    async def answer(request: web.Request) -> web.Response:
        return web.Response(status=204, headers=headers)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}", headers
    await runner.cleanup()


def meeting(url: str) -> Meeting:
    return Meeting(id="a", name="Giao ban", send_url=f"{url}/whip", receive_url=f"{url}/whep", allow_http=True)


async def test_a_wrong_clock_is_told_by_the_mcu_s(mcu: tuple[str, dict[str, str]]) -> None:
    assert results(await doctor._clock([meeting(mcu[0])])) == {"clock": "ok"}
    mcu[1]["Date"] = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + 3600))
    (finding,) = await doctor._clock([meeting(mcu[0])])
    assert finding.result == "failed"
    assert "off the MCU" in finding.found[1]
    mcu[1]["Date"] = "no date"
    assert results(await doctor._clock([meeting(mcu[0])])) == {"clock": "ok"}


async def test_a_clock_from_before_the_unit_was_made_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor.time, "time", lambda: 1_000_000.0)
    assert results(await doctor._clock([])) == {"clock": "failed"}


async def test_a_check_that_hangs_is_ended_and_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def hang(*_: Any) -> Any:
        await doctor.asyncio.sleep(3600)

    monkeypatch.setattr(doctor, "CHECK_LIMIT_S", 0.2)
    monkeypatch.setattr(doctor, "examine_unit", hang)
    findings = await doctor.examine(Paths(tmp_path, tmp_path / "socket", tmp_path / "none"), lambda _: None)
    found = results(findings)
    assert found["unit"] == "failed"
    assert list(found) == list(doctor.NAMES), "each check has its line, in order"
    assert found["camera"] == found["speaker"] == "skipped"
    assert found["mcu"] == "skipped", "without meetings there is none to ask"


@pytest.mark.parametrize("error", [ControlError("the bridge point ended", code="gone"), UnicodeError("label empty")])
async def test_a_check_that_fails_unexpectedly_costs_no_other_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    async def fail(*_: Any) -> Any:
        raise error

    monkeypatch.setattr(doctor, "examine_unit", fail)
    monkeypatch.setattr(doctor, "examine_network", fail)
    findings = await doctor.examine(Paths(tmp_path, tmp_path / "socket", tmp_path / "none"), lambda _: None)
    found = results(findings)
    assert list(found) == list(doctor.NAMES)
    assert found["unit"] == found["network"] == "failed"
    assert found["disk"] == "ok"


class PlayedUnit(Commands):
    """A running unit that does nothing."""

    def join(self, meeting_id: str | None = None) -> None: ...
    def leave(self) -> None: ...
    def mute(self, *, on: bool) -> None: ...
    def camera(self, *, on: bool) -> None: ...
    async def press(self, button: str) -> None: ...
    async def snapshot(self) -> bytes:
        return b""

    def changes(self) -> AsyncIterator[ApplianceState]:
        raise NotImplementedError


async def test_every_problem_of_the_running_unit_has_its_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_media, "LOOK_S", 0.0)
    store = StateStore(ApplianceState())
    paths = Paths(tmp_path, tmp_path / "socket", tmp_path / "none")
    async with ControlServer(paths.socket, PlayedUnit(), store):
        assert results(await doctor_media.examine_unit(paths, Settings()))["unit"] == "ok"
        for code in CATALOGUE:
            store.raise_problem(code, "detail")
        findings = await doctor_media.examine_unit(paths, Settings())
    said = {finding.found[1].removesuffix(" (detail)"): finding.result for finding in findings}
    devices = ("camera-", "video-", "microphone-", "sound-", "speaker-")
    for code, row in CATALOGUE.items():
        if not code.startswith(devices):
            assert said[row.cause_en] == ("failed" if row.severity == "fault" else "warning")
    assert {"camera", "microphone", "speaker"} <= set(results(findings))


async def test_a_unit_that_ends_while_it_is_asked_is_told_in_both_languages(tmp_path: Path) -> None:
    async def end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(hello("1"))
        await reader.readline()
        writer.transport.abort()

    paths = Paths(tmp_path, tmp_path / "socket", tmp_path / "none")
    async with await asyncio.start_unix_server(end, paths.socket):
        (finding,) = await doctor_media.examine_unit(paths, Settings())
    assert (finding.check, finding.result) == ("unit", "failed")
    assert finding.found == WORDS["gone"]


def test_the_whole_of_it_with_real_workers(tmp_path: Path) -> None:
    settings = {
        "video": {"source": "testcard", "width": 320, "height": 180},
        "audio": {"source": "tone", "sink": "null"},
        "meetings": [meeting("http://127.0.0.1:9").model_dump(exclude_none=True, exclude={"token"})],
    }
    tmp_path.joinpath("settings.toml").write_text(tomli_w.dumps(settings), encoding="utf-8")
    place = ["--state-dir", str(tmp_path), "--socket", str(tmp_path / "socket")]
    found = CliRunner().invoke(main, [*place, "doctor", "--json"])
    assert found.exit_code == 1, "the MCU is not there"
    checks = {check["check"]: check["result"] for check in json.loads(found.stdout.splitlines()[-1])["checks"]}
    assert checks.pop("mcu") == "failed"
    assert checks == {
        "unit": "warning",
        "settings": "ok",
        "camera": "ok",
        "encoder": "ok",
        "microphone": "ok",
        "speaker": "ok",
        "network": "ok",
        "clock": "ok",
        "disk": "ok",
    }
    human = subprocess.run(
        [sys.executable, "-m", "appliance", *place, "doctor"], capture_output=True, text=True, check=False
    )
    assert "→ Kiểm tra dây mạng" in human.stdout
    assert "✓ Camera" in human.stdout
    assert human.stderr == "", "no log of a worker among the lines"
