"""The Session driver for WHIP and WHEP: two legs set up side by side, one meeting; when either ends, both end."""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from appliance import settings
from appliance.errors import CredentialsRejected, MediaLost, Unreachable, UplinkError
from appliance.media.clock import Clock, MediaClock
from appliance.media.values import AudioBlock, EncodedFrame
from appliance.rtp.opus import OpusEncoder
from appliance.rtp.peer import AudioReceiver, Peer, VideoReceiver

from .ghosts import Ghosts
from .http import HttpLimits, SignallingClient
from .legs import ReceiveLeg, SendLeg, all_of
from .line import Line
from .linger import until_heard
from .loudness import loudness_dbov
from .session import SessionEvents
from .watchdog import TICK_S, MediaWatchdog
from .way import Way
from .whep import WhepResource
from .whip import WhipResource

log = logging.getLogger(__name__)

# Leaving is over within 3 s, whatever the MCU does.
GOODBYE_S = 2.4
# After a loss the next try is due: an MCU that can be reached has ended the old session by then, mostly.
QUICK_GOODBYE_S = 1.2
# What nobody waits for any more ends as well.
LATE_GOODBYE_S = 20.0
# One try's share of knocking at an MCU that does not answer.
REACH_S = 5.0
# Until the first far-end packet, so that the room goes live without a noticeable wait.
FAST_TICK_S = 0.02
KEYFRAME_EVERY_S = 0.5
KEYFRAME_EVERY_MAX_S = 4.0
# An MCU that only forwards has nothing to send to the first one in the room, who is in the meeting all the same.
QUIET_S = 3.0


async def uninterrupted(work: Coroutine[Any, Any, None]) -> None:
    """Run `work`, which bounds its own time, to its end even when cancelled again meanwhile."""
    task = asyncio.ensure_future(work)
    interrupted = False
    while not task.done():
        try:
            await asyncio.wait((task,))
        except asyncio.CancelledError:
            interrupted = True
    task.result()
    if interrupted:
        raise asyncio.CancelledError


class WhipSession:
    """One try to be in one meeting. See `session.Session`."""

    def __init__(
        self,
        meeting: settings.Meeting,
        events: SessionEvents,
        make_peer: Callable[[str], Peer],
        *,
        ghosts: Ghosts | None = None,
        line: Line | None = None,
        limits: HttpLimits | None = None,
        clock: Clock | None = None,
    ) -> None:
        """`ghosts` and `line`: shared by all tries; see ghosts.py and line.py."""
        self._ghosts = ghosts or Ghosts()
        self._line = line or Line()
        self._urls = (meeting.send_url, meeting.receive_url)
        self._ending: asyncio.Future[None] | None = None
        self._meeting = meeting
        self._events = events
        self._make_peer = make_peer
        self._clock = clock or MediaClock()
        self._client = SignallingClient(meeting, limits, self._line.names)
        self._opus: OpusEncoder | None = None
        self._send: SendLeg | None = None
        self._receive: ReceiveLeg | None = None
        self._far_video: VideoReceiver | None = None
        self._far_audio: AudioReceiver | None = None
        self._resources: tuple[WhipResource | WhepResource, ...] = ()
        self._keyframe_due = True
        self._keyframe_asked_ns = 0
        self._far_frames = 0
        self._video_dropped = 0
        self._audio_dropped = 0

    # Session

    async def run(self) -> None:
        """Connect, stay, and raise an UplinkError when it ends badly; cancelled, say goodbye in bounded time."""
        meeting, client = self._meeting, self._client
        jobs: list[asyncio.Future[None]] = []
        goodbye_s = GOODBYE_S
        await client.open()
        try:
            if self._line.is_doubtful:
                await self._reach()
            self._ending = asyncio.get_running_loop().create_future()
            self._opus = OpusEncoder()
            whip = WhipResource(client, meeting.send_url, ghosts=self._ghosts)
            whep = WhepResource(client, meeting.receive_url, ghosts=self._ghosts)
            self._resources = (whip, whep)
            send = self._send = SendLeg(whip, lambda: self._make_peer(meeting.send_url))
            send.video.on_keyframe(self._events.keyframe_wanted)
            send.video.on_bandwidth(self._events.bandwidth)
            send.video.on_hold(self._events.hold_pictures)
            send.audio.on_bitrate(self._set_audio_bitrate)
            receive = self._receive = ReceiveLeg(
                whep, lambda: self._make_peer(meeting.receive_url), self._take_receivers
            )
            jobs = [asyncio.ensure_future(job) for job in (send.run(), receive.run(), self._stay(send, receive))]
            jobs.append(self._ending)
            await self._first_failure(jobs)
        except UplinkError as error:
            goodbye_s = QUICK_GOODBYE_S
            self._line.is_doubtful |= isinstance(error, MediaLost | Unreachable)
            self._events.lost(error)
            raise
        finally:
            await uninterrupted(self._goodbye(jobs, goodbye_s))

    def end(self, error: UplinkError) -> None:
        if self._ending is not None and not self._ending.done():
            self._ending.set_exception(error)

    def send_video(self, frame: EncodedFrame) -> None:
        """Send one access unit, from the first keyframe after the connection on; before, drop and count."""
        leg = self._send
        if leg is None or not leg.is_up.is_set():
            self._video_dropped += 1
            return
        if self._keyframe_due and not frame.is_keyframe:
            self._video_dropped += 1
            self._want_keyframe()
            return
        self._keyframe_due = False
        leg.video.send(frame)

    def send_audio(self, block: AudioBlock) -> None:
        leg, opus = self._send, self._opus
        if leg is None or opus is None or not leg.is_up.is_set():
            self._audio_dropped += 1
            return
        leg.audio.send(opus.encode(block.samples), block.pts_ns, loudness_dbov(block.samples))

    def pull_audio(self, heard_at_ns: int) -> AudioBlock | None:
        return self._far_audio.pull(heard_at_ns) if self._far_audio is not None else None

    def picture_delay_ns(self) -> int | None:
        return self._far_video.wanted_delay_ns() if self._far_video is not None else None

    def request_far_keyframe(self) -> None:
        if self._far_video is not None:
            self._far_video.request_keyframe()

    def numbers(self) -> Mapping[str, Any]:
        numbers: dict[str, Any] = {
            "video_dropped": self._video_dropped,
            "audio_dropped": self._audio_dropped,
            "far_frames": self._far_frames,
            "cannot_delete": "; ".join(filter(None, (resource.cannot_delete for resource in self._resources))) or None,
        }
        parts: dict[str, Any] = {"video_in": self._far_video, "audio_in": self._far_audio}
        if self._send is not None:
            parts |= {"video_out": self._send.video, "audio_out": self._send.audio, "link_out": self._send.peer}
        if self._receive is not None:
            parts["link_in"] = self._receive.peer
        for prefix, part in parts.items():
            if part is not None:
                numbers |= {f"{prefix}_{name}": value for name, value in part.numbers().items()}
        return numbers

    # inside

    def _set_audio_bitrate(self, bps: int) -> None:
        if self._opus is not None:
            self._opus.set_bitrate(bps)

    async def _reach(self) -> None:
        """Knock until the MCU answers, which costs less and is noticed sooner than whole tries."""
        try:
            async with asyncio.timeout(REACH_S):
                await self._line.answers(self._urls)
        except TimeoutError as error:
            if not self._line.has_way(self._urls):
                raise Unreachable(
                    "this unit has no network address or route; check the network cable", problem="no-network"
                ) from error
            raise Unreachable("the MCU cannot be reached; the line is down, or the MCU is") from error

    def _take_receivers(self, video: VideoReceiver, audio: AudioReceiver) -> None:
        self._far_video, self._far_audio = video, audio
        video.on_frame(self._take_frame)
        audio.wait_for_picture(video.wanted_delay_ns)

    def _take_frame(self, frame: EncodedFrame) -> None:
        self._far_frames += 1
        self._events.far_video(frame)

    def _want_keyframe(self) -> None:
        """Ask our own encoder for the keyframe that the MCU's decoder starts with; again if it does not come."""
        now_ns = self._clock.now_ns()
        if now_ns - self._keyframe_asked_ns >= KEYFRAME_EVERY_S * 1e9:
            self._keyframe_asked_ns = now_ns
            self._events.keyframe_wanted()

    def _last_packet_ns(self) -> int:
        return max((part.last_packet_ns for part in (self._far_video, self._far_audio) if part is not None), default=0)

    async def _stay(self, send: SendLeg, receive: ReceiveLeg) -> None:
        """Announce the far end's first packet, ask for its first picture, and raise when it falls silent."""
        await send.is_up.wait()
        self._want_keyframe()
        await receive.is_up.wait()
        connected_ns = self._clock.now_ns()
        peers = (send.peer, receive.peer)
        watchdog = _watchdog(connected_ns)
        live = quiet = False
        way = Way(self._line.network, peers)
        ask_every_s, asked_ns = KEYFRAME_EVERY_S, 0
        while True:
            now_ns, packet_ns = self._clock.now_ns(), self._last_packet_ns()
            way.look(now_ns)
            try:
                probes = watchdog.look(now_ns, [peer.last_heard_ns for peer in peers], packet_ns)
            except MediaLost as error:
                self._line.is_doubtful = True
                self._events.lost(error)
                await until_heard(error, peers, self._last_packet_ns, self._line, self._urls, self._clock)
                log.info("uplink: the line is back, and the session with it")
                live = False
                watchdog = _watchdog(self._clock.now_ns())
                self.request_far_keyframe()
                continue
            for peer, wanted in zip(peers, probes, strict=True):
                if wanted:
                    peer.probe()
            if not live and (packet_ns or now_ns - connected_ns > QUIET_S * 1e9):
                live = True
                log.info("uplink: %s", "media flow" if packet_ns else "connected; the MCU sends nothing yet")
                self._line.is_doubtful = False
                self._events.connected()
            if live and quiet != (not packet_ns):
                quiet = not packet_ns
                self._events.far_silent(quiet)
            if not self._far_frames and now_ns - asked_ns >= ask_every_s * 1e9:
                if asked_ns:
                    ask_every_s = min(2 * ask_every_s, KEYFRAME_EVERY_MAX_S)
                asked_ns = now_ns
                self.request_far_keyframe()
            await asyncio.sleep(TICK_S if live else FAST_TICK_S)

    async def _first_failure(self, jobs: list[asyncio.Future[None]]) -> None:
        done, _ = await asyncio.wait(jobs, return_when=asyncio.FIRST_COMPLETED)
        errors = [error for job in done if not job.cancelled() and (error := job.exception()) is not None]
        # When both legs fail at once, the one that a person must act upon is told.
        errors.sort(key=lambda error: not isinstance(error, CredentialsRejected))
        raise errors[0] if errors else MediaLost("the session ended without a reason")

    async def _goodbye(self, jobs: list[asyncio.Future[None]], within_s: float) -> None:
        """End both legs side by side: media at once; the sessions at the MCU within the time, or behind our back."""
        for job in jobs:
            job.cancel()
        await asyncio.gather(*jobs, return_exceptions=True)
        closing = asyncio.ensure_future(self._close_legs())
        try:
            await asyncio.wait((closing,), timeout=within_s)
            if closing.done():
                closing.result()
            else:
                log.info("uplink: the MCU has not answered our goodbye within %.1f s; going on without", within_s)
                self._client.keep_open_for(closing)
        finally:
            await self._client.close()
            if self._opus is not None:
                self._opus.close()
                self._opus = None

    async def _close_legs(self) -> None:
        try:
            async with asyncio.timeout(LATE_GOODBYE_S):
                await all_of(*(leg.close() for leg in (self._send, self._receive) if leg is not None))
        except TimeoutError:
            log.warning("uplink: the MCU did not answer our goodbye within %.0f s", LATE_GOODBYE_S)


def _watchdog(now_ns: int) -> MediaWatchdog:
    return MediaWatchdog(now_ns, ("sending connection", "receiving connection"))
