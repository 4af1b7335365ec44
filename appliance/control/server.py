"""The engine's end of the control socket. Nothing that arrives here can disturb the engine."""

import asyncio
import base64
import logging
import os
import socket
import stat
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from appliance import __version__
from appliance.errors import ApplianceError, ControlError
from appliance.state import ApplianceState, StateStore

from .protocol import MAX_REQUEST, BadRequestError, JoinArguments, PressArguments, SwitchArguments, hello, line
from .protocol import parse_request as parse

log = logging.getLogger(__name__)

MAX_CONNECTIONS = 16
# A watcher gets at most five states a second; what changes in between is skipped.
WATCH_INTERVAL_S = 0.2
# A client that does not read for so long, or lets this much pile up, is let go.
WRITE_LIMIT_S = 5.0
MAX_UNREAD = 1024 * 1024


class Commands(Protocol):
    """What people can ask of the engine."""

    def join(self, meeting_id: str | None = None) -> None: ...
    def leave(self) -> None: ...
    def mute(self, *, on: bool) -> None: ...
    def camera(self, *, on: bool) -> None: ...
    async def press(self, button: str) -> None: ...
    async def snapshot(self) -> bytes: ...
    def changes(self) -> AsyncIterator[ApplianceState]: ...


class ControlServer:
    """Serves the socket while it is entered."""

    def __init__(self, path: Path, commands: Commands, store: StateStore) -> None:
        self._path = path
        self._commands = commands
        self._store = store
        self._server: asyncio.Server | None = None
        self._clients: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            _remove_stale(self._path)
            self._server = await asyncio.start_unix_server(self._connected, self._path, limit=MAX_REQUEST)
            # The unit's group (the panel's process is in it) may command; others may not.
            self._path.chmod(0o660)
        except OSError as error:
            raise ControlError(
                f"the control socket {self._path} cannot be made: {error.strerror or error}; "
                "choose another with --socket",
                code="socket",
            ) from error
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        for client in self._clients:
            client.cancel()
        await asyncio.gather(*self._clients, return_exceptions=True)
        with suppress(OSError):
            self._path.unlink()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._clients.add(task)
        connection = _Connection(reader, writer, self._commands, self._store)
        try:
            if len(self._clients) > MAX_CONNECTIONS:
                await connection.refuse(f"{MAX_CONNECTIONS} programs are connected already; end one of them")
            else:
                await connection.serve()
        except (OSError, TimeoutError, asyncio.CancelledError):
            # The client is gone, does not read, or the engine ends: there is nobody to tell.
            pass
        finally:
            self._clients.discard(task)
            writer.transport.abort()


class _Connection:
    """One client."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, commands: Commands, store: StateStore
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._commands = commands
        self._store = store
        self._watching: asyncio.Task[None] | None = None
        self._verbs: dict[str, Callable[[Any], Awaitable[Any]]] = {
            "status": self._status,
            "join": self._join,
            "leave": self._leave,
            "mute": self._mute,
            "camera": self._camera,
            "press": self._press,
            "snapshot": self._snapshot,
        }

    async def refuse(self, message: str) -> None:
        await self._send({"error": {"code": "busy", "message": message}})

    async def serve(self) -> None:
        """Answer requests in their order until the client goes."""
        self._writer.write(hello(__version__))
        try:
            while True:
                try:
                    text = await self._reader.readline()
                except ValueError:
                    await self._error(None, ControlError(f"a line is longer than {MAX_REQUEST} bytes", code="too-long"))
                    return
                if not text.endswith(b"\n"):
                    return
                await self._answer(text)
        finally:
            if self._watching is not None:
                self._watching.cancel()
                await asyncio.gather(self._watching, return_exceptions=True)

    async def _answer(self, text: bytes) -> None:
        try:
            request, arguments = parse(text)
        except BadRequestError as error:
            await self._error(error.request_id, error)
            return
        try:
            if request.do == "watch":
                self._watch(request.id)
                return
            result = await self._verbs[request.do](arguments)
        except ApplianceError as error:
            await self._error(request.id, error)
        except Exception:
            log.exception("control: %s failed unexpectedly", request.do)
            await self._error(
                request.id, ControlError("an internal error; the unit's log has its details", code="internal")
            )
        else:
            await self._send({"id": request.id, "result": result})

    async def _error(self, request_id: int | None, error: ApplianceError) -> None:
        code = error.code if isinstance(error, ControlError) else "failed"
        await self._send({"id": request_id, "error": {"code": code, "message": str(error)}})

    async def _send(self, message: dict[str, Any]) -> None:
        if self._writer.transport.get_write_buffer_size() > MAX_UNREAD:
            raise TimeoutError("the client does not read")
        self._writer.write(line(message))
        async with asyncio.timeout(WRITE_LIMIT_S):
            await self._writer.drain()

    # verbs

    async def _status(self, _: Any = None) -> dict[str, Any]:
        return self._store.state.as_dict()

    async def _join(self, arguments: JoinArguments) -> dict[str, Any]:
        self._commands.join(arguments.meeting)
        return await self._status()

    async def _leave(self, _: Any) -> dict[str, Any]:
        self._commands.leave()
        return await self._status()

    async def _mute(self, arguments: SwitchArguments) -> dict[str, Any]:
        self._commands.mute(on=arguments.on)
        return await self._status()

    async def _camera(self, arguments: SwitchArguments) -> dict[str, Any]:
        self._commands.camera(on=arguments.on)
        return await self._status()

    async def _press(self, arguments: PressArguments) -> dict[str, Any]:
        await self._commands.press(arguments.button)
        return await self._status()

    async def _snapshot(self, _: Any) -> dict[str, Any]:
        return {"jpeg": base64.b64encode(await self._commands.snapshot()).decode()}

    def _watch(self, request_id: int) -> None:
        if self._watching is not None:
            raise ControlError("this connection watches already", code="bad-request")
        self._watching = asyncio.ensure_future(self._stream(request_id))

    async def _stream(self, request_id: int) -> None:
        try:
            async for state in self._commands.changes():
                await self._send({"id": request_id, "state": state.as_dict()})
                await asyncio.sleep(WATCH_INTERVAL_S)
        except (OSError, TimeoutError):
            self._writer.transport.abort()


def _remove_stale(path: Path) -> None:
    """Take away the socket of an engine that was killed; one that still answers stays."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        # Only a socket can be what a killed engine left; anything else is somebody's.
        raise _in_the_way(path, "it is no socket")
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(os.fspath(path))
        except ConnectionRefusedError:
            path.unlink()
            return
        except OSError as error:
            raise _in_the_way(path, error.strerror or error) from error
    raise ControlError(f"a bridge point is running already (it answers at {path})", code="already-running")


def _in_the_way(path: Path, reason: object) -> ControlError:
    return ControlError(f"{path} is in the way: {reason}; remove it or choose another with --socket", code="socket")
