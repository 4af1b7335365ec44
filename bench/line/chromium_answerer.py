"""Headless Chromium as the receiver. A picture counts as shown when it was handed to the compositor (its own time)."""

import asyncio
import shutil
import time
from contextlib import AsyncExitStack
from pathlib import Path

from aiohttp import web
from playwright.async_api import Page

from tests.peers.browser import a_page

from .answering import answer_offers, say

_DRAIN_S = 0.25
_STATS_EVERY = 4
_CLOCK_TRIES = 20
_SCRIPT = Path(__file__).with_name("chromium_page.js")


async def clock_offset_ns(page: Page) -> int:
    """MediaClock less performance.now(): from the quickest of some questions, right within half its time (1 ms)."""
    best: tuple[int, int] | None = None
    for _ in range(_CLOCK_TRIES):
        asked_ns = time.monotonic_ns()
        page_ms = await page.evaluate("performance.now()")
        took_ns = time.monotonic_ns() - asked_ns
        if best is None or took_ns < best[0]:
            best = took_ns, asked_ns + took_ns // 2 - round(page_ms * 1e6)
    assert best is not None
    return best[1]


def readable(stats: dict[str, float], before: dict[str, float]) -> dict[str, float]:
    """getStats with times in ms, and the jitter buffers' mean delay since the time before."""
    if not stats:
        return {}
    found = {name: value for name, value in stats.items() if "jitter" not in name and "Duration" not in name}
    found["audio_concealed_ms"] = round(stats["audio_concealedSamples"] / 48)
    found["video_freeze_ms"] = round(stats["video_totalFreezesDuration"] * 1000)
    for kind in ("audio", "video"):
        delay_s, count = (
            stats[f"{kind}_{name}"] - before.get(f"{kind}_{name}", 0)
            for name in ("jitterBufferDelay", "jitterBufferEmittedCount")
        )
        if count > 0:
            found[f"{kind}_buffer_ms"] = round(delay_s / count * 1000, 1)
    return found


async def tell(page: Page, offset_ns: int) -> None:
    """Job: pass on what the page has seen and heard."""
    turn = 0
    before: dict[str, float] = {}
    while True:
        await asyncio.sleep(_DRAIN_S)
        got = await page.evaluate("drain()")
        if got["shown"]:
            say(shown=[[round(at_ms * 1e6) + offset_ns, cells] for at_ms, cells in got["shown"]])
        for at_ms, samples in got["heard"]:
            say(heard=samples, at_ns=round(at_ms * 1e6) + offset_ns)
        turn += 1
        if turn % _STATS_EVERY == 0:
            stats = await page.evaluate("stats()")
            say(stats=readable(stats, before))
            before = stats


async def main() -> None:
    program = shutil.which("chromium")
    assert program is not None
    async with AsyncExitStack() as stack:
        page = await stack.enter_async_context(a_page(program, f"{await _served(stack)}/"))
        await page.add_script_tag(content=_SCRIPT.read_text())
        telling = asyncio.create_task(tell(page, await clock_offset_ns(page)))
        try:
            await answer_offers(lambda offer: page.evaluate("(offer) => answer(offer)", offer))
        finally:
            telling.cancel()
            await asyncio.wait((telling,))


async def _served(stack: AsyncExitStack) -> str:
    """An empty page; worklets need an origin that counts as secure, such as this machine's own."""

    async def empty(_: web.Request) -> web.Response:
        return web.Response(text="<!doctype html><title>far end</title><body>", content_type="text/html")

    app = web.Application()
    app.router.add_get("/", empty)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    return f"http://127.0.0.1:{runner.addresses[0][1]}"


if __name__ == "__main__":
    asyncio.run(main())
