"""A connection to one far end: SDP, ICE and DTLS on one transport, one sound and one picture stream, one direction.

ICE and DTLS are aiortc's building blocks; the SDP and everything that happens per packet are ours. Besides
`transport.py`, nothing in the appliance reaches into aiortc.
"""

import asyncio
import secrets
from dataclasses import replace
from typing import Any, Literal

from aiortc import RTCDtlsFingerprint, RTCDtlsParameters, RTCIceParameters

from appliance.errors import NegotiationFailed

from . import negotiation, sdp, sdp_text
from .audio_receiver import AudioReceiver
from .clock_recovery import SessionTimeline
from .congestion import CongestionControl
from .ice import IceConfig, IceServerConfig
from .negotiation import Agreed
from .plane import StreamParameters
from .sender import AudioSender
from .session_clock import SessionClock, random_ssrc
from .transport import SecureTransport
from .video_receiver import VideoReceiver
from .video_sender import VideoSender

__all__ = ["AudioReceiver", "AudioSender", "IceConfig", "IceServerConfig", "Peer", "VideoReceiver", "VideoSender"]

Direction = Literal["send", "receive"]
_ATTRIBUTE = {"send": "sendonly", "receive": "recvonly"}
CLOSED_BY_US = "closed by us"
SOUND_BPS = 60_000  # what our sound takes beside a picture that the far end limits


class Peer:
    """One peer connection. Made in a running loop; `close()` must be awaited in the end, whatever happened before."""

    def __init__(
        self,
        config: IceConfig,
        *,
        loopback: bool = False,
        level_idc: int = 31,
        most_video_bps: int | None = None,
        carried_bps: int | None = None,
    ) -> None:
        """`loopback`: the far end is on this machine; only 127.0.0.1 is told to it. `level_idc`: of what we send.

        `most_video_bps`: what the picture's encoder is set to at most; `carried_bps`: what the line carried of late.
        """
        self._level_idc = level_idc
        self._direction: Direction | None = None
        self._session_clock = SessionClock()
        self._congestion = CongestionControl(most_video_bps=most_video_bps, carried_bps=carried_bps)
        self._stream = secrets.token_hex(12)
        self._session_id = secrets.randbits(62)
        self._offered: tuple[sdp_text.LocalSection, ...] = ()
        self._video_sender: VideoSender | None = None
        self._audio_sender: AudioSender | None = None
        self._video_receiver: VideoReceiver | None = None
        self._audio_receiver: AudioReceiver | None = None
        self._parameters: list[StreamParameters] = []
        self._transport = SecureTransport(config, loopback=loopback)
        self._closing: asyncio.Future[None] | None = None

    # streams

    def add_senders(self) -> tuple[VideoSender, AudioSender]:
        """This peer sends."""
        self._take_direction("send")
        self._video_sender = VideoSender(self._session_clock, congestion=self._congestion)
        self._audio_sender = AudioSender(self._session_clock, congestion=self._congestion)
        self._transport.streams.add_rtcp_handler(self._congestion)
        return self._video_sender, self._audio_sender

    def add_receivers(self) -> tuple[VideoReceiver, AudioReceiver]:
        """This peer receives."""
        self._take_direction("receive")
        timeline = SessionTimeline()
        self._video_receiver, self._audio_receiver = VideoReceiver(timeline), AudioReceiver(timeline)
        return self._video_receiver, self._audio_receiver

    def _take_direction(self, direction: Direction) -> None:
        if self._direction is not None:
            raise RuntimeError("a peer carries one direction, chosen once")
        self._direction = direction

    @property
    def video_sender(self) -> VideoSender:
        assert self._video_sender is not None, "this peer receives"
        return self._video_sender

    @property
    def audio_sender(self) -> AudioSender:
        assert self._audio_sender is not None, "this peer receives"
        return self._audio_sender

    @property
    def video_receiver(self) -> VideoReceiver:
        assert self._video_receiver is not None, "this peer sends"
        return self._video_receiver

    @property
    def audio_receiver(self) -> AudioReceiver:
        assert self._audio_receiver is not None, "this peer sends"
        return self._audio_receiver

    # negotiation

    async def create_offer(self) -> str:
        """Our whole offer, candidates included. Raises UplinkError when the network settings allow no connection."""
        assert self._direction is not None, "add senders or receivers first"
        if self._offered:
            raise RuntimeError("a peer offers once")
        attribute = _ATTRIBUTE[self._direction]
        await self._transport.gather(controlling=True)
        self._offered = tuple(
            negotiation.offered_section(
                kind,
                mid,
                attribute,
                *self._ssrcs(kind),
                # What we take is left at what every sender may send.
                level_idc=self._level_idc if self._direction == "send" else 31,
            )
            for mid, kind in (("0", "audio"), ("1", "video"))
        )
        local = self._transport.describe("actpass")
        return sdp_text.write(
            local, self._offered, session_id=self._session_id, stream=self._stream, bundle=True, offer=True
        )

    async def accept_answer(self, answer_sdp: str) -> None:
        """Take the far end's answer and begin to connect. Raises NegotiationFailed when no whole session can result."""
        answer = sdp.parse(answer_sdp)
        agreed = negotiation.check_answer(self._offered, answer)
        self._connect(answer, agreed)

    async def answer(self, offer_sdp: str, *, direction: Direction, whole: bool = False) -> str:
        """Answer a far end's offer and begin to connect. Raises NegotiationFailed when we have nothing in common.

        `whole`: sound and picture must both be taken.
        """
        offer = sdp.parse(offer_sdp)
        taken = negotiation.choose_sections(offer, _ATTRIBUTE[direction], whole=whole)
        tagged = negotiation.check_transport(offer)
        if tagged.setup not in ("actpass", "active", "passive"):
            raise NegotiationFailed("the offer does not say who may start DTLS (a=setup)")
        if direction == "send":
            self.add_senders()
        else:
            self.add_receivers()
        await self._transport.gather(controlling=offer.ice_lite)
        sections = [
            negotiation.answered_section(taken[index], _ATTRIBUTE[direction], *self._ssrcs(section.kind))
            if index in taken
            else negotiation.refused_section(section)
            for index, section in enumerate(offer.sections)
        ]
        local = self._transport.describe("passive" if tagged.setup == "active" else "active")
        text = sdp_text.write(
            local, sections, session_id=self._session_id, stream=self._stream, bundle=bool(offer.bundle), offer=False
        )
        self._connect(offer, {agreed.section.kind: agreed for agreed in taken.values()})
        return text

    def _ssrcs(self, kind: str) -> tuple[int, int]:
        sender = self._video_sender if kind == "video" else self._audio_sender
        return (sender.ssrc, sender.rtx_ssrc) if sender is not None else (random_ssrc(), 0)

    def _connect(self, far: sdp.Description, agreed: dict[str, Agreed]) -> None:
        tagged = negotiation.check_transport(far)
        for kind, stream in agreed.items():
            self._add_stream(kind, stream)
        self._congestion.sdp_cap(_cap_of(far, agreed))
        self._transport.connect(
            # The far end is the DTLS client when it says active; an offer that leaves it open gets our "active".
            role="server" if tagged.setup == "active" else "client",
            ice_parameters=RTCIceParameters(tagged.ufrag, tagged.password, far.ice_lite),
            dtls_parameters=RTCDtlsParameters([RTCDtlsFingerprint(*pair) for pair in tagged.fingerprints]),
            candidates=far.candidates(),
        )

    def _add_stream(self, kind: str, agreed: Agreed) -> None:
        section, codec = agreed.section, agreed.codec
        parameters = StreamParameters(
            kind,
            section.mid,
            codec.payload_type,
            codec.clock_rate,
            rtx_payload_type=agreed.rtx,
            red_payload_type=agreed.red,
            cname=self._stream,
            feedback=negotiation.common_feedback(section, codec),
            extensions=negotiation.common_extensions(section, codec),
            parameters=codec.fmtp,
        )
        if self._direction == "send":
            sender = self.video_sender if kind == "video" else self.audio_sender
            self._transport.streams.add_sender(sender, replace(parameters, ssrc=sender.ssrc, rtx_ssrc=sender.rtx_ssrc))
        else:
            receiver = self.video_receiver if kind == "video" else self.audio_receiver
            ssrc = section.ssrcs[0] if section.ssrcs else 0
            rtx_ssrc = section.rtx_ssrcs.get(ssrc, 0)
            self._transport.streams.add_receiver(
                receiver, replace(parameters, ssrc=ssrc, rtx_ssrc=rtx_ssrc, local_ssrc=random_ssrc())
            )

    # life

    @property
    def closed(self) -> asyncio.Future[str]:
        """Done, with the reason in words, when the connection has ended or could not be made."""
        return self._transport.closed

    async def wait_connected(self, timeout_s: float) -> None:
        """Return once media can flow. Raises UplinkError with the reason when that does not happen in time."""
        await self._transport.wait_connected(timeout_s)

    async def wait_closed(self) -> str:
        """Wait until the connection has ended, and say why."""
        return await asyncio.shield(self._transport.closed)

    @property
    def last_heard_ns(self) -> int:
        """When anything came that is proven to be the far end's: media, reports, answers to probes. 0: never."""
        return self._transport.last_heard_ns

    def probe(self, *, afresh: bool = False) -> None:
        """Ask for a sign of life; its answer counts as heard. `afresh`: begin anew where a question is under way."""
        self._transport.probe(afresh=afresh)

    @property
    def path(self) -> tuple[str, str] | None:
        """Our address and the far end's on the wire; None while there is no connection."""
        return self._transport.path

    async def close(self) -> None:
        """Say goodbye (BYE, DTLS close_notify) and give everything back, in bounded time. May be called again."""
        if self._closing is None:
            self._closing = asyncio.ensure_future(self._transport.close(CLOSED_BY_US))
        # Whoever is cancelled while waiting does not stop the closing.
        await asyncio.shield(self._closing)

    def numbers(self) -> dict[str, Any]:
        """Counters of the transport; those of the streams are the streams' own."""
        return self._transport.numbers()


def _cap_of(far: sdp.Description, agreed: dict[str, Agreed]) -> int | None:
    """What the far end's session description lets us send in all, where it says so."""
    caps = [far.most_bps] if far.most_bps is not None else []
    video = agreed.get("video")
    if video is not None and video.section.most_bps is not None:
        audio = agreed.get("audio")
        caps.append(video.section.most_bps + (SOUND_BPS if audio is not None else 0))
    return min(caps, default=None)
