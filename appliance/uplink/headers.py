"""What WHIP and WHEP say in HTTP headers: Link, Retry-After, Location, Content-Type. Pure parsers that never raise
on what a server sends: a header that cannot be read is a header that is not there.
"""

import ipaddress
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import SplitResult, urljoin, urlsplit

MAX_LINKS = 32
# draft-ietf-wish-whep-04 section 4.2.2: a counter-offer without "valid-until" is good for 30 s.
COUNTER_OFFER_LIFE_S = 30.0

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105  RFC 9110's word for it
_PARAM = re.compile(rf'\s*;\s*(?P<name>{_TOKEN})\s*(?:=\s*(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<plain>[^;,\s"]*)))?')
_TARGET = re.compile(r"[\s,]*<(?P<target>[^<>]*)>")
_ESCAPED = re.compile(r"\\(.)")
_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Link:
    """One link of a Link header (RFC 8288): where to, and its parameters, names in lower case."""

    target: str
    params: Mapping[str, str] = field(default_factory=dict)

    @property
    def rels(self) -> tuple[str, ...]:
        return tuple(self.params.get("rel", "").lower().split())


@dataclass(frozen=True, slots=True)
class LinkedIceServer:
    """A STUN or TURN server that the MCU names in a Link header (RFC 9725 section 4.6)."""

    url: str
    username: str | None = None
    credential: str | None = field(default=None, repr=False)


def brief(url: str) -> str:
    """An address as a message may show it: without query and the further path, which hold keys on some servers."""
    where = origin(url)
    if where is None:
        return "an unusable address"
    scheme, host, port = where
    shown = f"[{host}]" if ":" in host else host
    if port != _DEFAULT_PORTS.get(scheme):
        shown += f":{port}"
    return f"{scheme}://{plain(shown)}/…"


def plain(text: str, longest: int = 120) -> str:
    """What a server said, fit for a message: bounded, and without anything that a terminal or a log would obey."""
    shown = "".join(c if c.isprintable() else " " for c in text[: 4 * longest])
    shown = " ".join(shown.split())
    return shown if len(shown) <= longest else shown[: longest - 1] + "…"


def _parameters(text: str, start: int) -> tuple[dict[str, str], int]:
    """The `;name=value` list that begins at `start`, and where it ends. The first of two equal names counts."""
    params: dict[str, str] = {}
    while match := _PARAM.match(text, start):
        quoted, plain = match["quoted"], match["plain"]
        value = _ESCAPED.sub(r"\1", quoted) if quoted is not None else plain or ""
        params.setdefault(match["name"].lower(), value)
        start = match.end()
    return params, start


def parse_links(values: Iterable[str]) -> tuple[Link, ...]:
    """All links of all Link headers, in order. What is not a link is skipped; more than MAX_LINKS are not read."""
    links: list[Link] = []
    for value in values:
        position = 0
        while len(links) < MAX_LINKS and (match := _TARGET.match(value, position)):
            params, position = _parameters(value, match.end())
            links.append(Link(match["target"].strip(), params))
            # Whatever follows up to the next comma is not ours to understand.
            comma = value.find(",", position)
            position = len(value) if comma < 0 else comma
    return tuple(links)


def ice_servers(links: Iterable[Link]) -> tuple[LinkedIceServer, ...]:
    """The ICE servers among the links; every other relation is somebody else's extension."""
    return tuple(
        LinkedIceServer(link.target, link.params.get("username"), link.params.get("credential"))
        for link in links
        if "ice-server" in link.rels and link.target.lower().startswith(("stun:", "stuns:", "turn:", "turns:"))
    )


def parse_http_date(value: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(value)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return date if date.tzinfo is not None else date.replace(tzinfo=UTC)


def _seconds_between(earlier: datetime, later: datetime) -> float:
    return (later - earlier).total_seconds()


def parse_retry_after(value: str | None, date: str | None = None) -> float | None:
    """Seconds to wait (RFC 9110 section 10.2.3), from either form; None when absent or unreadable.

    A date is held against the server's own Date header where there is one: a board without a battery-backed clock may
    be years off.
    """
    if value is None:
        return None
    value = value.strip()
    if value.isascii() and value.isdigit():
        # Longer than any cap; int() of thousands of digits would only burn time.
        return float(value) if len(value) <= 9 else float("inf")
    until = parse_http_date(value)
    if until is None:
        return None
    now = parse_http_date(date) if date else None
    return max(0.0, _seconds_between(now or datetime.now(UTC), until))


def parse_content_type(value: str | None) -> tuple[str, dict[str, str]]:
    """The media type in lower case, and its parameters. Empty when there is none."""
    kind, _, _ = (value or "").partition(";")
    params, _ = _parameters(value or "", len(kind))
    return kind.strip().lower(), params


def counter_offer_life_s(content_type: str | None, date: str | None) -> float:
    """How long a WHEP counter-offer may still be answered: until its `valid-until`, by the server's own clock."""
    _, params = parse_content_type(content_type)
    until = parse_http_date(params.get("valid-until", ""))
    if until is None:
        return COUNTER_OFFER_LIFE_S
    now = parse_http_date(date) if date else None
    return _seconds_between(now or datetime.now(UTC), until)


def split_url(url: str) -> SplitResult | None:
    """The parts of an http(s) URL with a host and no user name; None for anything else."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in _DEFAULT_PORTS and parts.hostname and not parts.username and not parts.password
        _ = parts.port  # raises when out of range
    except ValueError:
        return None
    return parts if usable else None


def origin(url: str) -> tuple[str, str, int] | None:
    """Scheme, host, port (RFC 6454), or None when the URL is not one that we speak to."""
    parts = split_url(url)
    if parts is None:
        return None
    return parts.scheme, (parts.hostname or "").lower(), parts.port or _DEFAULT_PORTS[parts.scheme]


def resolve(base: str, reference: str) -> str | None:
    """The absolute URL of a Location header, relative or not (RFC 9110 section 10.2.2); None when it is no http URL."""
    reference = reference.strip()
    if not reference or any(ord(letter) <= 0x20 or ord(letter) == 0x7F for letter in reference):
        return None
    try:
        url = urljoin(base, reference)
    except ValueError:
        return None
    return url if split_url(url) is not None else None


def is_loopback(host: str) -> bool:
    """Whether this host name or address literal means the machine itself."""
    name = host.lower().rstrip(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return False
