"""Debian's Chromium, headless, judged by libwebrtc's own getStats: as a viewer of the lab MCU, and as the far end."""

from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from appliance.demo.measured import start_mcu
from appliance.demo.unit import UnitPlan
from tests.call import a_unit

from .browser import a_page, assert_a_good_picture, steady, until
from .page_bridge import PageBridge

pytestmark = [pytest.mark.peer, pytest.mark.timeout(90)]

_WATCH = """async (url) => {
  const peer = window.peer = new RTCPeerConnection();
  const element = document.body.appendChild(document.createElement("video"));
  element.autoplay = true;
  peer.ontrack = ({ streams: [stream] }) => { element.srcObject = stream; };
  peer.addTransceiver("video", { direction: "recvonly" });
  peer.addTransceiver("audio", { direction: "recvonly" });
  await peer.setLocalDescription(await peer.createOffer());
  await gathered(peer);
  const answer = await fetch(url,
    { method: "POST", headers: { "Content-Type": "application/sdp" }, body: peer.localDescription.sdp });
  if (answer.status !== 201) throw new Error(await answer.text());
  await peer.setRemoteDescription({ type: "answer", sdp: await answer.text() });
  await connected(peer);
}"""


async def test_a_page_watches_our_unit_through_the_lab_mcu(
    chromium: str, programs: AsyncExitStack, tmp_path: Path
) -> None:
    _, url = await start_mcu(programs, tmp_path, echo=False)
    async with a_unit(UnitPlan.at_lab_mcu("Xã Tân Lập", tmp_path / "unit", url, measured=True)) as unit:
        await unit.joined()
        async with a_page(chromium, f"{url}/") as page:
            await page.evaluate(_WATCH, f"{url}/whep/giao-ban/page")
            first, last = await steady(page, "peer", 5)
            assert_a_good_picture(first, last)
            assert (last["video"]["frameWidth"], last["video"]["frameHeight"]) == (1280, 720)


async def test_a_page_is_the_far_end_of_our_session(chromium: str, programs: AsyncExitStack, tmp_path: Path) -> None:
    bridge = PageBridge()
    await bridge.start(programs)
    async with a_page(chromium, f"{bridge.url}/") as page:
        bridge.page = page
        plan = UnitPlan("Xã Tân Lập", tmp_path / "unit", f"{bridge.url}/whip", f"{bridge.url}/whep", measured=True)
        async with a_unit(plan) as unit:
            await unit.client.ask("join")
            await unit.until_meeting("live")
            first, last = await steady(page, "peers.whip", 5)
            assert_a_good_picture(first, last)
            assert (last["video"]["frameWidth"], last["video"]["frameHeight"]) == (1280, 720)

            screen = (await unit.state())["numbers"]["screen"]
            assert screen["shown"] > 50, "the page's camera is on our screen"
            assert screen["decode_errors"] == 0
            sent = await page.evaluate("figures(peers.whep)")
            assert sent.get("video/H264")
            # Chromium's fake microphone beeps once a second.
            assert unit.heard_power(0) > 100

            # Off and on again: the far end needs a keyframe each time, and gets it.
            keyframes = last["video"]["keyFramesDecoded"]
            await unit.client.ask("camera", on=False)
            await unit.client.ask("camera", on=True)
            await until(page, "peers.whip", lambda found: bool(found["video"]["keyFramesDecoded"] > keyframes))

            async def measured() -> bool:
                numbers = (await unit.state())["numbers"]["session"]
                return bool(numbers["video_out_rtt_ms"]) and numbers["video_out_target_bps"] > 2_000_000

            # libwebrtc's own feedback lets us climb to the configured rate ...
            await unit.until("the whole rate by Chromium's feedback", measured, 20)
            numbers = (await unit.state())["numbers"]["session"]
            assert numbers["video_out_transport_cc_reports"] > 50
            assert numbers["video_out_transport_cc_malformed"] == 0
            assert numbers["video_out_packets_acknowledged"] > 500
            # ... and ours lets Chromium do the same: its estimate leaves the 300 kbit/s that it starts from.
            assert numbers["link_in_transport_cc_sent"] > 50
            assert numbers["link_in_without_transport_cc"] == 0
            await until(
                page, "peers.whep", lambda found: bool(found["line"].get("availableOutgoingBitrate", 0) > 1_000_000)
            )

            await unit.leave()

            async def deleted() -> bool:
                return sorted(bridge.deleted) == ["whep", "whip"]

            await unit.until("both sessions deleted", deleted, 5)
