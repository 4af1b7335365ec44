"""The lab MCU's web server: WHIP in (RFC 9725), WHEP out, a page with the wall, and who is in as JSON."""

import asyncio
import hmac
import unicodedata
from collections.abc import Awaitable, Callable
from pathlib import Path

from aiohttp import hdrs, web

from appliance.errors import NegotiationFailed, UplinkError

from .sessions import Kind, RoomFull, Sessions

_PAGES = Path(__file__).with_name("static")
_SDP = "application/sdp"
_MAX_BODY = 64 * 1024
_BODY_LIMIT_S = 10.0
_MAX_NAME = 64
_PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class LabMcuServer:
    """Translates HTTP to `Sessions`. With a token, everything but the page itself needs it."""

    def __init__(self, sessions: Sessions, token: str | None = None) -> None:
        self._sessions = sessions
        self._token = token

    def application(self) -> web.Application:
        app = web.Application(client_max_size=_MAX_BODY, middlewares=[self._guard])
        for kind in Kind:
            path = f"/{kind}/{{room}}/{{name}}"
            app.router.add_post(path, self._post)
            app.router.add_options(path, self._options)
        app.router.add_delete("/session/{id}", self._delete)
        app.router.add_options("/session/{id}", self._options)
        app.router.add_get("/api/rooms", self._rooms)
        app.router.add_get("/", self._page("index.html"))
        for name in ("page.js", "page.css", "icon.svg"):
            app.router.add_get(f"/{name}", self._page(name))
        return app

    @web.middleware
    async def _guard(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        """Errors as a sentence in plain text; and other sites' pages only where a token keeps the room."""
        try:
            response = await handler(request)
        except web.HTTPException as error:
            response = error
            if isinstance(error, web.HTTPError) and error.content_type == "text/plain":
                error.text = f"{error.text}\n"
        if self._token is not None and request.path.startswith(("/whip/", "/whep/", "/session/")):
            response.headers["Access-Control-Allow-Origin"] = "*"
            response.headers["Access-Control-Expose-Headers"] = "Location, ETag"
        if isinstance(response, web.HTTPException):
            raise response
        return response

    def _authorize(self, request: web.Request) -> None:
        if self._token is None:
            return
        scheme, _, given = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
        if scheme.lower() != "bearer" or not hmac.compare_digest(given.strip().encode(), self._token.encode()):
            raise web.HTTPUnauthorized(
                headers={hdrs.WWW_AUTHENTICATE: "Bearer"}, text="the token is missing or wrong: send it as Bearer"
            )

    async def _post(self, request: web.Request) -> web.Response:
        self._authorize(request)
        if request.content_type != _SDP:
            raise web.HTTPUnsupportedMediaType(headers={"Accept-Post": _SDP}, text=f"the body must be {_SDP}")
        kind = Kind(request.path.split("/")[1])
        room, name = (_name(request.match_info[key]) for key in ("room", "name"))
        try:
            async with asyncio.timeout(_BODY_LIMIT_S):
                offer = (await request.read()).decode()
        except TimeoutError as error:
            raise web.HTTPRequestTimeout(text="the offer did not arrive in time") from error
        except UnicodeDecodeError as error:
            raise web.HTTPBadRequest(text="the offer is not UTF-8") from error
        try:
            session, answer = await self._sessions.open(kind, room, name, offer)
        except NegotiationFailed as error:
            raise web.HTTPBadRequest(text=str(error)) from error
        except (RoomFull, UplinkError) as error:
            raise web.HTTPServiceUnavailable(headers={hdrs.RETRY_AFTER: "5"}, text=str(error)) from error
        return web.Response(
            status=201,
            body=answer.encode(),
            headers={
                hdrs.CONTENT_TYPE: _SDP,
                hdrs.LOCATION: f"/session/{session.id}",
                hdrs.ETAG: f'"{session.id[:16]}"',
            },
        )

    async def _delete(self, request: web.Request) -> web.Response:
        self._authorize(request)
        if not await self._sessions.close(request.match_info["id"]):
            raise web.HTTPNotFound(text="there is no such session (any more)")
        return web.Response()

    async def _options(self, request: web.Request) -> web.Response:
        is_session = request.path.startswith("/session/")
        methods = "DELETE, OPTIONS" if is_session else "POST, OPTIONS"
        headers = {"Allow": methods}
        if not is_session:
            headers["Accept-Post"] = _SDP
        if self._token is not None:
            headers["Access-Control-Allow-Methods"] = methods
            headers["Access-Control-Allow-Headers"] = "Authorization, Content-Type"
            headers["Access-Control-Max-Age"] = "600"
        return web.Response(status=204, headers=headers)

    async def _rooms(self, request: web.Request) -> web.Response:
        self._authorize(request)
        return web.json_response({"rooms": self._sessions.snapshot()}, headers={"Cache-Control": "no-store"})

    def _page(self, name: str) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def page(_request: web.Request) -> web.StreamResponse:
            return web.FileResponse(_PAGES / name, headers=_PAGE_HEADERS)

        return page


def _name(text: str) -> str:
    """A room's or a person's name out of the path: any script, but nothing that could spoil a log or a page."""
    # One form for what looks the same: a keyboard's "ã" may be one character or two.
    text = unicodedata.normalize("NFC", text)
    if not text.isprintable() or not 0 < len(text.strip()) <= len(text) <= _MAX_NAME:
        raise web.HTTPNotFound(text=f"a room and a name have 1 to {_MAX_NAME} printable characters")
    return text
