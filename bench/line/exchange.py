"""Two bridge points call each other: one's WHIP offer is handed to the other's WHEP as a counter-offer (406).

Only SDP passes through here; media take the straight way. Run at the far end:
`python -m bench.line.exchange ADDR:PORT`. The unit N sends to /whip/N, and receives from the unit M at /whep/M.
"""

import asyncio
import secrets
import sys
from contextlib import suppress

from aiohttp import web

from .serving import MAX_BODY, SDP, serve

# A unit waits for the other's half as long as this; then it comes again by itself.
_PATIENCE_S = 8.0


class _Call:
    """One unit's offer to send, and the other's answer once it is there."""

    def __init__(self, offer: str) -> None:
        self.id = secrets.token_hex(8)
        self.offer = offer
        self.is_taken = False
        self.answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()


class Exchange:
    """Pairs offers with those who wait for them."""

    def __init__(self) -> None:
        self._calls: dict[str, _Call] = {}
        self._offered = asyncio.Condition()

    def application(self) -> web.Application:
        app = web.Application(client_max_size=MAX_BODY)
        app.router.add_post("/whip/{name}", self._send)
        app.router.add_post("/whep/{name}", self._receive)
        app.router.add_patch("/session/{id}", self._answer)
        app.router.add_delete("/session/{id}", self._end)
        return app

    async def _send(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        call = _Call(await request.text())
        async with self._offered:
            self._calls[name] = call
            self._offered.notify_all()
        try:
            answer = await asyncio.wait_for(asyncio.shield(call.answer), _PATIENCE_S)
        except TimeoutError:
            return web.Response(status=503, text="nobody receives it yet\n", headers={"Retry-After": "1"})
        finally:
            if self._calls.get(name) is call:
                del self._calls[name]
        return web.Response(status=201, text=answer, content_type=SDP, headers={"Location": f"/session/{call.id}"})

    async def _receive(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        await request.read()
        call: _Call | None = None
        async with self._offered:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._offered.wait_for(lambda: self._open(name) is not None), _PATIENCE_S)
            call = self._open(name)
            if call is not None:
                call.is_taken = True
        if call is None:
            return web.Response(status=409, text="nobody sends it yet\n", headers={"Retry-After": "1"})
        return web.Response(status=406, text=call.offer, content_type=SDP, headers={"Location": f"/session/{call.id}"})

    def _open(self, name: str) -> _Call | None:
        call = self._calls.get(name)
        return None if call is None or call.is_taken else call

    async def _answer(self, request: web.Request) -> web.Response:
        answer = await request.text()
        for call in self._calls.values():
            if call.id == request.match_info["id"] and not call.answer.done():
                call.answer.set_result(answer)
                return web.Response(status=204)
        return web.Response(status=404, text="whoever sent it has given up\n")

    async def _end(self, _: web.Request) -> web.Response:
        return web.Response()


if __name__ == "__main__":
    asyncio.run(serve(Exchange().application(), sys.argv[1]))
