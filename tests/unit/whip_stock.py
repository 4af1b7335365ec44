"""An MCU of a few lines on an unmodified aiortc: takes a WHIP offer, answers a WHEP offer, or makes its own."""

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Self

import av
import numpy as np
from aiohttp import web
from aiortc import (
    AudioStreamTrack,
    RTCBundlePolicy,
    RTCConfiguration,
    RTCPeerConnection,
    RTCSessionDescription,
    VideoStreamTrack,
)
from aiortc.mediastreams import MediaStreamTrack

from appliance.media.values import EncodedFrame

from .whip_endpoint import SDP_TYPE, ScriptedEndpoint


def encoded_frames(count: int) -> list[EncodedFrame]:
    """A little H.264 as the camera gives it: constrained baseline, headers with every keyframe."""
    codec = av.CodecContext.create("libx264", "w")
    codec.width, codec.height, codec.pix_fmt = 320, 240, "yuv420p"
    codec.framerate = 30
    codec.options = {"preset": "ultrafast", "tune": "zerolatency", "profile": "baseline", "x264-params": "keyint=15"}
    frames = []
    for number in range(count):
        picture = av.VideoFrame.from_ndarray(np.full((360, 320), number * 5 % 256, np.uint8), "yuv420p")
        frames += [EncodedFrame(bytes(p), number * 33_333_333, p.is_keyframe) for p in codec.encode(picture)]
    return frames


class StockMcu:
    """Two addresses, /whip and /whep. `mangle` changes our answers on their way out, `mangle_offer` what comes in."""

    def __init__(self) -> None:
        self.server = ScriptedEndpoint()
        self.mangle: Callable[[str], str] = lambda sdp: sdp
        self.mangle_offer: Callable[[str], str] = lambda sdp: sdp
        self.insists = False
        self.peers: dict[str, RTCPeerConnection] = {}
        self.tracks: asyncio.Queue[MediaStreamTrack] = asyncio.Queue()
        self.offers: dict[str, str] = {}

    async def __aenter__(self) -> Self:
        await self.server.__aenter__()
        self.server.on("POST", "/whip", self._whip)
        self.server.on("POST", "/whep", self._whep)
        self.server.on("PATCH", "/s/whep", self._patched)
        for path in ("/s/whip", "/s/whep"):
            self.server.on("DELETE", path, self._delete)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.server.__aexit__()
        await asyncio.gather(*(peer.close() for peer in self.peers.values()))

    def _peer(self, name: str) -> RTCPeerConnection:
        peer = RTCPeerConnection(RTCConfiguration(iceServers=[], bundlePolicy=RTCBundlePolicy.MAX_BUNDLE))
        self.peers[name] = peer
        return peer

    async def _answer(self, peer: RTCPeerConnection, name: str, request: web.Request) -> web.Response:
        self.offers[name] = (await request.read()).decode()
        await peer.setRemoteDescription(RTCSessionDescription(self.mangle_offer(self.offers[name]), "offer"))
        await peer.setLocalDescription(await peer.createAnswer())
        body = self.mangle(peer.localDescription.sdp)
        return web.Response(status=201, headers={**SDP_TYPE, "Location": f"/s/{name}"}, text=body)

    async def _whip(self, request: web.Request) -> web.Response:
        peer = self._peer("whip")
        peer.on("track", self.tracks.put_nowait)
        return await self._answer(peer, "whip", request)

    async def _whep(self, request: web.Request) -> web.Response:
        peer = self._peer("whep")
        peer.addTrack(AudioStreamTrack())
        peer.addTrack(VideoStreamTrack())
        if not self.insists:
            return await self._answer(peer, "whep", request)
        for transceiver in peer.getTransceivers():
            transceiver.direction = "sendonly"
        await peer.setLocalDescription(await peer.createOffer())
        text = self.mangle(peer.localDescription.sdp)
        return web.Response(status=406, headers={**SDP_TYPE, "Location": "/s/whep"}, text=text)

    async def _patched(self, request: web.Request) -> web.Response:
        answer = (await request.read()).decode()
        self.offers["patched"] = answer
        await self.peers["whep"].setRemoteDescription(RTCSessionDescription(answer, "answer"))
        return web.Response(status=204)

    async def _delete(self, request: web.Request) -> web.Response:
        await self.peers[request.path.rpartition("/")[2]].close()
        return web.Response(status=200)
