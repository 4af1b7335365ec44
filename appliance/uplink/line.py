"""The way from this unit to its MCUs: whether a server can be reached now.

While nothing answers, a server is knocked at (a TCP connection, made and closed) more often than a whole try could be
made, so that the line's return is noticed within a second. A thousand units that knock cost a server next to nothing.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Iterable

from .headers import origin
from .names import Names
from .network import NetworkWatch, source_for

KNOCK_EVERY_S = 0.7
# Slow lines take more than a second for an answer: the knocks overlap.
KNOCK_LIMIT_S = 3.0
_MOST_ADDRESSES = 4
_MOST_KNOCKS = 6


class Line:
    """Shared by all tries of a unit, as what is known of the line outlives them."""

    def __init__(self, network: NetworkWatch | None = None) -> None:
        self.network = network or NetworkWatch()
        self.names = Names()
        # Something went wrong, and nothing has gone well since: knock before trying.
        self.is_doubtful = False

    async def answers(self, urls: Iterable[str], *, refusal_counts: bool = False) -> None:
        """Wait until each server of `urls` takes a connection, or (`refusal_counts`) at least refuses one."""
        servers = {(found[1], found[2]) for url in urls if (found := origin(url)) is not None}
        await asyncio.gather(*(self._knock_at(host, port, refusal_counts) for host, port in servers))

    def has_way(self, urls: Iterable[str]) -> bool:
        """Whether this machine has any address and route that could lead there."""
        for url in urls:
            found = origin(url)
            if found is not None and not _is_literal(found[1]):
                # The name's address may not be known; any public one does (RFC 5737; nothing is sent).
                return source_for("192.0.2.1") is not None or source_for("2001:db8::1") is not None
            if found is not None and source_for(found[1].strip("[]")) is not None:
                return True
        return False

    async def _knock_at(self, host: str, port: int, refusal_counts: bool) -> None:
        knocks: set[asyncio.Task[bool]] = set()
        changed = asyncio.ensure_future(self.network.changed())
        try:
            while True:
                if len(knocks) < _MOST_KNOCKS:
                    knocks.add(asyncio.ensure_future(self._knock(host, port, refusal_counts)))
                next_s = asyncio.get_running_loop().time() + KNOCK_EVERY_S
                while (left_s := next_s - asyncio.get_running_loop().time()) > 0:
                    done, _ = await asyncio.wait(
                        (*knocks, changed), timeout=left_s, return_when=asyncio.FIRST_COMPLETED
                    )
                    if any(knock in done and knock.result() for knock in knocks):
                        return
                    knocks -= done
                    if changed in done:
                        # A cable, an address, a route: now it may well work.
                        changed = asyncio.ensure_future(self.network.changed())
                        break
        finally:
            changed.cancel()
            for knock in knocks:
                knock.cancel()
            await asyncio.gather(*knocks, return_exceptions=True)

    async def _knock(self, host: str, port: int, refusal_counts: bool) -> bool:
        connecting: set[asyncio.Task[None]] = set()
        try:
            async with asyncio.timeout(KNOCK_LIMIT_S):
                addresses = await self._addresses(host, port)
                connecting = {asyncio.ensure_future(_connects(*address)) for address in addresses}
                while connecting:
                    done, connecting = await asyncio.wait(connecting, return_when=asyncio.FIRST_COMPLETED)
                    for error in [task.exception() for task in done]:
                        if error is None or (refusal_counts and isinstance(error, ConnectionRefusedError)):
                            return True
        except (TimeoutError, OSError):
            pass
        finally:
            for task in connecting:
                task.cancel()
            await asyncio.gather(*connecting, return_exceptions=True)
        return False

    async def _addresses(self, host: str, port: int) -> list[tuple[int, str, int]]:
        literal = host.strip("[]")
        if _is_literal(literal):
            return [(socket.AF_INET6 if ":" in literal else socket.AF_INET, literal, port)]
        found = await self.names.resolve(host, port, socket.AF_UNSPEC)
        return [(one["family"], one["host"], port) for one in found[:_MOST_ADDRESSES]]


def _is_literal(host: str) -> bool:
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True


async def _connects(family: int, host: str, port: int) -> None:
    with socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as knocking:
        await asyncio.get_running_loop().sock_connect(knocking, (host, port))
