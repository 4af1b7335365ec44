"""Notice that this machine's network has changed: a cable, an address, a route (rtnetlink, rtnetlink(7))."""

import asyncio
import errno
import logging
import socket
from types import TracebackType
from typing import Self

log = logging.getLogger(__name__)

# RTMGRP_LINK, RTMGRP_IPV4_IFADDR, RTMGRP_IPV4_ROUTE, RTMGRP_IPV6_IFADDR, RTMGRP_IPV6_ROUTE of linux/rtnetlink.h.
_GROUPS = 0x1 | 0x10 | 0x40 | 0x100 | 0x400
_DATAGRAM = 65536
# A cable that is plugged in changes link, address and routes one after the other: one change for whoever waits.
SETTLE_S = 0.05


class NetworkWatch:
    """Counts changes and wakes those who wait for one. What has changed they find out themselves.

    Where the kernel does not tell, nothing is ever announced; everybody also goes by time.
    """

    def __init__(self) -> None:
        self._socket: socket.socket | None = None
        self._announcing: asyncio.TimerHandle | None = None
        self._waiters: set[asyncio.Future[None]] = set()
        self.changes = 0

    async def __aenter__(self) -> Self:
        try:
            opened = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.NETLINK_ROUTE)
        except OSError as error:
            log.warning("network: changes cannot be watched (%s); the unit goes by time alone", error)
            return self
        try:
            opened.bind((0, _GROUPS))
        except OSError as error:
            opened.close()
            log.warning("network: changes cannot be watched (%s); the unit goes by time alone", error)
            return self
        self._socket = opened
        asyncio.get_running_loop().add_reader(opened, self._readable)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._announcing is not None:
            self._announcing.cancel()
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()
            self._socket = None

    async def changed(self) -> None:
        """Wait for the next change."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.add(waiter)
        try:
            await waiter
        finally:
            self._waiters.discard(waiter)

    def _readable(self) -> None:
        """The messages say what has changed; that they came is enough."""
        assert self._socket is not None
        try:
            while self._socket.recv(_DATAGRAM):
                pass
        except BlockingIOError:
            pass
        except OSError as error:
            # ENOBUFS (netlink(7)): more has changed than the kernel could tell.
            if error.errno != errno.ENOBUFS:
                raise
        if self._announcing is None:
            self._announcing = asyncio.get_running_loop().call_later(SETTLE_S, self.announce)

    def announce(self) -> None:
        """Something has changed."""
        self._announcing = None
        self.changes += 1
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)


def source_for(host: str) -> str | None:
    """Our address on the way to this address literal; None when there is no way. Sends nothing."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as asked:
            asked.connect((host, 9))  # the discard port (RFC 863); UDP's connect only looks the route up
            return str(asked.getsockname()[0])
    except OSError:
        return None


def is_ours(host: str) -> bool:
    """Whether this machine has this address."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as asked:
            asked.bind((host, 0))
    except OSError as error:
        return error.errno != errno.EADDRNOTAVAIL
    return True
