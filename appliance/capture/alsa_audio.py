"""The microphone on an ALSA card, read in a thread of its own."""

import threading
from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import Self

from appliance.media.alsa import CapturePcm
from appliance.media.bridge import ThreadBridge
from appliance.media.clock import Clock
from appliance.media.values import AudioBlock

_QUEUE_BLOCKS = 10


class AlsaSource:
    """Blocks of the card with this ALSA name."""

    def __init__(self, device: str, clock: Clock) -> None:
        self._device = device
        self._clock = clock
        self._overruns = 0
        self._bridge = ThreadBridge[AudioBlock]("microphone", self._record, _QUEUE_BLOCKS)

    @property
    def xruns(self) -> int:
        return self._overruns + self._bridge.dropped

    async def __aenter__(self) -> Self:
        self._bridge.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._bridge.stop()

    def __aiter__(self) -> AsyncIterator[AudioBlock]:
        return aiter(self._bridge)

    def _record(self, put: Callable[[AudioBlock], None], stopping: threading.Event) -> None:
        pcm = CapturePcm(self._device, self._clock)
        try:
            while (block := pcm.read(stopping)) is not None:
                self._overruns = pcm.xruns
                put(block)
        finally:
            pcm.close()
