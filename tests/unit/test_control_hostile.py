"""The control socket against whatever a client may send: one clear error, and the server stays."""

import asyncio
import json
import socket
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.control import server as server_module
from appliance.control.blocking import ask
from appliance.control.client import ControlClient
from appliance.control.protocol import MAX_REQUEST, BadRequestError, parse_request
from appliance.control.server import MAX_CONNECTIONS
from appliance.errors import ControlError

from .control_doubles import a_server, next_line

BAD_LINES = [
    b"",
    b"not json",
    b"[]",
    b"7",
    b'{"id":1}',
    b'{"id":1,"do":"dance"}',
    b'{"id":1,"do":"mute"}',
    b'{"id":1,"do":"mute","with":{"on":"yes"}}',
    b'{"id":1,"do":"mute","with":{"on":true,"more":1}}',
    b'{"id":true,"do":"status"}',
    b'{"id":-1,"do":"status"}',
    b'{"id":1,"do":"join","with":{"meeting":7}}',
    b'{"id":1,"do":"press","with":{"button":"reset"}}',
    b"\xff\xfe",
    b"[" * 50_000,
]


@pytest.mark.parametrize("line", BAD_LINES, ids=range(len(BAD_LINES)))
async def test_a_bad_line_gets_one_clear_error_and_the_connection_stays(tmp_path: Path, line: bytes) -> None:
    async with a_server(tmp_path) as (path, commands):
        reader, writer = await asyncio.open_unix_connection(path)
        assert (await next_line(reader))["bridgepoint"] == 1
        writer.write(line + b"\n")
        answer = await next_line(reader)
        assert answer["error"]["code"] == "bad-request"
        assert answer["error"]["message"]
        writer.write(b'{"id":5,"do":"status","with":{}}\n')
        assert (await next_line(reader))["id"] == 5
        assert commands.told == []
        writer.close()


async def test_an_endless_line_ends_its_connection_only(tmp_path: Path) -> None:
    async with a_server(tmp_path) as (path, _):
        reader, writer = await asyncio.open_unix_connection(path)
        await next_line(reader)
        writer.write(b"x" * (3 * MAX_REQUEST))
        assert (await next_line(reader))["error"]["code"] == "too-long"
        assert await reader.read() == b""
        writer.close()
        assert await asyncio.to_thread(ask, path, "status")


async def test_a_bug_in_a_command_is_an_answer_too(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with a_server(tmp_path) as (path, commands):
        commands.error = ZeroDivisionError("secret detail")
        with pytest.raises(ControlError) as caught:
            await asyncio.to_thread(ask, path, "leave")
        assert caught.value.code == "internal"
        assert "secret" not in str(caught.value)
        assert "ZeroDivisionError" in caplog.text


async def test_one_connection_too_many_is_told_so(tmp_path: Path) -> None:
    async with a_server(tmp_path) as (path, _):
        clients = [await ControlClient.connect(path) for _ in range(MAX_CONNECTIONS)]
        with pytest.raises(ControlError, match="end one of them"):
            await ControlClient.connect(path)
        await clients[0].close()
        for _ in range(100):
            try:
                await (await ControlClient.connect(path)).close()
                break
            except ControlError:
                await asyncio.sleep(0)
        else:
            pytest.fail("the place of a client that left is not given again")
        for client in clients[1:]:
            await client.close()


async def test_a_watcher_that_does_not_read_is_let_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "WATCH_INTERVAL_S", 0.0)
    monkeypatch.setattr(server_module, "WRITE_LIMIT_S", 0.2)
    async with a_server(tmp_path) as (path, commands):
        deaf = socket.socket(socket.AF_UNIX)
        deaf.setblocking(False)
        await asyncio.get_running_loop().sock_connect(deaf, str(path))
        await asyncio.get_running_loop().sock_sendall(deaf, b'{"id":1,"do":"watch"}\n')
        client = await ControlClient.connect(path)
        connected = len(asyncio.all_tasks())
        for number in range(400):
            commands.store.update(unit_name="x" * 5000 + str(number))
            await asyncio.sleep(0.002)
            if len(asyncio.all_tasks()) < connected:
                break
        else:
            pytest.fail("the server still holds a client that does not read")
        assert await client.ask("status")
        await client.close()
        deaf.close()


@given(st.binary(max_size=300))
def test_whatever_a_line_holds_it_is_a_request_or_one_error(line: bytes) -> None:
    with suppress(BadRequestError):
        parse_request(line)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(st.fixed_dictionaries({}, optional={"id": _JSON, "do": _JSON, "with": _JSON, "more": _JSON}))
def test_whatever_a_request_names_it_is_taken_or_told(request: dict[str, Any]) -> None:
    with suppress(BadRequestError):
        parse_request(json.dumps(request).encode())


@settings(max_examples=30)
@given(st.lists(st.binary(max_size=200), max_size=6))
def test_no_bytes_disturb_the_server(parts: list[bytes]) -> None:
    async def disturb() -> None:
        with TemporaryDirectory() as folder:
            async with a_server(Path(folder)) as (path, _):
                reader, writer = await asyncio.open_unix_connection(path)
                for part in parts:
                    writer.write(part)
                writer.write(b"\n")
                await next_line(reader)
                writer.transport.abort()
                assert await asyncio.to_thread(ask, path, "status")

    asyncio.run(disturb())


@pytest.mark.parametrize("greeting", [b"SSH-2.0-x\n", b'{"bridgepoint":2}\n', b"[]\n"])
async def test_something_else_behind_the_socket_is_named(tmp_path: Path, greeting: bytes) -> None:
    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(greeting)
        await writer.drain()
        writer.close()

    path = tmp_path / "socket"
    async with await asyncio.start_unix_server(greet, path):
        with pytest.raises(ControlError) as caught:
            await ControlClient.connect(path)
        assert caught.value.code == "version"
        with pytest.raises(ControlError):
            await asyncio.to_thread(ask, path, "status")
