"""A client of the control socket for programs without asyncio: one connection for one question."""

import socket
import time
from pathlib import Path
from typing import Any

from appliance.errors import ControlError

from .wire import MAX_ANSWER, check_hello, decode, error_of, gone, no_answer, request, unreachable


def ask(path: Path, do: str, /, *, timeout_s: float = 5.0, **arguments: Any) -> Any:
    """Ask the engine for `do` and wait for its result. Raises ControlError, "not-running" when none listens."""
    end = time.monotonic() + timeout_s
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(timeout_s)
        try:
            connection.connect(str(path))
        except TimeoutError as error:
            raise no_answer(timeout_s) from error
        except (OSError, ValueError) as error:
            raise unreachable(path, error) from error
        lines = _Lines(connection, end)
        try:
            check_hello(lines.next())
            connection.sendall(request(1, do, arguments))
            while True:
                message = decode(lines.next())
                if message.get("id") == 1:
                    break
        except TimeoutError as error:
            raise no_answer(timeout_s) from error
        except OSError as error:
            raise gone() from error
    if "error" in message:
        raise error_of(message["error"])
    return message.get("result")


class _Lines:
    """Lines from a socket, in bounded time and memory."""

    def __init__(self, connection: socket.socket, end: float) -> None:
        self._connection = connection
        self._end = end
        self._received = bytearray()

    def next(self) -> bytes:
        while b"\n" not in self._received:
            left = self._end - time.monotonic()
            if left <= 0:
                raise TimeoutError
            self._connection.settimeout(left)
            part = self._connection.recv(65_536)
            if not part:
                raise gone()
            self._received += part
            if len(self._received) > MAX_ANSWER:
                raise ControlError("the bridge point's answer is too long", code="failed")
        text, _, rest = bytes(self._received).partition(b"\n")
        self._received = bytearray(rest)
        return text
