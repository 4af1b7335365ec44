"""Peers that nobody here wrote: each fixture starts one, or skips with the reason why it cannot."""

import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.fixture
def node() -> str:
    """The path of node, with the JavaScript peers installed."""
    path = shutil.which("node")
    if path is None or not HERE.joinpath("node_modules/werift").exists():
        pytest.skip("node or werift is not installed (tools/setup test)")
    return path


@pytest.fixture
def chromium() -> str:
    """The path of Debian's Chromium."""
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("chromium is not installed (tools/setup test)")
    return path


@pytest.fixture
def janus() -> str:
    """The path of Debian's Janus."""
    path = shutil.which("janus")
    if path is None:
        pytest.skip("janus is not in this distribution")
    return path


@pytest.fixture
def namespace() -> Iterator[str]:
    """A network namespace with an address of its own: some peers do not use loopback addresses."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip("network namespaces need root and iproute2")
    name = f"bridgepoint-{os.getpid()}"

    def ip(*arguments: str) -> None:
        subprocess.run(["ip", *arguments], check=True, capture_output=True)

    ip("netns", "add", name)
    try:
        inside = ("-n", name)
        ip(*inside, "link", "set", "lo", "up")
        ip(*inside, "link", "add", "bp0", "type", "veth", "peer", "name", "bp1")
        ip(*inside, "addr", "add", "10.77.0.1/24", "dev", "bp0")
        for device in ("bp0", "bp1"):
            ip(*inside, "link", "set", device, "up")
        yield name
    finally:
        ip("netns", "delete", name)


@pytest.fixture
async def programs() -> AsyncIterator[AsyncExitStack]:
    """Where a test enters the programs it starts; they end with the test."""
    async with AsyncExitStack() as stack:
        yield stack
