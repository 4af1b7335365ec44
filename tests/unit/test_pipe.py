"""The worker pipe: whole messages in order, bounded when the reader stops, broken streams noticed."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
import uvloop
from hypothesis import given
from hypothesis import strategies as st

from appliance.errors import PipeError
from appliance.media.pipe import MAX_PAYLOAD, Kind, WorkerPipe, parse_control

Message = tuple[Kind, bytes, int, bool]


class End:
    """One end of a pipe that keeps what it was given."""

    def __init__(self, **options: int) -> None:
        self.messages: asyncio.Queue[Message] = asyncio.Queue()
        self.closed: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()
        self.pipe = WorkerPipe(lambda *message: self.messages.put_nowait(message), self.closed.set_result, **options)

    async def next(self) -> Message:
        return await asyncio.wait_for(self.messages.get(), 2)


@asynccontextmanager
async def a_pair(**options: int) -> AsyncIterator[tuple[End, End]]:
    loop = asyncio.get_running_loop()
    left, right = End(**options), End(**options)
    for end, sock in zip((left, right), socket.socketpair(), strict=True):
        sock.setblocking(False)
        await loop.create_connection(lambda end=end: end.pipe, sock=sock)
    try:
        yield left, right
    finally:
        left.pipe.abort()
        right.pipe.abort()
        await asyncio.wait((left.closed, right.closed), timeout=2)


async def test_messages_of_every_kind_arrive_whole_and_in_order() -> None:
    async with a_pair() as (left, right):
        left.pipe.send(Kind.VIDEO, b"k" * 300_000, 5, is_keyframe=True)
        left.pipe.send(Kind.AUDIO, b"", -7)
        left.pipe.send_control({"cmd": "mute", "on": True})
        assert await right.next() == (Kind.VIDEO, b"k" * 300_000, 5, True)
        assert await right.next() == (Kind.AUDIO, b"", -7, False)
        kind, payload, _, _ = await right.next()
        assert kind is Kind.CONTROL
        assert parse_control(payload) == {"cmd": "mute", "on": True}


def test_it_works_on_uvloop_as_the_engine_runs_it() -> None:
    async def exchange() -> None:
        async with a_pair() as (left, right):
            left.pipe.send(Kind.VIDEO, b"k" * 300_000, 5, is_keyframe=True)
            assert await right.next() == (Kind.VIDEO, b"k" * 300_000, 5, True)

    uvloop.run(exchange())


async def test_a_reader_that_stops_costs_frames_up_to_the_next_keyframe_and_no_memory() -> None:
    async with a_pair(max_buffered=100_000) as (left, right):
        assert right.pipe._transport is not None
        right.pipe._transport.pause_reading()
        sent = sum(left.pipe.send(Kind.VIDEO, bytes(10_000), n) for n in range(1000))
        assert sent < 100
        assert left.pipe.dropped == 1000 - sent
        right.pipe._transport.resume_reading()
        for _ in range(sent):
            await right.next()
        assert not left.pipe.send(Kind.VIDEO, b"delta", 1)
        assert left.pipe.send(Kind.VIDEO, b"key", 2, is_keyframe=True)
        assert left.pipe.send(Kind.VIDEO, b"delta", 3)
        assert (await right.next())[1] == b"key"


async def test_controls_pass_while_media_is_dropped() -> None:
    async with a_pair(max_buffered=100_000) as (left, right):
        assert right.pipe._transport is not None
        right.pipe._transport.pause_reading()
        while left.pipe.send(Kind.AUDIO, bytes(1920)):
            pass
        assert left.pipe.send_control({"cmd": "mute", "on": True})


@pytest.mark.parametrize(
    "stream",
    [
        b"\x63\x00\x00\x00\x00\x00\x00\x00" + bytes(8),
        b"\x02\x00\x00\x00" + (MAX_PAYLOAD + 1).to_bytes(4, "little") + bytes(8),
    ],
    ids=["unknown kind", "announces too much"],
)
async def test_a_broken_stream_closes_the_pipe_with_a_reason(stream: bytes) -> None:
    async with a_pair() as (left, right):
        assert left.pipe._transport is not None
        left.pipe._transport.write(stream)
        assert isinstance(await asyncio.wait_for(right.closed, 2), PipeError)


async def test_sending_into_a_closed_pipe_is_a_counted_no() -> None:
    async with a_pair() as (left, right):
        right.pipe.close()
        await asyncio.wait_for(left.closed, 2)
        assert not left.pipe.send(Kind.AUDIO, b"x")


@given(st.binary())
def test_a_control_message_is_an_object_or_a_pipe_error(payload: bytes) -> None:
    with suppress(PipeError):
        assert isinstance(parse_control(payload), dict)
