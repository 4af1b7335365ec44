"""A real control server for tests, with commands that the test plays."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from appliance.control.server import ControlServer
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


async def next_line(reader: asyncio.StreamReader) -> dict[str, Any]:
    text = await asyncio.wait_for(reader.readline(), 5)
    found: dict[str, Any] = json.loads(text)
    return found
