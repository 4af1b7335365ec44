"""A WHIP or WHEP server that does what the test says and remembers what it was sent; and one that speaks raw bytes."""

import asyncio
import datetime as dt
import random
import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from multidict import CIMultiDict, CIMultiDictProxy

from appliance.errors import UplinkError
from appliance.settings import Meeting
from appliance.uplink.http import HttpLimits, SignallingClient
from appliance.uplink.whip import WhipResource

SDP_TYPE = {"Content-Type": "application/sdp"}
OFFER = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n"
ANSWER = "v=0\r\no=- 2 2 IN IP4 127.0.0.1\r\ns=answer\r\nt=0 0\r\n"


@dataclass(frozen=True, slots=True)
class Seen:
    """A request as it arrived."""

    method: str
    path: str
    headers: CIMultiDictProxy[str]
    body: str


@dataclass(frozen=True, slots=True)
class Reply:
    """What to answer. `headers` may be pairs, to send one name twice."""

    status: int
    headers: Mapping[str, str] | list[tuple[str, str]] = field(default_factory=dict)
    body: str | bytes = ""


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def created(location: str | None = "/session/1", body: str = ANSWER, **headers: str) -> Reply:
    """The answer of a well-behaved server; underscores in header names stand for dashes."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    where = {} if location is None else {"Location": location}
    return Reply(201, {**SDP_TYPE, **where, **named}, body)


class ScriptedEndpoint:
    """Answers each (method, path) with the replies given, in order; the last one again and again. Else 404."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self._context = context
        self._script: dict[tuple[str, str], list[Reply | Handler]] = {}
        self.requests: list[Seen] = []
        self.origin = ""

    def on(self, method: str, path: str, *replies: Reply | Handler) -> None:
        self._script[method, path] = list(replies)

    def url(self, path: str) -> str:
        return self.origin + path

    def seen(self, method: str) -> list[Seen]:
        return [request for request in self.requests if request.method == method]

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=self._context)
        await site.start()
        scheme, name = ("https", "localhost") if self._context else ("http", "127.0.0.1")
        self.origin = f"{scheme}://{name}:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        body = (await request.read()).decode()
        self.requests.append(Seen(request.method, request.path_qs, request.headers, body))
        replies = self._script.get((request.method, request.path_qs)) or [Reply(404)]
        reply = replies.pop(0) if len(replies) > 1 else replies[0]
        if not isinstance(reply, Reply):
            return await reply(request)
        text = reply.body.encode() if isinstance(reply.body, str) else reply.body
        return web.Response(status=reply.status, headers=CIMultiDict(reply.headers), body=text)


class RawServer:
    """Answers each connection with bytes, as they are, once a whole request has come; then closes it."""

    def __init__(self, *chunks: bytes, pause_s: float = 0.0, hold: bool = False) -> None:
        self._chunks = chunks
        self._pause_s = pause_s
        self._hold = hold
        self.connections = 0
        self.url = ""

    async def __aenter__(self) -> Self:
        self._tasks: set[asyncio.Task[Any]] = set()
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/whip"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            for line in head.lower().split(b"\r\n"):
                if line.startswith(b"content-length:"):
                    await reader.readexactly(int(line.split(b":")[1]))
            for chunk in self._chunks:
                writer.write(chunk)
                await writer.drain()
                await asyncio.sleep(self._pause_s)
            if self._hold:
                await asyncio.Event().wait()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()
            self._tasks.discard(task)


def meeting(send_url: str, receive_url: str | None = None, **more: Any) -> Meeting:
    """Settings of a laboratory meeting with a token."""
    values = {"allow_http": True, "token": "secret", **more}
    return Meeting(id="room", name="Room", send_url=send_url, receive_url=receive_url or send_url, **values)


@dataclass(frozen=True, slots=True)
class Certificates:
    """A certificate for localhost that signs itself, and a TLS server context with it."""

    ca_file: str
    server: ssl.SSLContext


def make_certificates(folder: Path) -> Certificates:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    ca_file, key_file = folder / "ca.pem", folder / "key.pem"
    ca_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(ca_file, key_file)
    return Certificates(str(ca_file), context)


LIMITS = HttpLimits(connect_s=0.3, total_s=0.4)


async def post(config: Meeting, limits: HttpLimits = LIMITS) -> WhipResource:
    """POST an offer, then end the session, as a driver would."""
    async with SignallingClient(config, limits) as client:
        resource = WhipResource(client, config.send_url, rng=random.Random(1))
        try:
            assert await resource.offer(OFFER) == ANSWER
        finally:
            await resource.close()
    return resource


async def failure(config: Meeting, limits: HttpLimits = LIMITS) -> UplinkError:
    """The one error of such a try: a sentence on one line, without the token."""
    with pytest.raises(UplinkError) as caught:
        await post(config, limits)
    message = str(caught.value)
    assert message
    assert "\n" not in message
    assert "secret" not in message
    return caught.value
