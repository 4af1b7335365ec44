"""Our peers against an unmodified aiortc: bit-exact pictures, both directions, ECDSA and RSA certificates."""

import asyncio
import datetime as dt
import threading
import time
from collections.abc import AsyncIterator, Callable
from fractions import Fraction

import aiortc.rtcrtpreceiver
import pytest
from aiortc import (
    MediaStreamTrack,
    RTCBundlePolicy,
    RTCCertificate,
    RTCConfiguration,
    RTCPeerConnection,
    RTCRtpSender,
    RTCSessionDescription,
)
from aiortc.jitterbuffer import JitterFrame
from aiortc.rtcdtlstransport import SRTPProtectionProfile
from av import AudioFrame, Packet, VideoFrame
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from OpenSSL import SSL

from appliance.media.values import SILENCE, EncodedFrame
from appliance.rtp.opus import OpusEncoder
from appliance.rtp.packetize import nal_units
from appliance.rtp.peer import IceConfig, Peer

from .rtp_fakes import encoded_pictures, stock_on_loopback

pytestmark = pytest.mark.usefixtures("stock_on_loopback")
__all__ = ["stock_on_loopback"]


class RsaCertificate(RTCCertificate):
    """As GStreamer 1.22 has it: an RSA key, and cipher suites for nothing else."""

    @classmethod
    def make(cls) -> "RsaCertificate":
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "rsa")])
        now = dt.datetime.now(tz=dt.UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(1)
            .not_valid_before(now - dt.timedelta(days=1))
            .not_valid_after(now + dt.timedelta(days=1))
            .sign(key, hashes.SHA256())
        )
        return cls(key, certificate)  # type: ignore[arg-type]

    def _create_ssl_context(self, srtp_profiles: list[SRTPProtectionProfile]) -> SSL.Context:
        context = super()._create_ssl_context(srtp_profiles)
        context.set_cipher_list(b"ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES128-GCM-SHA256")
        return context


class Listener:
    """Takes encoded frames where a stock receiver would decode them."""

    def __init__(self) -> None:
        self.pictures: list[bytes] = []
        self.sounds: list[bytes] = []
        self._lock = threading.Lock()

    def decoder_for(self, codec: aiortc.RTCRtpCodecParameters) -> "Listener.Decoder":
        return Listener.Decoder(self.pictures if codec.name == "H264" else self.sounds)

    class Decoder:
        def __init__(self, taken: list[bytes]) -> None:
            self._taken = taken

        def decode(self, frame: JitterFrame) -> list[VideoFrame | AudioFrame]:
            self._taken.append(frame.data)
            return []


@pytest.fixture
def listener(monkeypatch: pytest.MonkeyPatch) -> Listener:
    listener = Listener()
    monkeypatch.setattr(aiortc.rtcrtpreceiver, "get_decoder", listener.decoder_for)
    return listener


@pytest.fixture
async def stock() -> AsyncIterator[RTCPeerConnection]:
    connection = RTCPeerConnection(RTCConfiguration(iceServers=[], bundlePolicy=RTCBundlePolicy.MAX_BUNDLE))
    yield connection
    await connection.close()


@pytest.fixture
async def ours() -> AsyncIterator[Peer]:
    peer = Peer(IceConfig(), loopback=True)
    yield peer
    await peer.close()


async def send_to_stock(ours: Peer, stock: RTCPeerConnection) -> None:
    ours.add_senders()
    await stock.setRemoteDescription(RTCSessionDescription(await ours.create_offer(), "offer"))
    await stock.setLocalDescription(await stock.createAnswer())
    await ours.accept_answer(stock.localDescription.sdp)
    await ours.wait_connected(5)
    async with asyncio.timeout(2):
        while stock.connectionState != "connected":
            await asyncio.sleep(0.005)


async def pictures_arrive(ours: Peer, listener: Listener) -> None:
    sent = encoded_pictures(31, width=640, height=360)
    with OpusEncoder() as opus:
        for data in sent:
            keyframe = any(unit[0] & 0x1F == 5 for unit in nal_units(data))
            ours.video_sender.send(EncodedFrame(data, time.monotonic_ns(), keyframe))
            ours.audio_sender.send(opus.encode(SILENCE), time.monotonic_ns())
            await asyncio.sleep(0.01)
    # Its jitter buffer gives a picture away when the next one begins.
    expected = [nal_units(data) for data in sent[:-1]]
    async with asyncio.timeout(3):
        while len(listener.pictures) < len(expected) or len(listener.sounds) < 5:
            await asyncio.sleep(0.01)
    assert [nal_units(data) for data in listener.pictures[: len(expected)]] == expected


async def test_a_stock_receiver_gets_every_picture_bit_for_bit(
    ours: Peer, stock: RTCPeerConnection, listener: Listener
) -> None:
    started = time.monotonic()
    await send_to_stock(ours, stock)
    assert time.monotonic() - started < 0.3
    await pictures_arrive(ours, listener)


async def test_a_far_end_with_an_rsa_certificate_that_starts_dtls_is_connected(
    ours: Peer, stock: RTCPeerConnection, listener: Listener
) -> None:
    stock._RTCPeerConnection__certificates = [RsaCertificate.make()]  # type: ignore[attr-defined]
    await send_to_stock(ours, stock)
    await pictures_arrive(ours, listener)


@pytest.mark.parametrize("certificate", [RTCCertificate.generateCertificate, RsaCertificate.make])
async def test_a_stock_sender_that_offers_is_answered_with_the_codecs_it_then_sends(
    ours: Peer, stock: RTCPeerConnection, certificate: Callable[[], RTCCertificate]
) -> None:
    """The far end is the DTLS server here; with RSA, only the widened cipher list connects."""
    stock._RTCPeerConnection__certificates = [certificate()]  # type: ignore[attr-defined]
    for kind in ("audio", "video"):
        stock.addTransceiver(Footage(kind), direction="sendonly")
    await stock.setLocalDescription(await stock.createOffer())
    answer = await ours.answer(stock.localDescription.sdp, direction="receive")
    await stock.setRemoteDescription(RTCSessionDescription(answer, "answer"))
    await ours.wait_connected(5)
    async with asyncio.timeout(3):
        while ours.numbers()["packets_received"] < 60:
            await asyncio.sleep(0.01)
    numbers = ours.numbers()
    assert numbers["unknown_stream"] == numbers["malformed"] == 0
    video, audio = ours.video_receiver, ours.audio_receiver
    assert video.numbers()
    assert audio.numbers()


async def test_a_unit_receives_from_a_stock_mcu(ours: Peer, stock: RTCPeerConnection) -> None:
    """The trap: a stock answerer may negotiate VP8 and send H.264; our offer leaves it no choice."""
    ours.add_receivers()
    await stock.setRemoteDescription(RTCSessionDescription(await ours.create_offer(), "offer"))
    for transceiver in stock.getTransceivers():
        transceiver.sender.replaceTrack(Footage(transceiver.kind))
        transceiver.direction = "sendonly"
    await stock.setLocalDescription(await stock.createAnswer())
    await ours.accept_answer(stock.localDescription.sdp)
    await ours.wait_connected(5)
    async with asyncio.timeout(3):
        while ours.numbers()["packets_received"] < 60:
            await asyncio.sleep(0.01)
    assert ours.numbers()["unknown_stream"] == 0


async def test_a_stock_far_end_that_leaves_is_noticed(ours: Peer, stock: RTCPeerConnection, listener: Listener) -> None:
    await send_to_stock(ours, stock)
    await stock.close()
    assert "goodbye" in await asyncio.wait_for(ours.wait_closed(), 2)


def test_stock_capabilities_still_name_h264_in_mode_1() -> None:
    names = {
        (codec.mimeType, codec.parameters.get("packetization-mode"))
        for codec in RTCRtpSender.getCapabilities("video").codecs
    }
    assert ("video/H264", "1") in names


class Footage(MediaStreamTrack):
    """Pre-encoded media, sent by the stock sender without transcoding."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self._index = 0
        self._video = encoded_pictures(30)
        self._opus = OpusEncoder()

    async def recv(self) -> Packet:
        await asyncio.sleep(0.01)
        self._index += 1
        data = self._video[self._index % 30] if self.kind == "video" else self._opus.encode(SILENCE)
        packet = Packet(data)
        packet.pts = self._index * (3000 if self.kind == "video" else 960)
        packet.time_base = Fraction(1, 90_000 if self.kind == "video" else 48_000)
        return packet
