"""Ctrl-C, SIGTERM and a closed terminal end a demonstration in order, at whatever point it is."""

import asyncio
import signal
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, NoReturn, TypeVar

T = TypeVar("T")
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StoppedError(Exception):
    """A signal ended the demonstration; its message names it."""

    def __init__(self, number: int) -> None:
        super().__init__(f"stopped by {signal.Signals(number).name}")
        self.exit_status = 128 + number


@contextmanager
def signals_stop() -> Iterator[None]:
    """Raise StoppedError on a signal wherever no loop runs, such as while modules are imported."""

    def stop(number: int, frame: FrameType | None) -> NoReturn:
        raise StoppedError(number)

    before = {number: signal.signal(number, stop) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def run_until_stopped(main: Coroutine[Any, Any, T]) -> T:
    """As asyncio.run, but a signal cancels `main`, which then ends what it started; raises StoppedError.

    A second signal cancels once more: what was asked to end is then killed.
    """
    received: list[int] = []

    async def watched() -> T:
        task = asyncio.current_task()
        assert task is not None

        def stop(number: int) -> None:
            received.append(number)
            task.cancel()

        loop = asyncio.get_running_loop()
        for number in SIGNALS:
            loop.add_signal_handler(number, stop, number)
        return await main

    try:
        return asyncio.run(watched())
    except asyncio.CancelledError:
        if not received:
            raise
        raise StoppedError(received[0]) from None
