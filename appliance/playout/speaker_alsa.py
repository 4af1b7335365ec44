"""The speaker on an ALSA card, written in a thread of its own."""

import queue
import threading
from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import Self

from appliance.media.alsa import PlaybackPcm
from appliance.media.bridge import ThreadBridge
from appliance.media.clock import Clock
from appliance.media.values import AudioBlock

_LOOK_S = 0.1


class AlsaSink:
    """The card with this ALSA name."""

    def __init__(self, device: str, clock: Clock) -> None:
        self._device = device
        self._clock = clock
        # `play` waits for each block, so there is never more than one.
        self._blocks: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._bridge = ThreadBridge[int]("speaker", self._play, 2)
        self._heard: AsyncIterator[int] = aiter(self._bridge)
        self.xruns = 0

    async def __aenter__(self) -> Self:
        self._bridge.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._bridge.stop()

    async def play(self, block: AudioBlock) -> int:
        self._blocks.put(block.samples)
        return await anext(self._heard)

    def _play(self, put: Callable[[int], None], stopping: threading.Event) -> None:
        pcm = PlaybackPcm(self._device, self._clock)
        try:
            while not stopping.is_set():
                try:
                    samples = self._blocks.get(timeout=_LOOK_S)
                except queue.Empty:
                    continue
                heard_ns = pcm.write(samples)
                self.xruns = pcm.xruns
                pcm.wait_for_room(stopping)
                put(heard_ns)
        finally:
            pcm.close()
