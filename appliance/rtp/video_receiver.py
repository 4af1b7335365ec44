"""Receive a picture: RTP packets in, whole pictures out, requests back to the sender.

The buffer decides; this module gives it packets, time and a line. On a clean line no timer runs.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from appliance.media.clock import NS_PER_S, Clock
from appliance.media.values import EncodedFrame

from .clock_recovery import SessionTimeline
from .depacketize import AccessUnit, parameter_sets
from .feedback import ReceiverFeedback
from .header import unwrap_rtx
from .picture_delay import PictureDelay
from .plane import RtpTransport, StreamParameters
from .receiver import StreamReceiver
from .video_buffer import VideoBuffer

KEYFRAME_GAP_NS = NS_PER_S // 2
# The wanted delay is asked for with each block of sound, and changes slowly.
_DELAY_EVERY_NS = NS_PER_S // 10


class VideoReceiver(StreamReceiver):
    """The far end's picture."""

    def __init__(self, timeline: SessionTimeline | None = None, clock: Clock | None = None) -> None:
        """`timeline`: the session's, shared with its sound."""
        super().__init__(timeline, clock)
        self._callback: Callable[[EncodedFrame], None] | None = None
        self._buffer = VideoBuffer()
        self._repairs = True
        self._sets = b""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_ns = 0
        self._pts_ns = 0
        self._delay = PictureDelay()
        self._repaired = 0
        self._wanted_ns: int | None = None
        self._wanted_at_ns = 0
        self._keyframe_wanted = False
        self._keyframe_asked_ns: int | None = None
        self._frames = 0
        self._keyframes = 0
        self._requests = 0
        self._nacks = 0
        self._rtx = 0

    def on_frame(self, callback: Callable[[EncodedFrame], None]) -> None:
        """`callback` gets each whole picture in decoding order, at once, in the loop; it must not block."""
        self._callback = callback

    def start(self, transport: RtpTransport, parameters: StreamParameters) -> None:
        super().start(transport, parameters)
        self._repairs = "nack" in parameters.feedback
        self._sets = parameter_sets(parameters.parameters.get("sprop-parameter-sets", ""))
        self._buffer = VideoBuffer(repairs=self._repairs, sets=self._sets)
        self._loop = asyncio.get_running_loop()
        self._act()

    def stop(self) -> None:
        super().stop()
        self._loop = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def request_keyframe(self) -> None:
        """The decoder needs a keyframe: ask for one, at most each 0.5 s."""
        self._keyframe_wanted = True
        self._act()

    def wanted_delay_ns(self) -> int | None:
        """Pictures can be shown in time when one captured at t is shown at t + this; None: not known yet."""
        now_ns = self._clock.now_ns()
        if now_ns - self._wanted_at_ns >= _DELAY_EVERY_NS:
            self._wanted_at_ns = now_ns
            nacks = self._buffer.nacks
            self._wanted_ns = self._delay.wanted_ns(
                now_ns, request_ns=nacks.allowance_ns, repeat_ns=nacks.repeat_ns, failing=nacks.failing
            )
        return self._wanted_ns

    def _restart(self) -> None:
        self._buffer = VideoBuffer(repairs=self._repairs, sets=self._sets)
        self._delay = PictureDelay()
        self._repaired = 0

    def handle_rtp(self, packet: bytes, arrival_ns: int) -> None:
        header = self._accept(packet, arrival_ns)
        if header is None:
            return
        sequence = header.sequence
        payload = packet[header.start : header.end]
        repaired = header.payload_type == self._rtx_payload_type
        if repaired:
            original = unwrap_rtx(payload)
            if original is None or not self._ssrc:
                return
            sequence, payload = original
            self._rtx += 1
        buffer = self._buffer
        waited = repaired or buffer.held > 0
        for unit in buffer.insert(
            sequence, header.timestamp, header.marker, payload, arrival_ns, repaired=repaired or self._no_rtx
        ):
            self._deliver(unit, arrival_ns, waited=waited)
        if buffer.needs_care or self._keyframe_wanted:
            next_ns = self._next_ns()
            if next_ns is not None and (self._timer is None or next_ns < self._timer_ns or next_ns <= arrival_ns):
                self._arm(next_ns, arrival_ns)

    @property
    def _no_rtx(self) -> bool:
        return self._rtx_payload_type < 0

    def _deliver(self, unit: AccessUnit, now_ns: int, *, waited: bool) -> None:
        feedback = self._feedback
        if feedback is None:  # the callback of the picture before has closed the session
            return
        self._frames += 1
        if unit.is_keyframe:
            self._keyframes += 1
            self._keyframe_wanted = False
        self._pts_ns = max(self._pts_ns, feedback.clock.time_of(unit.timestamp, now_ns))
        repaired = self._buffer.nacks.repaired
        if repaired != self._repaired:
            self._delay.lost(now_ns, repaired - self._repaired)
            self._repaired = repaired
        self._delay.picture(now_ns, now_ns - self._pts_ns, repaired=waited)
        if self._callback is not None:
            self._callback(EncodedFrame(unit.data, self._pts_ns, unit.is_keyframe))

    # requests

    def _act(self) -> None:
        """Ask for what is due, give up what is late, and come back when time alone brings more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        feedback = self._feedback
        if feedback is None:
            return
        now_ns = self._clock.now_ns()
        for unit in self._buffer.poll(now_ns):
            self._deliver(unit, now_ns, waited=True)
        if sequences := self._buffer.due(now_ns):
            self._nacks += len(sequences)
            feedback.ask_for(sequences, now_ns)
        self._ask_for_keyframe(feedback, now_ns)
        next_ns = self._next_ns()
        if next_ns is not None:
            # A millisecond at least: no state of the buffer may make a busy loop.
            self._arm(max(next_ns, now_ns + 1_000_000), now_ns)

    def _arm(self, at_ns: int, now_ns: int) -> None:
        if at_ns <= now_ns:
            self._act()
            return
        if self._timer is not None:
            self._timer.cancel()
        if self._loop is not None:
            self._timer_ns = at_ns
            self._timer = self._loop.call_later((at_ns - now_ns) / NS_PER_S, self._act)

    def _next_ns(self) -> int | None:
        """When `_act` has something to do; None: nothing unless packets come."""
        next_ns = self._buffer.next_ns()
        if not self._needs_keyframe:
            return next_ns
        keyframe_ns = 0 if self._keyframe_asked_ns is None else self._keyframe_asked_ns + KEYFRAME_GAP_NS
        return keyframe_ns if next_ns is None else min(next_ns, keyframe_ns)

    @property
    def _needs_keyframe(self) -> bool:
        # Before the first packet we may not even know whom to ask.
        return self._ssrc != 0 and (self._keyframe_wanted or self._buffer.wants_keyframe)

    def _ask_for_keyframe(self, feedback: ReceiverFeedback, now_ns: int) -> None:
        asked_ns = self._keyframe_asked_ns
        if self._needs_keyframe and (asked_ns is None or now_ns - asked_ns >= KEYFRAME_GAP_NS):
            self._keyframe_asked_ns = now_ns
            self._keyframe_wanted = False
            self._requests += 1
            feedback.ask_for_keyframe(self._requests, now_ns)

    def numbers(self) -> dict[str, Any]:
        buffer = self._buffer
        rtt_ns, wanted_ns = buffer.nacks.rtt_ns, self._wanted_ns
        return super().numbers() | {
            "frames": self._frames,
            "keyframes": self._keyframes,
            "frames_dropped": buffer.dropped,
            "packets_duplicate": buffer.duplicates,
            "packets_late": buffer.late,
            "packets_recovered": buffer.recovered,
            "packets_held": buffer.held,
            "packets_missing": buffer.missing,
            "malformed_payloads": buffer.malformed,
            "gaps_given_up": buffer.gaps_given_up,
            "nacks_sent": self._nacks,
            "rtx_received": self._rtx,
            "keyframe_requests": self._requests,
            "repair_ms": None if rtt_ns is None else round(rtt_ns / 1e6, 1),
            "repairs_failing": round(buffer.nacks.failing, 3),
            "wanted_delay_ms": None if wanted_ns is None else round(wanted_ns / 1e6, 1),
        }
