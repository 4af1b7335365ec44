"""The panel as a person at a browser has it: Chromium, the real page and script, and an engine that the test plays."""

import asyncio
import threading
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
from playwright.async_api import Page, async_playwright
from werkzeug.serving import make_server

from appliance.control.wire import gone
from appliance.panel.app import PanelOptions, make_app
from appliance.panel.password import OneTimePassword
from tests.unit.test_panel import PlayedEngine

pytestmark = [pytest.mark.peer, pytest.mark.timeout(60)]


class SwitchedEngine(PlayedEngine):
    """Switches its microphone as it is asked to."""

    def ask(self, do: str, **arguments: Any) -> Any:
        if do == "mute" and self.error is None:
            self.state["muted"] = arguments["on"]
        return super().ask(do, **arguments)

    def wishes(self) -> list[Any]:
        return [(do, arguments) for do, arguments in self.asked if do not in ("status", "snapshot")]


@dataclass
class Visit:
    """A signed-in browser at the panel."""

    page: Page
    engine: SwitchedEngine

    async def until(self, expression: str) -> None:
        # The page's own policy forbids what Playwright's wait_for_function does.
        async with asyncio.timeout(10):
            while not await self.page.evaluate(expression):
                await self.page.wait_for_timeout(20)


@pytest.fixture
async def visit(chromium: str) -> AsyncIterator[Visit]:
    engine = SwitchedEngine()
    words: list[str] = []
    options = PanelOptions("Xã Tân Lập", "vi", (("a", "Giao ban tháng"), ("b", "Giao ban tuần")), ("localhost",))
    app = make_app(options, engine.ask, OneTimePassword(words.append))
    server = make_server("127.0.0.1", 0, app, threaded=True)
    serving = threading.Thread(target=server.serve_forever)
    serving.start()
    try:
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(
                executable_path=chromium, args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
            )
            page = await browser.new_page(viewport={"width": 360, "height": 740})
            complaints: list[str] = []
            page.on("pageerror", lambda error: complaints.append(str(error)))
            await page.goto(f"http://127.0.0.1:{server.server_port}/")
            await page.fill("#password", words[-1])
            await page.click("button.primary")
            await page.wait_for_selector("#panel")
            yield Visit(page, engine)
            await browser.close()
            assert complaints == []
    finally:
        server.shutdown()
        serving.join(10)
        server.server_close()


async def test_a_double_click_on_the_microphone_is_one_wish(visit: Visit) -> None:
    box = await visit.page.locator("form[data-do=mute]:visible button").bounding_box()
    assert box is not None
    await visit.page.mouse.dblclick(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2, delay=40)
    await visit.until("document.querySelector('[data-when=unmuted]').hidden === false")
    # The second click's request, if there were one, would be before this one.
    await visit.page.evaluate("fetch('/api/state')")
    assert visit.engine.wishes() == [("mute", {"on": False})]


async def test_a_page_that_has_lost_its_unit_says_so_and_offers_nothing_until_it_is_back(visit: Visit) -> None:
    await visit.until("document.getElementById('state').textContent === 'Sẵn sàng'")
    visit.engine.error = gone()
    await visit.until("document.getElementById('state').textContent === 'Mất liên lạc với thiết bị'")
    assert await visit.page.locator("#panel button:enabled").count() == 0
    assert not await visit.page.locator("#snapshot").is_visible()
    visit.engine.error = None
    await visit.until("document.getElementById('state').textContent === 'Sẵn sàng'")
    await visit.until("document.querySelectorAll('#panel button:disabled').length === 0")


async def test_the_buttons_of_two_meetings_stand_apart_and_nothing_is_wider_than_a_phone(visit: Visit) -> None:
    first, second = [await button.bounding_box() for button in await visit.page.locator("form[data-do=join]").all()]
    assert first is not None
    assert second is not None
    assert second["y"] - first["y"] - first["height"] >= 8
    assert await visit.page.evaluate("document.documentElement.scrollWidth") == 360


async def test_the_page_follows_a_dark_colour_scheme(visit: Visit) -> None:
    ground = "getComputedStyle(document.body).backgroundColor"
    light = await visit.page.evaluate(ground)
    await visit.page.emulate_media(color_scheme="dark")
    assert await visit.page.evaluate(ground) != light
