"""The control socket: a real server and real clients, with commands that the test plays."""

import asyncio
import json
import re
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from appliance.control import server as server_module
from appliance.control.blocking import ask
from appliance.control.client import ControlClient
from appliance.control.protocol import MAX_REQUEST, BadRequestError, parse_request
from appliance.control.server import MAX_CONNECTIONS, ControlServer
from appliance.control.wire import unreachable
from appliance.control.words import WORDS, said
from appliance.errors import ControlError
from appliance.state import ApplianceState, StateStore


class PlayedCommands:
    """Keeps what it was told."""

    def __init__(self, store: StateStore) -> None:
        self.store = store
        self.told: list[Any] = []
        self.error: Exception | None = None

    def _tell(self, *what: Any) -> None:
        if self.error is not None:
            raise self.error
        self.told.append(what)

    def join(self, meeting_id: str | None = None) -> None:
        self._tell("join", meeting_id)

    def leave(self) -> None:
        self._tell("leave")

    def mute(self, *, on: bool) -> None:
        self._tell("mute", on)
        self.store.update(muted=on)

    def camera(self, *, on: bool) -> None:
        self._tell("camera", on)

    async def press(self, button: str) -> None:
        self._tell("press", button)

    async def snapshot(self) -> bytes:
        self._tell("snapshot")
        return b"picture"

    def changes(self) -> AsyncIterator[ApplianceState]:
        return self.store.changes()


@asynccontextmanager
async def a_server(folder: Path) -> AsyncIterator[tuple[Path, PlayedCommands]]:
    store = StateStore(ApplianceState(unit_name="Xã Tân Lập"))
    commands = PlayedCommands(store)
    path = folder / "control.sock"
    async with ControlServer(path, commands, store):
        yield path, commands


async def _line(reader: asyncio.StreamReader) -> dict[str, Any]:
    text = await asyncio.wait_for(reader.readline(), 5)
    found: dict[str, Any] = json.loads(text)
    return found


async def test_every_verb_reaches_its_command_and_answers_with_the_state(tmp_path: Path) -> None:
    async with a_server(tmp_path) as (path, commands):
        client = await ControlClient.connect(path)
        assert (await client.ask("status"))["unit"]["name"] == "Xã Tân Lập"
        assert (await client.ask("mute", on=False))["muted"] is False
        await client.ask("join")
        await client.ask("join", meeting="a")
        await client.ask("leave")
        await client.ask("camera", on=False)
        await client.ask("press", button="start")
        assert (await client.ask("snapshot"))["jpeg"] == "cGljdHVyZQ=="
        assert commands.told == [
            ("mute", False),
            ("join", None),
            ("join", "a"),
            ("leave",),
            ("camera", False),
            ("press", "start"),
            ("snapshot",),
        ]
        await client.close()
        await client.close()


async def test_a_blocking_client_asks_one_question(tmp_path: Path) -> None:
    async with a_server(tmp_path) as (path, commands):
        state = await asyncio.to_thread(ask, path, "mute", on=True)
        assert state["muted"] is True
        commands.error = ControlError("no such meeting", code="unknown-meeting")
        with pytest.raises(ControlError, match="no such meeting") as caught:
            await asyncio.to_thread(ask, path, "join", meeting="x")
        assert caught.value.code == "unknown-meeting"


async def test_watching_gives_the_newest_state_and_commands_go_on_beside_it(tmp_path: Path) -> None:
    async with a_server(tmp_path) as (path, commands):
        client = await ControlClient.connect(path)
        states = client.watch()
        assert (await anext(states))["muted"] is True
        await client.ask("mute", on=False)
        assert (await anext(states))["muted"] is False
        for number in range(50):
            commands.store.update(unit_name=str(number))
        assert (await anext(states))["unit"]["name"] == "49"
        await client.close()


async def test_no_engine_is_told_with_what_to_do(tmp_path: Path) -> None:
    for question in (
        ControlClient.connect(tmp_path / "none"),
        asyncio.to_thread(ask, tmp_path / "none", "status"),
        asyncio.to_thread(ask, Path("/x" * 100), "status"),
    ):
        with pytest.raises(ControlError, match="bridgepoint run") as caught:
            await question
        assert caught.value.code == "not-running"


async def test_an_engine_that_ends_is_told_to_who_waits(tmp_path: Path) -> None:
    async with a_server(tmp_path) as (path, _):
        client = await ControlClient.connect(path)
        states = client.watch()
        await anext(states)
    with pytest.raises(ControlError) as caught:
        await anext(states)
    assert caught.value.code == "gone"
    with pytest.raises(ControlError):
        await client.ask("status")
    await client.close()


async def test_a_dead_engine_s_socket_is_replaced_and_a_living_one_is_not(tmp_path: Path) -> None:
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(tmp_path / "control.sock"))
    left.close()
    async with a_server(tmp_path) as (path, _):
        with pytest.raises(ControlError, match="running already"):
            async with a_server(tmp_path):
                pass
        assert await asyncio.to_thread(ask, path, "status")
    assert not path.exists()


async def test_only_a_dead_engine_s_socket_is_taken_away(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    path.write_text("somebody's file")
    with pytest.raises(ControlError, match="in the way"):
        async with a_server(tmp_path):
            pass
    assert path.read_text() == "somebody's file"
    path.unlink()
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ControlError, match="in the way"):
        async with a_server(tmp_path):
            pass
    assert path.is_symlink()


async def test_a_socket_in_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    tmp_path.joinpath("file").touch()
    with pytest.raises(ControlError, match="--socket"):
        async with a_server(tmp_path / "file"):
            pass


def test_who_may_not_command_is_told_so_and_not_that_nothing_runs() -> None:
    error = unreachable(Path("/run/bridgepoint/control.sock"), PermissionError(13, "Permission denied"))
    assert error.code == "not-allowed"
    assert "group" in str(error)


def test_every_code_of_the_protocol_has_its_words_for_people() -> None:
    root = Path(server_module.__file__).parents[1]
    places = [*root.glob("control/*.py"), root / "meeting.py", root / "engine.py", root / "routing.py"]
    codes = {code for place in places for code in re.findall(r'code="([a-z-]+)"', place.read_text(encoding="utf-8"))}
    # What keeps the engine from starting is told by `bridgepoint run`, not to a client.
    assert codes - {"socket", "already-running"} <= set(WORDS)
    assert said(ControlError("x", code="of a newer engine")) == WORDS["failed"]


async def test_other_users_cannot_command(tmp_path: Path) -> None:
    async with a_server(tmp_path) as (path, _):
        assert path.stat().st_mode & 0o007 == 0


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
        assert (await _line(reader))["bridgepoint"] == 1
        writer.write(line + b"\n")
        answer = await _line(reader)
        assert answer["error"]["code"] == "bad-request"
        assert answer["error"]["message"]
        writer.write(b'{"id":5,"do":"status","with":{}}\n')
        assert (await _line(reader))["id"] == 5
        assert commands.told == []
        writer.close()


async def test_an_endless_line_ends_its_connection_only(tmp_path: Path) -> None:
    async with a_server(tmp_path) as (path, _):
        reader, writer = await asyncio.open_unix_connection(path)
        await _line(reader)
        writer.write(b"x" * (3 * MAX_REQUEST))
        assert (await _line(reader))["error"]["code"] == "too-long"
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


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.fixed_dictionaries({}, optional={"id": _JSON, "do": _JSON, "with": _JSON, "more": _JSON}))
def test_whatever_a_request_names_it_is_taken_or_told(request: dict[str, Any]) -> None:
    with suppress(BadRequestError):
        parse_request(json.dumps(request).encode())


@settings(max_examples=30, deadline=None)
@given(st.lists(st.binary(max_size=200), max_size=6))
def test_no_bytes_disturb_the_server(parts: list[bytes]) -> None:
    async def disturb() -> None:
        with TemporaryDirectory() as folder:
            async with a_server(Path(folder)) as (path, _):
                reader, writer = await asyncio.open_unix_connection(path)
                for part in parts:
                    writer.write(part)
                writer.write(b"\n")
                await _line(reader)
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
