"""The one place where threads meet the loop: a blocking device runs in a thread, its items arrive in the loop."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from typing import Generic, TypeVar

from .queues import DropOldestQueue

T = TypeVar("T")


class ThreadBridge(Generic[T]):
    """Run `body(put, stopping)` in a daemon thread and iterate over what it puts.

    An exception in the body is raised to the iterating consumer after the items before it. `stopping` is set by
    `stop()`; the body must look at it at least each 100 ms. A body that hangs in a driver is left behind: the process
    that holds it is what gets replaced.
    """

    def __init__(self, name: str, body: Callable[[Callable[[T], None], threading.Event], None], length: int) -> None:
        self._name = name
        self._body = body
        self._queue: DropOldestQueue[T] = DropOldestQueue(length)
        self._stopping = threading.Event()
        self._ended = asyncio.Event()
        self._error: BaseException | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    @property
    def dropped(self) -> int:
        return self._queue.dropped

    def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
        self._thread.start()

    def _post(self, call: Callable[..., None], *args: object) -> None:
        assert self._loop is not None
        try:
            self._loop.call_soon_threadsafe(call, *args)
        except RuntimeError:  # the loop is closed: nobody listens any more
            self._stopping.set()

    def _run(self) -> None:
        try:
            self._body(lambda item: self._post(self._queue.put, item), self._stopping)
        except BaseException as error:  # noqa: BLE001  carried to the consumer, who raises it
            self._error = error
        self._post(self._ended.set)

    async def stop(self, timeout: float = 1.0) -> None:
        self._stopping.set()
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join, timeout)

    async def __aiter__(self) -> AsyncIterator[T]:
        ended = asyncio.ensure_future(self._ended.wait())
        try:
            while True:
                item = asyncio.ensure_future(self._queue.get())
                try:
                    await asyncio.wait((item, ended), return_when=asyncio.FIRST_COMPLETED)
                finally:
                    if not item.done():
                        item.cancel()
                if item.done() and not item.cancelled():
                    yield item.result()
                elif ended.done():
                    break
        finally:
            ended.cancel()
        if self._error is not None:
            raise self._error
