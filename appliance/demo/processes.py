"""Programs that a demonstration starts: started together, watched, ended together, and what they cost."""

import asyncio
import os
import signal
import socket
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from appliance.errors import ApplianceError, ControlError

T = TypeVar("T")
_TICKS = os.sysconf("SC_CLK_TCK")


class DemoError(ApplianceError):
    """The demonstration cannot go on; the message says which program failed and shows its last words."""


def bridgepoint(*arguments: str) -> list[str]:
    """The command line of our own program."""
    return [sys.executable, "-m", "appliance", *arguments]


# However the demonstration ends, by kill -9 too, the kernel ends what it started (prctl(2), PR_SET_PDEATHSIG).
# setpriv is a part of util-linux, which every Debian has; what it runs keeps its process id.
_DIE_WITH_PARENT = ("setpriv", "--pdeathsig", "KILL", "--")


class Program:
    """A child process, its output kept in a file. Ends with the `async with`, and with this process in any case."""

    def __init__(self, name: str, command: Sequence[str], log_file: Path) -> None:
        self._name = name
        self._command = command
        self._log_file = log_file
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """None while it runs."""
        assert self._process is not None
        return self._process.returncode

    async def __aenter__(self) -> Self:
        with self._log_file.open("ab") as output:
            self._process = await asyncio.create_subprocess_exec(
                *_DIE_WITH_PARENT,
                *self._command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                # Ctrl-C is for the demonstration, which then ends its programs in order.
                start_new_session=True,
            )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        process = self._process
        assert process is not None
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
            try:
                await asyncio.wait_for(process.wait(), 8.0)
            except TimeoutError:
                process.kill()
                await process.wait()
            except asyncio.CancelledError:
                # Whoever asks twice wants it now.
                process.kill()
                raise

    def check(self) -> None:
        """Raise DemoError when the program has ended by itself."""
        assert self._process is not None
        if self._process.returncode is not None:
            raise DemoError(f"{self._name} ended with status {self._process.returncode}:\n{self.last_words()}")

    async def ended(self) -> int:
        """Wait for its end; the exit status."""
        assert self._process is not None
        return await self._process.wait()

    def last_words(self) -> str:
        try:
            return "\n".join(self._log_file.read_text(errors="replace").splitlines()[-15:])
        except OSError:
            return ""


async def wait_for(
    what: str, probe: Callable[[], Awaitable[T | None]], programs: Sequence[Program], limit_s: float
) -> T:
    """Ask `probe` until it gives something; DemoError when a program ends meanwhile or the time is over."""
    end = time.monotonic() + limit_s
    while True:
        for program in programs:
            program.check()
        found = await probe()
        if found is not None:
            return found
        if time.monotonic() > end:
            words = "\n".join(program.last_words() for program in programs)
            raise DemoError(f"{what}: not within {limit_s:.0f} s\n{words}")
        await asyncio.sleep(0.02)


@contextmanager
def last_words_of(programs: Sequence[Program]) -> Iterator[None]:
    """Show what the programs said last when one of them no longer answers: their logs end with the demonstration."""
    try:
        yield
    except ControlError as error:
        words = "\n".join(words for program in programs if (words := program.last_words()))
        raise DemoError(f"{error}\n{words}") from error


def free_port() -> int:
    """A TCP port of 127.0.0.1 that was free a moment ago."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
        assert isinstance(port, int)
        return port


@dataclass(frozen=True, slots=True)
class Cost:
    """What a process has used: processor seconds so far, and its proportional share of memory now (MB)."""

    cpu_s: float
    pss_mb: float


def cost_of(pid: int) -> Cost | None:
    """Read /proc (proc(5)); None when the process is gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return None
    pss_kb = next((int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:")), 0)
    return Cost((int(stat[11]) + int(stat[12])) / _TICKS, pss_kb / 1024)
