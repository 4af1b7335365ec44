"""The pipe between the engine and a worker process: length-prefixed messages over a Unix stream socket.

The same class serves both ends. A reader that stops reading (a frozen process) never blocks the writer: what does not
fit is dropped and counted, encoded video up to its next keyframe, and a broken stream raises PipeError at its reader.
"""

import asyncio
import json
import struct
from collections.abc import Callable
from enum import IntEnum
from typing import Any, cast

from appliance.errors import PipeError

# kind, flags, reserved, payload length (bytes), time (ns)
_HEADER = struct.Struct("<BBHIq")
_KEYFRAME = 1
MAX_PAYLOAD = 8 * 1024 * 1024


class Kind(IntEnum):
    """What a message carries."""

    CONTROL = 1  # a JSON object with "cmd" (engine to worker) or "type" (worker to engine)
    VIDEO = 2  # an H.264 access unit; flags bit 0: keyframe; time: pts
    AUDIO = 3  # a 20 ms block of PCM; time: pts
    PULL = 4  # worker to engine: a block of far-end sound is wanted; time: when it will be heard
    BLOB = 5  # a file-like answer (a snapshot); time: the request's number


class WorkerPipe(asyncio.Protocol):
    """One end of the pipe. `on_message(kind, payload, time_ns, is_keyframe)` runs in the loop and must not block."""

    def __init__(
        self,
        on_message: Callable[[Kind, bytes, int, bool], None],
        on_closed: Callable[[Exception | None], None],
        *,
        max_buffered: int = 512 * 1024,
    ) -> None:
        self._on_message = on_message
        self._on_closed = on_closed
        self._max_buffered = max_buffered
        self._received = bytearray()
        self._transport: asyncio.Transport | None = None
        self._video_skipping = False
        self._error: PipeError | None = None
        self.dropped = 0

    @property
    def is_open(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # A cast: uvloop's transports are none of asyncio's classes.
        self._transport = transport = cast("asyncio.Transport", transport)
        # The bound is ours (`send` drops); the transport's own flow control would only add calls.
        transport.set_write_buffer_limits(high=self._max_buffered)

    def data_received(self, data: bytes) -> None:
        buffer = self._received
        buffer += data
        offset = 0
        try:
            while len(buffer) - offset >= _HEADER.size:
                kind, flags, _, length, time_ns = _HEADER.unpack_from(buffer, offset)
                if length > MAX_PAYLOAD:
                    raise PipeError(f"a worker pipe announced a message of {length} bytes")
                end = offset + _HEADER.size + length
                if len(buffer) < end:
                    break
                payload = bytes(buffer[offset + _HEADER.size : end])
                offset = end
                try:
                    what = Kind(kind)
                except ValueError as error:
                    raise PipeError(f"a worker pipe carried a message of unknown kind {kind}") from error
                self._on_message(what, payload, time_ns, bool(flags & _KEYFRAME))
        except PipeError as error:
            self._error = error
            self.abort()
        finally:
            del buffer[:offset]

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._on_closed(self._error or exc)

    # sending

    def send(self, kind: Kind, payload: bytes, time_ns: int = 0, *, is_keyframe: bool = False) -> bool:
        """Send one message, or drop and count it when the other end does not read. True when it was sent."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return False
        if kind is Kind.VIDEO and self._video_skipping and not is_keyframe:
            self.dropped += 1
            return False
        # Control messages are few and small; they may use the headroom that media leaves.
        limit = self._max_buffered * (2 if kind is Kind.CONTROL else 1)
        if transport.get_write_buffer_size() + len(payload) > limit:
            self.dropped += 1
            if kind is Kind.VIDEO:
                self._video_skipping = True
            return False
        if kind is Kind.VIDEO:
            self._video_skipping = False
        header = _HEADER.pack(kind, _KEYFRAME if is_keyframe else 0, 0, len(payload), time_ns)
        transport.write(header + payload)
        return True

    def send_control(self, message: dict[str, Any]) -> bool:
        return self.send(Kind.CONTROL, json.dumps(message, ensure_ascii=False).encode())

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()


def parse_control(payload: bytes) -> dict[str, Any]:
    """The JSON object of a CONTROL message."""
    try:
        message = json.loads(payload)
    except ValueError as error:
        raise PipeError("a worker pipe carried a control message that is not JSON") from error
    if not isinstance(message, dict):
        raise PipeError("a worker pipe carried a control message that is not an object")
    return message
