"""Congestion control of one connection: between its senders, the far end's RTCP and the rate controller.

One for each transport that sends. Sound and picture tell it what leaves; it tells the encoders what they may make.
"""

import struct
from collections.abc import Callable
from typing import Any

from appliance.media.clock import NS_PER_S, Clock, MediaClock

from . import rtcp, transport_cc
from .flight import Flight
from .pacer import CAREFUL, DRAINING, FREE
from .rate_control import START_BPS, RateController
from .rate_meters import RateMeter
from .rate_share import LEAST_VIDEO_BPS, SOUND_OVERHEAD_BPS, RateShare, Shares
from .rate_words import Phase
from .session_clock import random_sequence

MOST_BPS = 8_000_000
IP_UDP_SRTP_BITS = 8 * 38
_LEAST_START_BPS = 150_000
# Encoders are not bothered with less, nor more often.
_NOTABLE = 0.03
_LOOK_NS = 50_000_000
# Without transport-cc feedback for so long, receiver reports serve.
_FED_NS = 5 * NS_PER_S
_AUDIO_BPS = 64_000  # what the sound needs at most besides a picture of the configured rate, headers included


class CongestionControl:
    """Everything here is synchronous; the media that are sent drive it, sound each 20 ms."""

    def __init__(
        self, clock: Clock | None = None, *, most_video_bps: int | None = None, carried_bps: int | None = None
    ) -> None:
        """`most_video_bps`: what the encoder is set to make at most; `carried_bps`: what the line carried of late."""
        self._clock = clock or MediaClock()
        most_bps = MOST_BPS if most_video_bps is None else int(most_video_bps * 1.06) + _AUDIO_BPS
        # A line that was good before is started with care all the same: it may have been lost for its getting worse.
        start_bps = START_BPS if carried_bps is None else min(max(carried_bps, _LEAST_START_BPS), START_BPS)
        self.controller = RateController(most_bps, self._clock.now_ns(), start_bps=start_bps)
        self._flight = Flight(random_sequence())
        self._share = RateShare()
        self._shares = self._share.of(self.controller.target_bps, 0)
        self._repeated = RateMeter(2 * NS_PER_S)
        self._transport_cc = False
        self._sdp_cap_bps: int | None = None
        self._remb_bps: int | None = None
        self._looked_ns = 0
        self._fed_ns: int | None = None
        self._reports = 0
        self._malformed = 0
        self._on_video: Callable[[int], None] | None = None
        self._on_audio: Callable[[int], None] | None = None
        self.told: Shares | None = None

    def on_video(self, callback: Callable[[int], None]) -> None:
        """`callback` gets the bits a second that the picture's encoder may make."""
        self._on_video = callback

    def on_audio(self, callback: Callable[[int], None]) -> None:
        self._on_audio = callback

    def use_transport_cc(self) -> None:
        """It was negotiated: packets carry the transport-wide sequence number, and feedback comes."""
        self._transport_cc = True

    # what leaves

    def packet(self, now_ns: int, size: int, ssrc: int, probe: int = 0) -> int:
        """An RTP packet of `size` bytes leaves; its transport-wide sequence number."""
        bits = 8 * size + IP_UDP_SRTP_BITS
        self.controller.sent(now_ns, bits)
        return self._flight.sent(now_ns, bits, ssrc, probe) if self._transport_cc else 0

    def repeated(self, now_ns: int, bits: int) -> None:
        """Of what has left, so much was sent before."""
        self._repeated.add(now_ns, bits)

    def tick(self, now_ns: int) -> None:
        """Time passes."""
        self.controller.tick(now_ns, with_transport_cc=self._is_fed(now_ns))
        if now_ns - self._looked_ns >= _LOOK_NS:
            self._looked_ns = now_ns
            self._tell(now_ns)

    def pace(self, now_ns: int) -> float:
        """At which multiple of the target packets may leave."""
        if self.controller.phase is Phase.DRAIN:
            return DRAINING
        return CAREFUL if self.controller.is_careful(now_ns) else FREE

    def _is_fed(self, now_ns: int) -> bool:
        return self._transport_cc and self._fed_ns is not None and now_ns - self._fed_ns < _FED_NS

    @property
    def picture_bps(self) -> int:
        """What the line leaves for the picture, headers and repetitions included."""
        controller = self.controller
        return max(controller.target_bps - self._shares.audio_bps - SOUND_OVERHEAD_BPS, LEAST_VIDEO_BPS)

    @property
    def is_measured(self) -> bool:
        """Whether the far end has told of the line yet."""
        return self._reports > 0

    def wants_probe(self, now_ns: int) -> int | None:
        return self.controller.wants_probe(now_ns) if self._transport_cc else None

    # what the far end says

    def handle_rtcp(self, packet_type: int, count: int, body: bytes, arrival_ns: int) -> None:
        if packet_type != rtcp.RTPFB or count != transport_cc.TRANSPORT_CC:
            return
        try:
            feedback = transport_cc.parse(body)
        except (ValueError, struct.error):
            self._malformed += 1
            return
        self._reports += 1
        self._fed_ns = arrival_ns
        if self._transport_cc:
            report = self._flight.feedback(feedback, arrival_ns)
            if report is not None:
                self.controller.feedback(report, arrival_ns)
                self._tell(arrival_ns)

    def receiver_report(self, fraction_lost: float, rtt_ns: int | None, arrival_ns: int, packets: int) -> None:
        """Of the picture. With transport-cc, better is known already; some negotiate it and send none."""
        if not self._is_fed(arrival_ns):
            self.controller.receiver_report(fraction_lost, rtt_ns, arrival_ns, packets)
            self._tell(arrival_ns)

    def remb(self, bps: int, now_ns: int) -> None:
        """The far end's estimate or limit."""
        self._remb_bps = bps
        self._cap(now_ns)

    def sdp_cap(self, bps: int | None) -> None:
        """The far end's b=AS or b=TIAS."""
        self._sdp_cap_bps = bps
        self._cap(self._clock.now_ns())

    def _cap(self, now_ns: int) -> None:
        caps = [cap for cap in (self._sdp_cap_bps, self._remb_bps) if cap is not None]
        self.controller.set_cap(min(caps, default=None), now_ns)
        self._tell(now_ns)

    # what the encoders are told

    def _tell(self, now_ns: int) -> None:
        repeated = self._repeated.bps(now_ns) or 0
        shares, told = self._share.of(self.controller.encoders_bps, repeated), self.told
        self._shares = shares
        if told is not None and abs(shares.video_bps - told.video_bps) < _NOTABLE * told.video_bps:
            shares = Shares(shares.audio_bps, told.video_bps)
        if shares == told:
            return
        self.told = shares
        if self._on_video is not None and (told is None or shares.video_bps != told.video_bps):
            self._on_video(shares.video_bps)
        if self._on_audio is not None and (told is None or shares.audio_bps != told.audio_bps):
            self._on_audio(shares.audio_bps)

    def numbers(self) -> dict[str, Any]:
        controller = self.controller
        return {
            "target_bps": controller.target_bps,
            "bounded_by": controller.cause.value,
            "rate_phase": controller.phase.value,
            "acked_bps": controller.acked_bps,
            "queue_ms": round(controller.queue_ms, 1),
            "loss": round(controller.loss.fraction, 4),
            "loss_inherent": round(controller.loss.inherent, 4),
            "audio_target_bps": self._shares.audio_bps,
            "video_target_bps": self._shares.video_bps,
            "remb_bps": self._remb_bps,
            "transport_cc": self._transport_cc,
            "transport_cc_reports": self._reports,
            "transport_cc_malformed": self._malformed,
            **self._flight.numbers(),
            **controller.prober.numbers(),
        }
