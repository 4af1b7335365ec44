"""A line between two network namespaces, whose behaviour can be changed while a call runs over it.

async with LinePath(PROFILES["burst5"], seed=1) as line:
    ...                      # start programs with line.unit.prefix and line.far.prefix
    await line.cut()         # pull the cable
    await line.plug()        # and plug it in again
    await line.clean()       # from now on a good line
    print(await line.stats())
"""

import asyncio
import itertools
import json
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from appliance.errors import ApplianceError

from .profiles import PROFILES, Profile

_PREFIX = "bpline"
_ANSWER_LIMIT_S = 5.0
# A network of their own, beside the line's.
SPARE_HOSTS = ("10.77.1.1", "10.77.1.2")
# A process may have several lines.
_NUMBERS = itertools.count()


class PathError(ApplianceError):
    """The line cannot be built, or does not obey; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class End:
    """One end of the line: its namespace, its device in it, and its address."""

    namespace: str
    device: str
    host: str

    @property
    def prefix(self) -> tuple[str, ...]:
        """What to put before a command so that it runs at this end."""
        return ("ip", "netns", "exec", self.namespace)


def missing() -> str | None:
    """Why no line can be built here, or None."""
    if os.geteuid() != 0:
        return "network namespaces need root: run it with sudo"
    if shutil.which("ip") is None:
        return "iproute2 is not installed (tools/setup bench)"
    if not Path("/dev/net/tun").exists():
        return "the kernel has no TUN device here (/dev/net/tun): load the module tun, or give it to the container"
    # Root in an ordinary container may make no namespace, whatever its uid says.
    name = f"{_PREFIX}-try-{os.getpid()}"
    tried = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True, check=False)
    if tried.returncode:
        return f"no network namespaces here: {tried.stderr.strip()}"
    subprocess.run(["ip", "netns", "delete", name], check=True, capture_output=True)
    return None


class LinePath:
    """Two namespaces, a TUN device in each, and the forwarder between them. Needs root."""

    def __init__(self, profile: Profile | None = None, *, seed: int = 1) -> None:
        self._profile = profile or PROFILES["clean"]
        self._seed = seed
        pid, number = os.getpid(), next(_NUMBERS)
        self.unit = End(f"{_PREFIX}-{pid}-{number}-unit", f"bu{pid}n{number}", "10.77.0.1")
        self.far = End(f"{_PREFIX}-{pid}-{number}-far", f"bf{pid}n{number}", "10.77.0.2")
        self._process: asyncio.subprocess.Process | None = None
        self._turn = asyncio.Lock()

    async def __aenter__(self) -> Self:
        if reason := missing():
            raise PathError(reason)
        _remove_left_over()
        try:
            await self._open()
        except BaseException:
            await self._close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._close()

    async def _open(self) -> None:
        for end in (self.unit, self.far):
            _ip("netns", "add", end.namespace)
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "bench.line.forwarder", self.unit.device, self.far.device),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        await self._answer()
        for end, other in ((self.unit, self.far), (self.far, self.unit)):
            inside = ("-n", end.namespace)
            # The device is known to the forwarder's file wherever it is.
            _ip("link", "set", end.device, "netns", end.namespace)
            # Nothing but the call's packets: no neighbour discovery of IPv6.
            _ip(*inside, "link", "set", end.device, "addrgenmode", "none")
            _ip(*inside, "addr", "add", end.host, "peer", other.host, "dev", end.device)
            for device in ("lo", end.device):
                _ip(*inside, "link", "set", device, "up")
            _add_default_route(end)
        await self.use(self._profile)
        await self.restart(self._seed)

    async def _close(self) -> None:
        process = self._process
        if process is not None:
            assert process.stdin is not None
            process.stdin.close()
            try:
                await asyncio.wait_for(process.wait(), 2.0)
            except TimeoutError:
                process.kill()
                await process.wait()
        for end in (self.unit, self.far):
            with suppress(PathError):
                _ip("netns", "delete", end.namespace)

    # control

    async def use(self, profile: Profile) -> None:
        """Behave so from now on; what is under way or in the queue stays there."""
        await self._ask({"cmd": "set", "up": asdict(profile.up), "down": asdict(profile.down)})

    async def change(self, *, up: dict[str, Any] | None = None, down: dict[str, Any] | None = None) -> None:
        """Change single values of LinkSettings. Raises PathError for a value that no line can have."""
        await self._ask({"cmd": "set", "up": up or {}, "down": down or {}})

    async def clean(self) -> None:
        """A good line from now on."""
        await self.use(PROFILES["clean"])

    async def cut(self) -> None:
        """Pull the cable: nothing passes, whatever the profile says."""
        await self._ask({"cmd": "cut", "on": True})

    async def plug(self) -> None:
        """Plug it in again."""
        await self._ask({"cmd": "cut", "on": False})

    async def translate(self, offset: int) -> None:
        """Let the far end see UDP from other ports (0: from its own); the mappings of before are forgotten."""
        await self._ask({"cmd": "nat", "offset": offset})

    def unplug_unit(self) -> None:
        """Pull the unit's own cable: its link goes down, and its routes with it."""
        _ip("-n", self.unit.namespace, "link", "set", self.unit.device, "down")

    def plug_unit(self) -> None:
        """And plug it in again; what a DHCP client does, is done."""
        _ip("-n", self.unit.namespace, "link", "set", self.unit.device, "up")
        _add_default_route(self.unit)

    @asynccontextmanager
    async def spare(self) -> AsyncIterator[None]:
        """A second way between the ends that the unit's kernel takes when the first is down, from another address."""
        ours, theirs = f"{self.unit.device}s", f"{self.far.device}s"
        inside, beyond = ("-n", self.unit.namespace), ("-n", self.far.namespace)
        _ip(*inside, "link", "add", ours, "type", "veth", "peer", "name", theirs, "netns", self.far.namespace)
        try:
            for end, device, host in ((inside, ours, SPARE_HOSTS[0]), (beyond, theirs, SPARE_HOSTS[1])):
                _ip(*end, "addr", "add", f"{host}/30", "dev", device)
                _ip(*end, "link", "set", device, "up")
            _ip(*inside, "route", "add", f"{self.far.host}/32", "via", SPARE_HOSTS[1], "metric", "900")
            yield
        finally:
            _ip(*inside, "link", "delete", ours)

    def readdress_unit(self, host: str) -> None:
        """The unit's address becomes another one, as when a router hands out a new lease; `unit.host` stays the old."""
        inside = ("-n", self.unit.namespace)
        _ip(*inside, "addr", "flush", "dev", self.unit.device)
        _ip(*inside, "addr", "add", host, "peer", self.far.host, "dev", self.unit.device)
        _add_default_route(self.unit)

    async def restart(self, seed: int) -> None:
        """Begin fates, scheduled cuts and counters anew."""
        await self._ask({"cmd": "restart", "seed": seed})

    async def stats(self) -> dict[str, Any]:
        """Per direction (`up` is from the unit) what arrived, was delivered, dropped by cause, and the queue."""
        return await self._ask({"cmd": "stats"})

    async def _ask(self, command: dict[str, Any]) -> dict[str, Any]:
        process = self._process
        assert process is not None, "enter it first"
        assert process.stdin is not None
        async with self._turn:
            process.stdin.write(json.dumps(command).encode() + b"\n")
            return await self._answer()

    async def _answer(self) -> dict[str, Any]:
        process = self._process
        assert process is not None
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            line = await asyncio.wait_for(process.stdout.readline(), _ANSWER_LIMIT_S)
        except TimeoutError:
            raise PathError("the forwarder does not answer") from None
        if not line:
            words = (await process.stderr.read()).decode(errors="replace").strip()
            raise PathError(f"the forwarder has ended: {words[-500:]}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise PathError(answer["error"])
        return answer


def _ip(*arguments: str) -> str:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise PathError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout


def _add_default_route(end: End) -> None:
    # Browsers find their own address by it, and any address of the other end is reached by it.
    _ip("-n", end.namespace, "route", "replace", "default", "dev", end.device)


def _remove_left_over() -> None:
    """Namespaces of runs that were killed."""
    for line in _ip("netns", "list").splitlines():
        name = line.split()[0] if line.strip() else ""
        parts = name.split("-")
        if len(parts) == 4 and parts[0] == _PREFIX and parts[1].isdigit() and not Path(f"/proc/{parts[1]}").exists():
            with suppress(PathError):
                _ip("netns", "delete", name)
