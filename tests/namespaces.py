"""Network namespaces for tests: whether there can be any here, and if not, why."""

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache

import psutil
import pytest


def ip(*arguments: str) -> None:
    """Run iproute2's `ip`; CalledProcessError when it refuses."""
    subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True)


@cache
def missing() -> str | None:
    """Why no namespace can be made here, or None. Root in an ordinary container may not, whatever its uid says."""
    if shutil.which("ip") is None:
        return "iproute2 is not installed (tools/setup test)"
    name = f"bp-try-{os.getpid()}"
    try:
        ip("netns", "add", name)
        ip("netns", "delete", name)
    except subprocess.CalledProcessError as error:
        return f"no network namespaces here: {error.stderr.strip()}"
    return None


def need() -> None:
    """Skip the test, and say why, where namespaces cannot be made."""
    reason = missing()
    if reason is not None:
        pytest.skip(reason)


@dataclass(frozen=True, slots=True)
class Place:
    """Where programs run that do not use loopback addresses: with this prefix, at this address, on this device."""

    prefix: tuple[str, ...]
    address: str
    device: str


@contextmanager
def a_place() -> Iterator[Place]:
    """A namespace with an address of its own, or else this machine by its own address; skips where there is neither."""
    if missing() is not None:
        yield _this_machine()
        return
    name = f"bridgepoint-{os.getpid()}"
    ip("netns", "add", name)
    try:
        inside = ("-n", name)
        ip(*inside, "link", "set", "lo", "up")
        ip(*inside, "link", "add", "bp0", "type", "veth", "peer", "name", "bp1")
        ip(*inside, "addr", "add", "10.77.0.1/24", "dev", "bp0")
        for device in ("bp0", "bp1"):
            ip(*inside, "link", "set", device, "up")
        yield Place(("ip", "netns", "exec", name), "10.77.0.1", "bp0")
    finally:
        ip("netns", "delete", name)


def _this_machine() -> Place:
    for device, addresses in psutil.net_if_addrs().items():
        for entry in addresses:
            if entry.family == socket.AF_INET and not entry.address.startswith("127."):
                return Place((), entry.address, device)
    pytest.skip(f"no address but loopback, and {missing()}")
