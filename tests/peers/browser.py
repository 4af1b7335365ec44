"""Chromium as a peer: started headless, with what its pages need to hold a call on this machine."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from playwright.async_api import Page, async_playwright

_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--mute-audio",
    "--allow-loopback-in-peer-connection",
    "--autoplay-policy=no-user-gesture-required",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-features=WebRtcHideLocalIpsWithMdns",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
]

# Shared by the pages: `connected(peer)` waits for it, `figures(peer)` are libwebrtc's own, of all that it receives.
SCRIPT = """
window.connected = (peer) => new Promise((done, fail) => {
  const look = () => {
    if (peer.connectionState === "connected") done();
    if (peer.connectionState === "failed") fail(new Error("not connected"));
  };
  peer.addEventListener("connectionstatechange", look);
  look();
});
window.gathered = (peer) => new Promise((done) => {
  const look = () => peer.iceGatheringState === "complete" && done();
  peer.addEventListener("icegatheringstatechange", look);
  look();
});
window.figures = async (peer) => {
  const found = {};
  const reports = await peer.getStats();
  for (const report of reports.values()) {
    if (report.type === "inbound-rtp") found[report.kind] = report;
    if (report.type === "codec") found[report.mimeType] = true;
    if (report.type === "outbound-rtp") found["sent " + report.kind] = report;
    // More than one pair may have been nominated; one is in use.
    if (report.type === "transport") found.line = reports.get(report.selectedCandidatePairId) || {};
  }
  return found;
};
"""


@asynccontextmanager
async def a_page(program: str, url: str) -> AsyncIterator[Page]:
    """A page at `url`; what it complains of fails the test."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=program, args=_ARGUMENTS)
        try:
            page = await browser.new_page()
            complaints: list[str] = []
            page.on("pageerror", lambda error: complaints.append(str(error)))
            await page.add_init_script(SCRIPT)
            await page.goto(url)
            yield page
            assert complaints == []
        finally:
            await browser.close()


async def until(page: Page, peer: str, true: Callable[[dict[str, Any]], bool], limit_s: float = 20) -> dict[str, Any]:
    """Wait until something holds of getStats of `peer` (an expression of the page)."""
    found: dict[str, Any] = {}
    try:
        async with asyncio.timeout(limit_s):
            while True:
                found = await page.evaluate(f"figures({peer})")
                if true(found):
                    return found
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise AssertionError(f"not within {limit_s:g} s: {found}") from None


async def steady(page: Page, peer: str, seconds: float) -> tuple[dict[str, Any], dict[str, Any]]:
    """getStats of `peer` (an expression of the page) now, and `seconds` later, once pictures are decoded at all."""
    first = await until(page, peer, lambda found: found.get("video", {}).get("framesDecoded", 0) > 10)
    await page.wait_for_timeout(seconds * 1000)
    return first, await page.evaluate(f"figures({peer})")


def assert_a_good_picture(first: dict[str, Any], last: dict[str, Any]) -> None:
    """At least 25 pictures a second were decoded between the two, none lost, and sound came."""
    video, before = last["video"], first["video"]
    seconds = (video["timestamp"] - before["timestamp"]) / 1000
    rate = (video["framesDecoded"] - before["framesDecoded"]) / seconds
    assert last.get("video/H264")
    assert rate >= 25, f"{rate:.1f} pictures a second"
    # What libwebrtc could not decode, it received and did not decode; a few may be on their way.
    assert video["framesReceived"] - video["framesDecoded"] <= 5
    assert video["packetsLost"] == 0
    assert last.get("audio/opus")
    audio = last["audio"]
    assert audio["packetsReceived"] - first["audio"]["packetsReceived"] > 40 * seconds
    assert audio["totalAudioEnergy"] > 0, "the beep is not heard"
