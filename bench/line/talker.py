"""A small picture and a beep for the unit under test, so that its session has a far end that speaks."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from appliance.capture.pictures import Picture, VideoConfig
from appliance.capture.tone import ToneSource
from appliance.capture.video_factory import open_source
from appliance.capture.x264 import X264Encoder
from appliance.errors import UplinkError
from appliance.media.clock import MediaClock
from appliance.media.values import EncodedFrame
from appliance.rtp.opus import OpusEncoder
from appliance.rtp.peer import IceConfig, Peer

_WIDTH, _HEIGHT, _FPS, _BPS = 320, 180, 15, 100_000
_CONNECT_S = 20.0


class Talker:
    """Answers one WHEP offer after the other; a new one ends the one before."""

    def __init__(self) -> None:
        self._clock = MediaClock()
        self._peer: Peer | None = None
        self._ready = False
        self._keyframe = True
        self._connecting: asyncio.Task[None] | None = None

    async def answer(self, offer: str) -> str:
        await self.close()
        peer = self._peer = Peer(IceConfig(servers=(), relay_only=False))
        answer = await peer.answer(offer, direction="send")
        peer.video_sender.on_keyframe(self._want_keyframe)
        self._connecting = asyncio.create_task(self._connected(peer))
        return answer

    async def close(self) -> None:
        self._ready = False
        if self._connecting is not None:
            self._connecting.cancel()
            await asyncio.wait((self._connecting,))
        if self._peer is not None:
            await self._peer.close()
            self._peer = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Speak to whoever listens."""
        jobs = [asyncio.create_task(job) for job in (self._pictures(), self._sounds())]
        try:
            yield
        finally:
            for job in jobs:
                job.cancel()
            await asyncio.wait(jobs)
            await self.close()

    def _want_keyframe(self) -> None:
        self._keyframe = True

    async def _connected(self, peer: Peer) -> None:
        # A unit that is not reached comes again by itself.
        with suppress(UplinkError):
            await peer.wait_connected(_CONNECT_S)
            self._ready = self._keyframe = True

    async def _pictures(self) -> None:
        config = VideoConfig("testcard", "", None, _WIDTH, _HEIGHT, _FPS, _BPS // 1000, 10, time_code=True)
        source = open_source(config, "Bench", self._clock)
        encoder = X264Encoder(_WIDTH, _HEIGHT, _FPS, _BPS, 10)

        def next_frame() -> EncodedFrame | None:
            picture = source.read()
            if not isinstance(picture, Picture):
                return None
            keyframe, self._keyframe = self._keyframe, False
            return encoder.encode(picture.frame, picture.captured_ns, keyframe=keyframe)

        while True:
            frame = await asyncio.to_thread(next_frame)
            if frame is not None and self._ready and self._peer is not None:
                self._peer.video_sender.send(frame)

    async def _sounds(self) -> None:
        opus = OpusEncoder()
        async with ToneSource(self._clock) as tone:
            async for block in tone:
                if self._ready and self._peer is not None:
                    self._peer.audio_sender.send(opus.encode(block.samples), block.pts_ns, 40)
