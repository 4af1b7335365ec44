"""A client of the control socket for asyncio programs."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from appliance.errors import ControlError

from .wire import MAX_ANSWER, check_hello, decode, error_of, gone, no_answer, request, unreachable

ANSWER_S = 10.0
_UNREAD_STATES = 16


class ControlClient:
    """One connection; several tasks may ask at the same time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._number = 0
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._states: asyncio.Queue[dict[str, Any] | None] | None = None
        self._watch_number = 0
        self._reading = asyncio.ensure_future(self._read())

    @classmethod
    async def connect(cls, path: Path, *, timeout_s: float = 3.0) -> Self:
        """Connect to the engine. Raises ControlError, "not-running" when none listens."""
        try:
            async with asyncio.timeout(timeout_s):
                reader, writer = await asyncio.open_unix_connection(path, limit=MAX_ANSWER)
                try:
                    check_hello(await reader.readline())
                except BaseException:
                    writer.transport.abort()
                    raise
        except TimeoutError as error:
            raise no_answer(timeout_s) from error
        except (OSError, ValueError) as error:
            raise unreachable(path, error) from error
        return cls(reader, writer)

    async def ask(self, do: str, /, **arguments: Any) -> Any:
        """Ask for `do` and wait for its result. Raises ControlError with the engine's reason."""
        if self._reading.done():
            raise gone()
        self._number += 1
        number = self._number
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        try:
            self._writer.write(request(number, do, arguments))
            return await asyncio.wait_for(answer, ANSWER_S)
        except TimeoutError as error:
            raise no_answer(ANSWER_S) from error
        finally:
            self._waiting.pop(number, None)

    async def watch(self) -> AsyncIterator[dict[str, Any]]:
        """The state now, and each newer one, until the engine ends (ControlError). Once per connection."""
        if self._states is not None:
            raise ControlError("this client watches already", code="bad-request")
        self._states = asyncio.Queue(_UNREAD_STATES)
        self._number += 1
        self._watch_number = self._number
        self._writer.write(request(self._number, "watch", {}))
        while not self._reading.done() or not self._states.empty():
            state = await self._states.get()
            if state is None:
                break
            yield state
        raise gone()

    async def close(self) -> None:
        """End the connection; may be called again."""
        self._reading.cancel()
        await asyncio.gather(self._reading, return_exceptions=True)
        self._writer.close()
        with suppress(OSError):
            await self._writer.wait_closed()

    async def _read(self) -> None:
        try:
            while (text := await self._reader.readline()).endswith(b"\n"):
                self._take(decode(text))
        except (OSError, ValueError, ControlError):
            pass
        finally:
            for answer in self._waiting.values():
                if not answer.done():
                    answer.set_exception(gone())
            self._tell(None)

    def _take(self, message: dict[str, Any]) -> None:
        number = message.get("id")
        if number == self._watch_number and "state" in message:
            self._tell(message["state"])
            return
        answer = self._waiting.get(number) if isinstance(number, int) else None
        if answer is None or answer.done():
            return
        if "error" in message:
            answer.set_exception(error_of(message["error"]))
        else:
            answer.set_result(message.get("result"))

    def _tell(self, state: dict[str, Any] | None) -> None:
        """Give a state to the watcher; one that lags loses the oldest, which are no longer true anyway."""
        if self._states is None:
            return
        if self._states.full():
            self._states.get_nowait()
        self._states.put_nowait(state)
