"""Stock aiortc as the receiver: its own jitter buffers and decoders, nothing changed.

It has no playout clock. A picture counts as shown when `recv` gives it, and sound is played as it comes, each frame
when the one before has ended: what a program does that hands the frames to a sound card.
"""

import asyncio
import time

import numpy as np
from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError
from av import AudioFrame, VideoFrame
from av.audio.resampler import AudioResampler

from appliance.media.values import SAMPLE_RATE

from .answering import answer_offers, say, say_heard
from .cells import cells_of

_STATS_S = 1.0


class Answerer:
    """One RTCPeerConnection at a time."""

    def __init__(self) -> None:
        self._peer: RTCPeerConnection | None = None
        self._drains: set[asyncio.Task[None]] = set()
        self._end_ns = 0

    async def answer(self, offer: str) -> str:
        await self.close()
        peer = self._peer = RTCPeerConnection(RTCConfiguration([]))
        peer.on("track", self._arrived)
        await peer.setRemoteDescription(RTCSessionDescription(offer, "offer"))
        await peer.setLocalDescription(await peer.createAnswer())
        return str(peer.localDescription.sdp)

    async def close(self) -> None:
        if self._peer is not None:
            await self._peer.close()
        if self._drains:
            await asyncio.wait(self._drains)

    def _arrived(self, track: MediaStreamTrack) -> None:
        drain = asyncio.create_task(self._drain(track))
        self._drains.add(drain)
        drain.add_done_callback(self._drains.discard)

    async def _drain(self, track: MediaStreamTrack) -> None:
        resampler = AudioResampler("s16", "mono", SAMPLE_RATE)
        while True:
            try:
                frame = await track.recv()
            except MediaStreamError:
                return
            now_ns = time.monotonic_ns()
            if isinstance(frame, VideoFrame):
                plane = frame.planes[0]
                luma = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)[
                    : frame.height, : frame.width
                ]
                say(shown=[[now_ns, cells_of(luma).hex()]])
            elif isinstance(frame, AudioFrame):
                for part in resampler.resample(frame):
                    heard_ns = max(now_ns, self._end_ns)
                    self._end_ns = heard_ns + part.samples * 1_000_000_000 // SAMPLE_RATE
                    say_heard(part.to_ndarray()[0].astype("<i2").tobytes(), heard_ns)

    async def tell_stats(self) -> None:
        """Job: how far the sound lies behind, each second; its counters say nothing of what is shown."""
        while True:
            await asyncio.sleep(_STATS_S)
            say(stats={"audio_queue_ms": max(0.0, (self._end_ns - time.monotonic_ns()) / 1e6)})


async def main() -> None:
    answerer = Answerer()
    telling = asyncio.create_task(answerer.tell_stats())
    try:
        await answer_offers(answerer.answer)
    finally:
        telling.cancel()
        await answerer.close()


if __name__ == "__main__":
    asyncio.run(main())
