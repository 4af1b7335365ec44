"""Bounded queues: each has a length, a drop rule and a counter."""

import asyncio
from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class DropOldestQueue(Generic[T]):
    """Hold the newest items for one consumer, and drop the oldest when it lags."""

    def __init__(self, length: int) -> None:
        self._items: deque[T] = deque()
        self._length = length
        self._wakeup = asyncio.Event()
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._items)

    def put(self, item: T) -> None:
        if len(self._items) >= self._length:
            self._items.popleft()
            self.dropped += 1
        self._items.append(item)
        self._wakeup.set()

    async def get(self) -> T:
        while not self._items:
            self._wakeup.clear()
            await self._wakeup.wait()
        return self._items.popleft()

    def clear(self) -> None:
        self._items.clear()
