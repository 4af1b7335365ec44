"""Find the MCU's address by its name, also while the name server is slow or gone: an address that worked is kept."""

import asyncio
import logging
import socket

from aiohttp import ThreadedResolver
from aiohttp.abc import AbstractResolver, ResolveResult

log = logging.getLogger(__name__)

# The C library asks a silent name server again after 5 s, which would be 5 s without a meeting.
PATIENCE_S = 1.0
_MOST = 16


class Names(AbstractResolver):
    """One for all sessions of a unit. TLS still proves that whoever answers at the address has the name."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, int], list[ResolveResult]] = {}
        # Told once, until the name server answers again.
        self._from_memory: set[tuple[str, int]] = set()
        self._asking: dict[tuple[str, int], asyncio.Task[list[ResolveResult]]] = {}

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """See AbstractResolver. Raises OSError for a name that was never known."""
        key = (host, int(family))
        asking = self._asking.get(key)
        if asking is None:
            # One question at a time: each keeps a thread for as long as the name server is silent.
            asking = self._asking[key] = asyncio.ensure_future(ThreadedResolver().resolve(host, 0, family))
            asking.add_done_callback(lambda asked: self._answered(key, asked))
        known = self._known.get(key)
        await asyncio.wait((asking,), timeout=None if known is None else PATIENCE_S)
        if known is not None and (not asking.done() or asking.cancelled() or asking.exception() is not None):
            if key not in self._from_memory:
                self._from_memory.add(key)
                log.warning("uplink: the name server does not tell the address of %s; using the one known", host)
            found = known
        else:
            found = asking.result()
        return [ResolveResult(**{**one, "port": port}) for one in found]

    def _answered(self, key: tuple[str, int], asked: asyncio.Task[list[ResolveResult]]) -> None:
        del self._asking[key]
        if not asked.cancelled() and asked.exception() is None and asked.result():
            self._from_memory.discard(key)
            self._known.pop(key, None)
            self._known[key] = asked.result()
            if len(self._known) > _MOST:
                del self._known[next(iter(self._known))]

    async def close(self) -> None:
        """Nothing is open; it outlives the connections that use it."""
