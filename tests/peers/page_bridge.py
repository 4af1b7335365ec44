"""A WHIP and WHEP endpoint whose far end is a page: each POST is answered by an RTCPeerConnection of the page."""

import asyncio
from contextlib import AsyncExitStack

from aiohttp import web
from playwright.async_api import Page

# Takes our offer for one direction and gives its answer once all candidates are known. What the unit sends is in
# `peers.whip`; the page's own fake camera and microphone go out through `peers.whep`.
SCRIPT = """
window.peers = {};
window.answer = async (kind, offer) => {
  const peer = peers[kind] = new RTCPeerConnection();
  if (kind === "whip") {
    const element = document.body.appendChild(document.createElement("video"));
    element.autoplay = true;
    peer.ontrack = ({ streams: [stream] }) => { element.srcObject = stream; };
  }
  await peer.setRemoteDescription({ type: "offer", sdp: offer });
  if (kind === "whep") {
    const stream = await navigator.mediaDevices.getUserMedia(
      { audio: true, video: { width: 640, height: 360, frameRate: 30 } });
    for (const track of stream.getTracks()) peer.addTrack(track, stream);
  }
  await peer.setLocalDescription(await peer.createAnswer());
  await gathered(peer);
  return peer.localDescription.sdp;
};
"""


class PageBridge:
    """Serves /whip, /whep and an empty page; `page` is set once it is open."""

    def __init__(self) -> None:
        self.page: Page | None = None
        self.deleted: list[str] = []
        self.url = ""

    async def start(self, stack: AsyncExitStack) -> None:
        app = web.Application()
        app.router.add_get("/", self._empty)
        app.router.add_post("/{kind:whip|whep}", self._post)
        app.router.add_delete("/session/{kind}", self._delete)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"

    async def _empty(self, request: web.Request) -> web.Response:
        return web.Response(
            text=f"<!doctype html><title>far end</title><body><script>{SCRIPT}</script>", content_type="text/html"
        )

    async def _post(self, request: web.Request) -> web.Response:
        kind = request.match_info["kind"]
        assert self.page is not None
        async with asyncio.timeout(10):
            sdp = await self.page.evaluate("([kind, offer]) => answer(kind, offer)", [kind, await request.text()])
        return web.Response(
            status=201, text=sdp, content_type="application/sdp", headers={"Location": f"/session/{kind}"}
        )

    async def _delete(self, request: web.Request) -> web.Response:
        kind = request.match_info["kind"]
        self.deleted.append(kind)
        assert self.page is not None
        await self.page.evaluate("(kind) => peers[kind].close()", kind)
        return web.Response()
