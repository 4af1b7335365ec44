"""What is plugged in, by option; a check without its device is skipped and says so."""

import os
from pathlib import Path

import pytest

from appliance.media.alsa import list_devices


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--camera", default="/dev/video0", help="the USB camera (default /dev/video0)")
    parser.addoption("--microphone", default="default", help="ALSA capture device (default: default)")
    parser.addoption("--speaker", default="default", help="ALSA playback device (default: default)")
    parser.addoption("--person", action="store_true", help="a person is there to press buttons and watch lights")


@pytest.fixture
def camera(request: pytest.FixtureRequest) -> str:
    device = str(request.config.getoption("--camera"))
    if not Path(device).exists():
        pytest.skip(f"no camera at {device}")
    return device


@pytest.fixture
def microphone(request: pytest.FixtureRequest) -> str:
    if not _sound_cards():
        pytest.skip("no sound card in /proc/asound")
    if not list_devices("capture"):
        pytest.skip("no sound card that records")
    return str(request.config.getoption("--microphone"))


@pytest.fixture
def speaker(request: pytest.FixtureRequest) -> str:
    if not _sound_cards():
        pytest.skip("no sound card in /proc/asound")
    return str(request.config.getoption("--speaker"))


def _sound_cards() -> bool:
    return any(Path("/proc/asound").glob("card[0-9]*"))


@pytest.fixture
def person(request: pytest.FixtureRequest) -> None:
    if not request.config.getoption("--person"):
        pytest.skip("needs a person at the board (--person -s)")


@pytest.fixture
def board() -> None:
    if not Path("/proc/device-tree/model").exists() or not any(Path("/dev").glob("gpiochip*")):
        pytest.skip("not on a board with GPIO pins")
    if not os.access("/dev/gpiochip0", os.R_OK | os.W_OK):
        pytest.skip("no permission for /dev/gpiochip0 (group gpio)")
