"""The control socket: a real server and real clients, with commands that the test plays."""

import asyncio
import re
import socket
from pathlib import Path

import pytest

from appliance.control import server as server_module
from appliance.control.blocking import ask
from appliance.control.client import ControlClient
from appliance.control.wire import unreachable
from appliance.control.words import WORDS, said
from appliance.errors import ControlError

from .control_doubles import a_server


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
