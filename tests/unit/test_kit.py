"""The tools around the code keep their word: what CI checks, what a hanging test costs, what a missing peer means."""

import importlib.machinery
import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tests import namespaces
from tests.call import vanished
from tests.peers import conftest as peers

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def check_demo() -> ModuleType:
    loader = importlib.machinery.SourceFileLoader("check_demo", str(ROOT / "tools/check-demo"))
    spec = importlib.util.spec_from_loader("check_demo", loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


def _figures(offset_ms: float | None) -> dict[str, Any]:
    return {
        "state": "live",
        "seconds": 8.0,
        "problems": [],
        "video": {"frames_shown": 230, "glass_to_glass_ms": {"p50": 60.0, "p95": 80.0}},
        "audio": {"blocks_sent": 390, "blocks_played": 390, "mouth_to_ear_ms": {"p50": 120.0, "p95": 130.0}},
        "av_offset_ms": {"p50": offset_ms, "p95": offset_ms},
        "pss_mb": {"engine": 50.0, "camera": 50.0, "sound": 40.0, "screen": 40.0},
    }


@pytest.mark.parametrize("offset_ms", [0.0, -199.0, 12.5])
def test_picture_and_sound_together_pass_the_check(check_demo: ModuleType, offset_ms: float) -> None:
    assert check_demo.faults(_figures(offset_ms)) == []


@pytest.mark.parametrize("offset_ms", [None, 200.0, -300.0])
def test_picture_and_sound_apart_do_not(check_demo: ModuleType, offset_ms: float | None) -> None:
    assert check_demo.faults(_figures(offset_ms)) == ["picture and sound are together within 200 ms"]


def test_a_busy_machine_fails_no_property() -> None:
    assert settings.default.deadline is None
    assert HealthCheck.too_slow in settings.default.suppress_health_check


HANGING = """
import asyncio, sys, threading
import pytest
from appliance.demo.processes import Program

@pytest.mark.timeout(1)
async def test_hangs_in_the_loop(tmp_path):
    async with Program("child", [sys.executable, "-c", "import time; time.sleep(600)"], tmp_path / "log") as child:
        print("child", child.pid)
        await asyncio.sleep(600)

@pytest.mark.timeout(1)
def test_hangs_on_a_lock():
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()

def test_goes_on():
    pass
"""


async def test_a_test_that_hangs_fails_alone_and_leaves_no_process(tmp_path: Path) -> None:
    script = tmp_path / "test_hanging.py"
    script.write_text(HANGING)
    command = [sys.executable, "-m", "pytest", "-q", "-c", str(ROOT / "pyproject.toml"), "-p", "no:cacheprovider"]
    done = subprocess.run([*command, str(script)], cwd=ROOT, capture_output=True, text=True, timeout=40, check=False)
    assert "2 failed, 1 passed" in done.stdout, done.stdout + done.stderr
    pid = next(line.split()[1] for line in done.stdout.splitlines() if line.startswith("child "))
    await vanished([int(pid)], 3)


def test_a_peer_that_the_distribution_lacks_is_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "in_distribution", lambda package: False)
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.skip.Exception, match="not in this distribution"):
        peers.absent("janus")


def test_a_peer_that_is_merely_not_installed_is_skipped_at_home_and_fails_in_ci(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(peers, "in_distribution", lambda package: True)
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="not installed"):
        peers.absent("janus")
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="not installed"):
        peers.absent("janus")


def test_root_without_the_right_to_namespaces_skips_with_the_kernels_reason(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    refusing = tmp_path / "ip"
    refusing.write_text("#!/bin/sh\necho 'mount failed: Operation not permitted' >&2\nexit 1\n")
    refusing.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    namespaces.missing.cache_clear()
    try:
        with pytest.raises(pytest.skip.Exception, match="Operation not permitted"):
            namespaces.need()
        with namespaces.a_place() as place:
            assert place.prefix == ()
            assert not place.address.startswith("127.")
    finally:
        namespaces.missing.cache_clear()
