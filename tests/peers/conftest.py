"""Peers that nobody here wrote: each fixture finds one, or skips with the reason why it cannot.

In CI (the variable CI is set) a peer that the distribution has must be there: a call that nobody held is no proof.
"""

import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import NoReturn

import pytest

from tests.namespaces import Place, a_place

HERE = Path(__file__).parent


def in_distribution(package: str) -> bool:
    """Whether apt could install it (apt-cache(8))."""
    if shutil.which("apt-cache") is None:
        return False
    said = subprocess.run(["apt-cache", "policy", package], capture_output=True, text=True, check=False).stdout
    candidate = next((line.split()[-1] for line in said.splitlines() if "Candidate:" in line), "(none)")
    return candidate != "(none)"


def absent(package: str) -> NoReturn:
    """Skip, or in CI fail, because this peer is not installed."""
    if not in_distribution(package):
        pytest.skip(f"{package} is not in this distribution")
    reason = f"{package} is not installed (tools/setup test)"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def _program(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        absent(name)
    return path


@pytest.fixture
def node() -> str:
    """The path of node, with the JavaScript peers installed."""
    path = shutil.which("node")
    if path is None:
        absent("nodejs")
    if not HERE.joinpath("node_modules/werift").exists():
        absent("npm")
    return path


@pytest.fixture
def chromium() -> str:
    """The path of Debian's Chromium."""
    return _program("chromium")


@pytest.fixture
def janus() -> str:
    """The path of Debian's Janus."""
    return _program("janus")


@pytest.fixture
def place() -> Iterator[Place]:
    """Where a peer runs that does not use loopback addresses."""
    with a_place() as found:
        yield found


@pytest.fixture
async def programs() -> AsyncIterator[AsyncExitStack]:
    """Where a test enters the programs it starts; they end with the test."""
    async with AsyncExitStack() as stack:
        yield stack
