"""The same call through plain aiortc: its own encoders, jitter buffers and decoders, at the same lab MCU.

Run as a program of its own, so that its cost can be told: `python -m bench.aiortc_unit SEND_URL RECEIVE_URL SECONDS`
prints one JSON object.
"""

import asyncio
import fractions
import json
import os
import sys
import time

import aiohttp
import aioice.ice
import av
import numpy as np
from aiortc import (
    MediaStreamTrack,
    RTCConfiguration,
    RTCPeerConnection,
    RTCRtpReceiver,
    RTCRtpSender,
    RTCSessionDescription,
)
from aiortc.codecs import h264
from aiortc.mediastreams import MediaStreamError

from appliance.capture.tone import ToneSource
from appliance.demo.processes import cost_of
from appliance.media.clock import MediaClock
from appliance.media.values import BLOCK_SAMPLES, SAMPLE_RATE

from .media import BITRATE, FPS, HEIGHT, Latencies, TestCard, frame_of


class CardTrack(MediaStreamTrack):  # type: ignore[misc]
    """The test card as aiortc wants it."""

    kind = "video"

    def __init__(self) -> None:
        super().__init__()
        self._card = TestCard()
        self._count = 0

    async def recv(self) -> av.VideoFrame:
        frame = frame_of(await asyncio.to_thread(self._card.read))
        frame.pts, frame.time_base = self._count * 90_000 // FPS, fractions.Fraction(1, 90_000)
        self._count += 1
        return frame


class ToneTrack(MediaStreamTrack):  # type: ignore[misc]
    """The beep as aiortc wants it."""

    kind = "audio"

    def __init__(self) -> None:
        super().__init__()
        self._tone = aiter(ToneSource(MediaClock()))
        self._count = 0

    async def recv(self) -> av.AudioFrame:
        block = await anext(self._tone)
        samples = np.frombuffer(block.samples, np.int16).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = SAMPLE_RATE, self._count, fractions.Fraction(1, SAMPLE_RATE)
        self._count += BLOCK_SAMPLES
        return frame


async def _negotiate(peer: RTCPeerConnection, url: str) -> None:
    await peer.setLocalDescription(await peer.createOffer())
    async with (
        aiohttp.ClientSession() as http,
        http.post(url, data=peer.localDescription.sdp, headers={"Content-Type": "application/sdp"}) as answer,
    ):
        answer.raise_for_status()
        await peer.setRemoteDescription(RTCSessionDescription(await answer.text(), "answer"))


def _only_h264(peer: RTCPeerConnection, codecs: type[RTCRtpReceiver | RTCRtpSender]) -> None:
    wanted = [codec for codec in codecs.getCapabilities("video").codecs if codec.mimeType == "video/H264"]
    for transceiver in peer.getTransceivers():
        if transceiver.kind == "video":
            transceiver.setCodecPreferences(wanted)


async def _drain(track: MediaStreamTrack, latencies: Latencies | None) -> None:
    while True:
        try:
            frame = await track.recv()
        except MediaStreamError:
            return
        if latencies is not None:
            plane = frame.planes[0]
            luma = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)[:HEIGHT, : frame.width]
            latencies.picture(luma)


async def call(send_url: str, receive_url: str, seconds: float) -> dict[str, object]:
    aioice.ice.get_host_addresses = lambda use_ipv4, use_ipv6: ["127.0.0.1"]
    # As much as our own encoder may use.
    h264.DEFAULT_BITRATE = h264.MAX_BITRATE = BITRATE
    latencies = Latencies()
    sending, receiving = (RTCPeerConnection(RTCConfiguration([])) for _ in range(2))
    began_ns = time.monotonic_ns()
    sending.addTrack(ToneTrack())
    sending.addTrack(CardTrack())
    _only_h264(sending, RTCRtpSender)
    for kind in ("audio", "video"):
        receiving.addTransceiver(kind, direction="recvonly")
    _only_h264(receiving, RTCRtpReceiver)
    drains: list[asyncio.Task[None]] = []

    def arrived(track: MediaStreamTrack) -> None:
        drains.append(asyncio.ensure_future(_drain(track, latencies if track.kind == "video" else None)))

    receiving.on("track", arrived)
    await asyncio.gather(_negotiate(sending, send_url), _negotiate(receiving, receive_url))
    # The process of now, counted from the call's begin as with the others.
    before = cost_of(os.getpid())
    await asyncio.sleep(seconds)
    after = cost_of(os.getpid())
    assert before is not None
    assert after is not None
    await asyncio.gather(sending.close(), receiving.close())
    await asyncio.gather(*drains)
    return {
        "cpu_s": after.cpu_s - before.cpu_s,
        "pss_mb": after.pss_mb,
        "connect_ms": None if latencies.first_ns is None else round((latencies.first_ns - began_ns) / 1e6, 1),
        "pictures": latencies.pictures,
        "glass_to_glass_ms": latencies.figures(),
    }


if __name__ == "__main__":
    print(json.dumps(asyncio.run(call(sys.argv[1], sys.argv[2], float(sys.argv[3])))))
