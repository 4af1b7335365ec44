"""A lab MCU and units as real processes, which a test may kill, freeze and start again."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import pytest

from appliance.demo.processes import Program, bridgepoint, free_port, wait_for
from appliance.demo.unit import ROOM, UnitPlan
from tests.call import Unit, a_unit


class LabMcu:
    """A lab MCU that echoes, on one address for all of its lives."""

    def __init__(self, folder: Path, host: str = "127.0.0.1", prefix: tuple[str, ...] = ()) -> None:
        self.listen = f"{host}:{free_port()}"
        self.url = f"http://{self.listen}"
        self._folder = folder
        self._prefix = prefix
        self._life: AsyncExitStack | None = None
        self.program: Program

    async def start(self) -> None:
        command = [*self._prefix, *bridgepoint("lab-mcu", "--echo", "--json", "--listen", self.listen)]
        log = self._folder / "mcu.log"
        said = log.read_text().count('"listening"') if log.exists() else 0
        self.program = Program("lab MCU", command, log)
        self._life = AsyncExitStack()
        await self._life.enter_async_context(self.program)

        async def listens() -> bool | None:
            return log.read_text().count('"listening"') > said or None

        await wait_for("lab MCU", listens, [self.program], 30)

    async def stop(self) -> None:
        if self._life is not None:
            await self._life.aclose()
            self._life = None

    def events(self) -> str:
        """Who joined and left, one JSON object a line."""
        return (self._folder / "mcu.log").read_text()

    async def inside(self) -> list[str]:
        """The names of who sends into the room."""
        async with aiohttp.ClientSession() as http, http.get(f"{self.url}/api/rooms") as answer:
            found = await answer.json()
        return [member["name"] for room in found["rooms"] for member in room["participants"]]


@pytest.fixture
async def mcu(tmp_path: Path) -> AsyncIterator[LabMcu]:
    lab_mcu = LabMcu(tmp_path)
    await lab_mcu.start()
    yield lab_mcu
    await lab_mcu.stop()


@pytest.fixture
def plan(mcu: LabMcu, tmp_path: Path) -> UnitPlan:
    """A unit with test card and beep that meets itself at the lab MCU."""
    return UnitPlan.at_lab_mcu("Xã Tân Lập", tmp_path / "unit", mcu.url, measured=True)


@pytest.fixture
async def unit(plan: UnitPlan) -> AsyncIterator[Unit]:
    async with a_unit(plan) as unit:
        yield unit


__all__ = ["ROOM", "LabMcu"]
