"""A WHIP/WHEP door to Janus' VideoRoom: `python janus_bridge.py LISTEN JANUS_HTTP_URL`.

Publishing is plain. A VideoRoom subscription is offered by Janus, so the WHEP offer is answered by 406 with Janus'
own offer, which the client answers by PATCH (draft-ietf-wish-whep, "counter-offer").
"""

import asyncio
import itertools
import sys
import uuid
from typing import Any

import aiohttp
from aiohttp import web

ROOM = 1234
SDP = "application/sdp"


class Janus:
    """Janus' HTTP transport: sessions, handles, and the events that a long poll brings."""

    def __init__(self, http: aiohttp.ClientSession, url: str) -> None:
        self._http = http
        self._url = url

    async def post(self, path: str, **message: Any) -> dict[str, Any]:
        async with self._http.post(self._url + path, json={"transaction": uuid.uuid4().hex, **message}) as answer:
            reply: dict[str, Any] = await answer.json()
        if reply["janus"] == "error":
            raise web.HTTPBadGateway(text=str(reply))
        return reply

    async def attach(self) -> "Handle":
        session = (await self.post("", janus="create"))["data"]["id"]
        handle = (await self.post(f"/{session}", janus="attach", plugin="janus.plugin.videoroom"))["data"]["id"]
        return Handle(self, session, handle)

    async def event(self, session: int) -> dict[str, Any]:
        async with self._http.get(f"{self._url}/{session}?maxev=1") as answer:
            event: dict[str, Any] = await answer.json()
        return event


class Handle:
    """One plug-in handle with its own session."""

    def __init__(self, janus: Janus, session: int, handle: int) -> None:
        self._janus = janus
        self._session = session
        self._handle = handle

    async def ask(self, body: dict[str, Any], jsep: dict[str, Any] | None = None) -> dict[str, Any]:
        """Send a message to the plug-in and wait for its event."""
        path = f"/{self._session}/{self._handle}"
        extra = {"jsep": jsep} if jsep else {}
        reply = await self._janus.post(path, janus="message", body=body, **extra)
        while reply["janus"] == "ack" or "plugindata" not in reply:
            reply = await self._janus.event(self._session)
        data = reply["plugindata"]["data"]
        if "error" in data:
            raise web.HTTPBadGateway(text=str(data))
        return reply

    async def close(self) -> None:
        await self._janus.post(f"/{self._session}", janus="destroy")


class Door:
    """The HTTP face of the bridge."""

    def __init__(self, janus: Janus) -> None:
        self._janus = janus
        self._numbers = itertools.count(1)
        self._sessions: dict[str, Handle] = {}
        self._publisher: int | None = None

    async def publish(self, request: web.Request) -> web.Response:
        offer = await request.text()
        handle = await self._janus.attach()
        joined = await handle.ask({"request": "join", "ptype": "publisher", "room": ROOM})
        reply = await handle.ask(
            {"request": "publish", "audiocodec": "opus", "videocodec": "h264"}, {"type": "offer", "sdp": offer}
        )
        # Not before there is something to subscribe to.
        self._publisher = joined["plugindata"]["data"]["id"]
        return self._session(handle, 201, reply["jsep"]["sdp"])

    async def subscribe(self, request: web.Request) -> web.Response:
        await request.read()
        if self._publisher is None:
            return web.Response(status=409, headers={"Retry-After": "1"})
        handle = await self._janus.attach()
        reply = await handle.ask(
            {"request": "join", "ptype": "subscriber", "room": ROOM, "streams": [{"feed": self._publisher}]}
        )
        return self._session(handle, 406, reply["jsep"]["sdp"])

    async def answer(self, request: web.Request) -> web.Response:
        handle = self._sessions[request.match_info["number"]]
        await handle.ask({"request": "start"}, {"type": "answer", "sdp": await request.text()})
        return web.Response(status=204)

    async def close(self, request: web.Request) -> web.Response:
        handle = self._sessions.pop(request.match_info["number"], None)
        if handle is None:
            return web.Response(status=404)
        await handle.close()
        return web.Response()

    def _session(self, handle: Handle, status: int, sdp: str) -> web.Response:
        number = str(next(self._numbers))
        self._sessions[number] = handle
        return web.Response(status=status, text=sdp, content_type=SDP, headers={"Location": f"/session/{number}"})


async def main(port: int, janus_url: str) -> None:
    async with aiohttp.ClientSession() as http:
        door = Door(Janus(http, janus_url))
        app = web.Application()
        app.router.add_post("/whip", door.publish)
        app.router.add_post("/whep", door.subscribe)
        app.router.add_patch("/session/{number}", door.answer)
        app.router.add_delete("/session/{number}", door.close)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "0.0.0.0", port).start()
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
