"""The HTTP client of WHIP and WHEP: careful with the token, with redirects, and with whatever a server answers.

Every failure of a request is one UplinkError with a plain sentence; an HTTP status of any kind is an Answer.
"""

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import aiohttp
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from appliance import settings
from appliance.errors import Unreachable, UplinkError

from .headers import brief, origin, plain, resolve, split_url
from .names import Names

log = logging.getLogger(__name__)

# 307 and 308 keep method and body. 301, 302 and 303 turn a POST into a GET in most clients, so RFC 9725 section 4.7
# forbids them; they come back as the answer and become an error.
_REDIRECTS = (307, 308)


UNACKNOWLEDGED_MS = 4000


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """How much of time and memory one request may take, with all its redirects."""

    connect_s: float = 5.0
    total_s: float = 15.0
    body_bytes: int = 64 * 1024
    redirects: int = 5


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: status, the URL that gave it (after redirects), headers, body (cut at the limit)."""

    status: int
    url: str
    headers: CIMultiDictProxy[str]
    body: bytes = field(default=b"", repr=False)
    is_cut: bool = False


def _impatient_socket(address: aiohttp.AddrInfoType) -> socket.socket:
    """For requests of a few kilobytes: what nobody acknowledges fails soon, to be tried again when the line is back.

    Otherwise TCP's repetitions, ever further apart, would outlast the cut by as long as it lasted (tcp(7)).
    """
    made = socket.socket(*address[:3])
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNACKNOWLEDGED_MS)
    return made


def unusable(message: str) -> UplinkError:
    """What the MCU answered helps nobody; only a technician can cure that, so there is no hurry."""
    return UplinkError(message, retry_after_s=5.0, problem="mcu-answer")


class SignallingClient:
    """HTTP for one session. Redirects are followed by hand, so that each hop is judged before anything is sent."""

    def __init__(self, meeting: settings.Meeting, limits: HttpLimits | None = None, names: Names | None = None) -> None:
        """`names`: shared by all sessions, as what it knows outlives them."""
        self._meeting = meeting
        self._names = names or Names()
        self._token_hosts = frozenset(host.lower() for host in meeting.token_hosts)
        self._limits = limits or HttpLimits()
        self._http: aiohttp.ClientSession | None = None
        self._late: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def open(self) -> None:
        limits = self._limits
        self._http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                ssl=await self._tls(),
                resolver=self._names,
                use_dns_cache=False,
                # A connection kept from before a cut, a new address or a NAT's forgetting would swallow the goodbye.
                force_close=True,
                socket_factory=_impatient_socket,
            ),
            timeout=aiohttp.ClientTimeout(
                total=limits.total_s, connect=limits.connect_s, sock_connect=limits.connect_s
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            # A compressed body could grow without bound; SDP is small as it is.
            auto_decompress=False,
            headers={"Accept-Encoding": "identity", "User-Agent": "bridgepoint"},
        )

    async def close(self) -> None:
        """Give the connections back; those that a late goodbye still needs stay until it has been said."""
        if self._late:
            closing = asyncio.ensure_future(self._close_after(list(self._late)))
            _CLOSING.add(closing)
            closing.add_done_callback(_CLOSING.discard)
        elif self._http is not None:
            http, self._http = self._http, None
            await http.close()

    async def _close_after(self, goodbyes: list[asyncio.Task[None]]) -> None:
        try:
            await asyncio.wait(goodbyes)
        finally:
            if self._http is not None:
                http, self._http = self._http, None
                await http.close()

    def keep_open_for(self, goodbye: asyncio.Task[None]) -> None:
        """`goodbye` goes on after `close()`; the time it takes is bounded by the limits of its requests."""
        self._late.add(goodbye)
        goodbye.add_done_callback(self._late.discard)

    def without_token(self, text: str) -> str:
        """What a server or a library said, fit for a log: bounded, on one line, and without our token."""
        token = self._meeting.token
        if token is not None:
            text = text.replace(token.get_secret_value(), settings.MASK)
        return plain(text)

    async def _tls(self) -> ssl.SSLContext | bool:
        urls = (self._meeting.send_url, self._meeting.receive_url)
        if all(url.lower().startswith("http:") for url in urls) and not self._meeting.ca_file:
            return True
        try:
            # Reading the certificates takes tens of milliseconds: not in the loop that sends packets.
            context = await asyncio.to_thread(ssl.create_default_context, cafile=self._meeting.ca_file)
        except (OSError, ssl.SSLError) as error:
            raise unusable(
                f"the CA certificate file {self._meeting.ca_file} cannot be read ({error}); correct 'ca_file'"
            ) from error
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        return context

    def trusts(self, url: str, home: str) -> bool:
        """Whether `url` may be given the token: it has the origin of the configured URL `home`, or is allow-listed."""
        where, ours = origin(url), origin(home)
        if where is None or ours is None or (ours[0] == "https" and where[0] != "https"):
            return False
        return where == ours or where[1] in self._token_hosts or f"{where[1]}:{where[2]}" in self._token_hosts

    def _check_hop(self, url: str, before: str) -> None:
        scheme = url[:5].lower()
        if scheme == "http:" and before[:6].lower() == "https:":
            raise unusable(f"{brief(before)} redirects to unencrypted {brief(url)}; that is refused")
        if scheme == "http:" and not self._meeting.allow_http:
            raise unusable(f"{brief(url)} is not encrypted; use https (or 'allow_http' in a laboratory)")

    async def request(
        self,
        method: str,
        url: str,
        *,
        home: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        on_headers: Callable[[Answer], None] | None = None,
    ) -> Answer:
        """Send a request and follow its 307 and 308. `on_headers` sees the final answer before its body is read."""
        host = (origin(url) or ("", url, 0))[1]
        try:
            async with asyncio.timeout(self._limits.total_s):
                return await self._follow(method, url, home, body, headers or {}, on_headers)
        except UplinkError:
            raise
        except aiohttp.ConnectionTimeoutError as error:
            raise Unreachable(f"{host} cannot be connected to within {self._limits.connect_s:g} s") from error
        except TimeoutError as error:
            raise UplinkError(f"{host} does not answer within {self._limits.total_s:g} s") from error
        except aiohttp.ClientError as error:
            raise _in_words(error, host) from error
        except (ValueError, OSError) as error:
            raise UplinkError(f"the request to {host} failed: {self.without_token(str(error))}") from error

    async def _follow(
        self,
        method: str,
        url: str,
        home: str,
        body: bytes | None,
        headers: Mapping[str, str],
        on_headers: Callable[[Answer], None] | None,
    ) -> Answer:
        seen = {url}
        before = url
        while True:
            self._check_hop(url, before)
            answer = await self._one(method, url, home, body, headers, on_headers)
            if answer.status not in _REDIRECTS:
                return answer
            target = resolve(url, answer.headers.get("Location", ""))
            if target is None:
                raise unusable(f"{brief(url)} redirects ({answer.status}) to nowhere")
            if target in seen:
                raise unusable(f"{brief(url)} redirects in a circle")
            if len(seen) > self._limits.redirects:
                raise unusable(f"{brief(home)} redirects more than {self._limits.redirects} times")
            log.info("uplink: %s redirects to %s", brief(url), brief(target))
            seen.add(target)
            before, url = url, target

    async def _one(
        self,
        method: str,
        url: str,
        home: str,
        body: bytes | None,
        headers: Mapping[str, str],
        on_headers: Callable[[Answer], None] | None,
    ) -> Answer:
        assert self._http is not None, "the client is used outside of its 'async with'"
        if split_url(url) is None:
            raise unusable("the MCU names something that is no address of a web service")
        sent = CIMultiDict(headers)
        token = self._meeting.token
        if token is not None and self.trusts(url, home):
            sent["Authorization"] = f"Bearer {token.get_secret_value()}"
        # What a server calls its session is sent back to the byte; only a person's words need quoting.
        target = URL(url, encoded=url.isascii())
        async with self._http.request(method, target, data=body, headers=sent, allow_redirects=False) as response:
            answer = Answer(response.status, url, response.headers)
            if on_headers is not None and response.status not in _REDIRECTS:
                on_headers(answer)
            received = bytearray()
            limit = self._limits.body_bytes
            if response.status not in _REDIRECTS:
                while len(received) <= limit and (chunk := await response.content.read(limit + 1 - len(received))):
                    received += chunk
            is_cut = len(received) > limit
            if is_cut or response.status in _REDIRECTS:
                response.close()
            return Answer(response.status, url, response.headers, bytes(received[:limit]), is_cut)


# Running tasks need a reference; nothing else is kept here.
_CLOSING: set[asyncio.Task[None]] = set()


def _in_words(error: aiohttp.ClientError, host: str) -> UplinkError:
    """The failure of a request in words for a technician."""
    match error:
        case aiohttp.ClientConnectorDNSError():
            message = f"the name {host} is not known; check the address and the network's name server"
            # A name server that says so is there; one that says nothing may be behind a line that is down.
            is_told = getattr(error.os_error, "errno", None) == socket.EAI_NONAME
            return UplinkError(message) if is_told else Unreachable(message)
        case aiohttp.ClientConnectorCertificateError():
            reason = getattr(error.certificate_error, "verify_message", None) or error.certificate_error
            return unusable(f"the certificate of {host} is not trusted ({reason}); check 'ca_file' and the clock")
        case aiohttp.ClientSSLError():
            return unusable(f"no secure connection to {host} ({error.strerror or error}); it needs TLS 1.2 or newer")
        case aiohttp.ClientConnectorError():
            reason = error.strerror or str(error.os_error) or type(error.os_error).__name__
            return Unreachable(f"{host} cannot be connected to ({reason})")
        case aiohttp.ServerDisconnectedError() | aiohttp.ClientOSError():
            return UplinkError(f"{host} closed the connection in the middle of a request")
        case aiohttp.ClientPayloadError():
            return UplinkError(f"{host} broke off in the middle of its answer")
        case _:
            return unusable(f"{host} does not answer in proper HTTP ({type(error).__name__})")
