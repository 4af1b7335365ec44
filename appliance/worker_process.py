"""The engine's handle on one worker process: spawn it, feed it, notice that it died or froze, and reap it."""

import asyncio
import logging
import socket
import sys
import time
from collections.abc import Callable
from typing import Any

from .errors import PipeError, WorkerError
from .media.pipe import Kind, WorkerPipe, parse_control

log = logging.getLogger(__name__)

# Workers report each 0.5 s; a room notices a frozen picture after about a second.
SILENCE_LIMIT_S = 1.5
# The first import of a codec library from an SD card takes its time.
START_LIMIT_S = 15.0
EXIT_LIMIT_S = 1.5


class WorkerProcess:
    """One worker. `run()` is a job: it starts the process, and raises WorkerError when that ends or falls silent."""

    def __init__(
        self,
        name: str,
        configure: Callable[[], dict[str, Any]],
        on_media: Callable[[Kind, bytes, int, bool], None],
        on_report: Callable[[dict[str, Any]], None],
        on_running: Callable[[int | None], None],
        *,
        is_quiet: bool = False,
    ) -> None:
        """`configure` is asked for the first message at each start, so that a new process gets the state of now.

        `on_running` gets the process id when the worker is ready, and None when it is gone. The log of a quiet worker
        is thrown away.
        """
        self._name = name
        self._configure = configure
        self._on_media = on_media
        self._on_report = on_report
        self._on_running = on_running
        self._stderr = asyncio.subprocess.DEVNULL if is_quiet else None
        self._pipe: WorkerPipe | None = None
        self._heard = 0.0
        self._ready = False
        self._gone = asyncio.Event()
        self._fault: Exception | None = None
        self._pid: int | None = None

    def send(self, kind: Kind, payload: bytes, time_ns: int = 0, *, is_keyframe: bool = False) -> bool:
        pipe = self._pipe
        return pipe is not None and pipe.send(kind, payload, time_ns, is_keyframe=is_keyframe)

    def command(self, message: dict[str, Any]) -> bool:
        """Send a control message; False when the worker is away (its next start reads the state anew)."""
        pipe = self._pipe
        return pipe is not None and pipe.send_control(message)

    def replace(self, reason: str) -> None:
        """Have this process end and another take its place: it lives, and does not do its work."""
        if self._pipe is not None:
            self._fault = WorkerError(reason)
            self._gone.set()

    async def run(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            # Room for one large keyframe, so that a busy reader costs no dropped frames.
            for end in (ours, theirs):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 512 * 1024)
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                f"appliance.workers.{self._name}",
                str(theirs.fileno()),
                pass_fds=(theirs.fileno(),),
                stdin=asyncio.subprocess.DEVNULL,
                stderr=self._stderr,
            )
        except OSError as error:
            ours.close()
            raise WorkerError(f"{self._name} worker cannot be started: {error}") from error
        finally:
            theirs.close()
        self._gone = asyncio.Event()
        self._fault = None
        self._ready = False
        self._heard = time.monotonic()
        self._pid = process.pid
        pipe = WorkerPipe(self._message, self._closed)
        exited = asyncio.ensure_future(process.wait())
        try:
            ours.setblocking(False)
            await asyncio.get_running_loop().create_connection(lambda: pipe, sock=ours)
            self._pipe = pipe
            pipe.send_control(self._configure())
            await self._watch(process, exited)
        finally:
            self._pipe = None
            if self._ready:
                self._on_running(None)
            pipe.close()
            await self._reap(process, exited)

    async def _watch(self, process: asyncio.subprocess.Process, exited: asyncio.Future[int]) -> None:
        gone = asyncio.ensure_future(self._gone.wait())
        try:
            while True:
                limit = SILENCE_LIMIT_S if self._ready else START_LIMIT_S
                left = self._heard + limit - time.monotonic()
                if left <= 0:
                    raise WorkerError(f"{self._name} worker {process.pid} is silent for {limit:.1f} s; replacing it")
                # The limit shrinks when the worker becomes ready, which does not end this wait.
                wait_s = min(left, SILENCE_LIMIT_S)
                await asyncio.wait((gone, exited), timeout=wait_s, return_when=asyncio.FIRST_COMPLETED)
                if exited.done():
                    raise WorkerError(f"{self._name} worker {process.pid} ended with status {exited.result()}")
                if gone.done() and isinstance(self._fault, WorkerError):
                    raise WorkerError(f"{self._name} worker {process.pid} is replaced: {self._fault}")
                if gone.done():
                    raise WorkerError(
                        f"{self._name} worker {process.pid} closed its pipe ({self._fault or 'no reason'})"
                    )
        finally:
            gone.cancel()

    async def _reap(self, process: asyncio.subprocess.Process, exited: asyncio.Future[int]) -> None:
        """Wait for the end that closing the pipe asks for; kill a process that does not heed it."""
        if time.monotonic() - self._heard < SILENCE_LIMIT_S:
            await asyncio.wait((exited,), timeout=EXIT_LIMIT_S)
        if not exited.done():
            process.kill()
        await exited

    def _message(self, kind: Kind, payload: bytes, time_ns: int, is_keyframe: bool) -> None:
        self._heard = time.monotonic()
        if kind is not Kind.CONTROL:
            self._on_media(kind, payload, time_ns, is_keyframe)
            return
        message = parse_control(payload)
        if message.get("type") == "ready":
            self._ready = True
            self._on_running(self._pid)
            return
        if "type" not in message:
            raise PipeError(f"{self._name} worker sent a report without a type")
        self._on_report(message)

    def _closed(self, error: Exception | None) -> None:
        self._fault = error
        self._gone.set()
