"""What every worker process does the same: take the pipe, die with the engine, serve until the pipe closes."""

import asyncio
import ctypes
import logging
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from appliance.errors import PipeError
from appliance.media.pipe import Kind, WorkerPipe, parse_control

log = logging.getLogger(__name__)

_PR_SET_PDEATHSIG = 1


class EnginePort:
    """The worker's end of the pipe: sends media and reports; control messages wait in `commands`."""

    def __init__(self) -> None:
        # Commands are few and each matters (mute!): a worker that lets this many pile up is broken.
        self.commands: asyncio.Queue[dict[str, Any]] = asyncio.Queue(maxsize=256)
        self.on_media: Callable[[Kind, bytes, int, bool], None] = lambda kind, payload, time_ns, is_keyframe: None
        self.closed = asyncio.Event()
        self._pipe = WorkerPipe(self._message, self._closed)

    @property
    def protocol(self) -> WorkerPipe:
        return self._pipe

    @property
    def dropped(self) -> int:
        return self._pipe.dropped

    def send(self, kind: Kind, payload: bytes, time_ns: int = 0, *, is_keyframe: bool = False) -> bool:
        return self._pipe.send(kind, payload, time_ns, is_keyframe=is_keyframe)

    def report(self, message: dict[str, Any]) -> None:
        self._pipe.send_control(message)

    def _message(self, kind: Kind, payload: bytes, time_ns: int, is_keyframe: bool) -> None:
        if kind is not Kind.CONTROL:
            self.on_media(kind, payload, time_ns, is_keyframe)
            return
        try:
            self.commands.put_nowait(parse_control(payload))
        except asyncio.QueueFull as error:
            raise PipeError("the worker does not take its commands") from error

    def _closed(self, error: Exception | None) -> None:
        if error is not None:
            log.warning("pipe to the engine broke: %s", error)
        self.closed.set()


def die_with_parent() -> None:
    """Have the kernel kill this process when its parent ends, even while it is stopped (prctl(2))."""
    parent = os.getppid()
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit("the engine is gone")


async def _serve(descriptor: int, main: Callable[[EnginePort, dict[str, Any]], Awaitable[None]]) -> None:
    port = EnginePort()
    sock = socket.socket(fileno=descriptor)
    sock.setblocking(False)
    await asyncio.get_running_loop().create_connection(lambda: port.protocol, sock=sock)
    closed = asyncio.ensure_future(port.closed.wait())
    work = asyncio.ensure_future(_configured(port, main))
    await asyncio.wait((work, closed), return_when=asyncio.FIRST_COMPLETED)
    if work.done():
        work.result()
    else:
        work.cancel()
        # A device that hangs while it closes must not keep the process: the engine waits for its end.
        await asyncio.wait((work,), timeout=1.0)
    closed.cancel()
    port.protocol.close()


async def _configured(port: EnginePort, main: Callable[[EnginePort, dict[str, Any]], Awaitable[None]]) -> None:
    await main(port, await port.commands.get())


def run_worker(main: Callable[[EnginePort, dict[str, Any]], Awaitable[None]]) -> None:
    """Run `main(port, configure_message)` until it ends or the engine closes the pipe; then end the process."""
    die_with_parent()
    # Ctrl-C reaches the whole terminal group; when to end is the engine's decision.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    asyncio.run(_serve(int(sys.argv[1]), main))
    # Threads stuck in a driver would keep the interpreter alive past main.
    logging.shutdown()
    os._exit(0)
