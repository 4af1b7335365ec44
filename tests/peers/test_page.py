"""The lab MCU's page in Chromium: on a telephone, and when the MCU is started again under it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from playwright.async_api import Page

from appliance.demo.unit import UnitPlan
from tests.call import Unit, a_unit
from tests.system.conftest import LabMcu

from .browser import a_page

pytestmark = [pytest.mark.peer, pytest.mark.timeout(90)]

# A telephone in portrait.
WIDTH, HEIGHT = 390, 844


@pytest.fixture
async def mcu(tmp_path: Path) -> AsyncIterator[LabMcu]:
    lab_mcu = LabMcu(tmp_path)
    await lab_mcu.start()
    yield lab_mcu
    await lab_mcu.stop()


@pytest.fixture
async def unit(mcu: LabMcu, tmp_path: Path, programs: AsyncExitStack) -> Unit:
    plan = UnitPlan.at_lab_mcu("Xã Tân Lập", tmp_path / "unit", mcu.url, measured=True)
    found = await programs.enter_async_context(a_unit(plan))
    await found.joined()
    return found


async def until_true(page: Page, expression: str, limit_s: float) -> None:
    """Wait until the page finds the expression true. (The page's own policy forbids Playwright's wait_for_function.)"""
    async with asyncio.timeout(limit_s):
        while not await page.evaluate(expression):
            await asyncio.sleep(0.05)


async def until_pictures(page: Page) -> None:
    """Wait until more pictures come than there are, and nothing is said over them."""
    decoded = "labMcu.figures().then((found) => found.framesDecoded)"
    before = await page.evaluate(decoded)
    await until_true(page, f"{decoded}.then((now) => now > {before})", 30)
    await until_true(page, "document.getElementById('message').textContent === ''", 5)


async def test_on_a_telephone_nothing_wraps_or_sticks_out(chromium: str, mcu: LabMcu, unit: Unit) -> None:
    async with a_page(chromium, f"{mcu.url}/") as page:
        await page.set_viewport_size({"width": WIDTH, "height": HEIGHT})
        await until_pictures(page)
        languages = []
        for _ in range(2):
            languages.append(await page.evaluate("document.documentElement.lang"))
            assert await page.evaluate("document.documentElement.scrollWidth") == WIDTH
            for button in ("#sound", "#full"):
                box = await page.locator(button).bounding_box()
                assert box is not None
                assert box["height"] < 48, f"{button} has more than one line"
            edges = await page.evaluate(
                "['[data-text=title]', '#room'].map((at) => document.querySelector(at).getBoundingClientRect().left)"
            )
            assert edges[0] == edges[1], "the room stands below the title"
            await page.click("#language")
        assert sorted(languages) == ["en", "vi"]


async def test_the_page_is_back_by_itself_when_the_mcu_is_started_again(chromium: str, mcu: LabMcu, unit: Unit) -> None:
    async with a_page(chromium, f"{mcu.url}/") as page:
        await until_pictures(page)
        await mcu.stop()
        await until_true(page, "document.getElementById('message').textContent !== ''", 10)
        await mcu.start()
        await unit.until_meeting("live", 40)
        await until_pictures(page)
