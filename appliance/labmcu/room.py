"""A meeting room: who sends, who listens, and the two mixers between them."""

import asyncio
from typing import Any, Protocol

import numpy as np

from appliance.media.clock import NS_PER_S, Clock
from appliance.media.values import AudioBlock, EncodedFrame
from appliance.rtp.opus import OpusEncoder

from .audio_mixer import Pace, Samples, level_dbfs, mix
from .tile_source import TileSource
from .video_mixer import VideoMixer, WallSettings

# uvloop's timers count milliseconds; a tick this much early is on time, and its time line stays exact.
_EARLY_NS = 1_000_000
_SMOOTHING = 0.02
_LEAD_STEP_NS = 1_000_000
# Further apart than this, sound and picture are not on one time line (yet): there is nothing to align.
_PLAUSIBLE_LEAD_NS = NS_PER_S
# Opus looks ahead 6.5 ms (312 samples), which no stamp tells: once in the sender's encoder, once in ours.
_CODEC_DELAY_NS = 2 * 6_500_000
# A level above this counts as somebody speaking.
_SPEAKING_DBFS = -45.0


class SoundIn(Protocol):
    """Gives a participant's sound; `rtp` has the real one."""

    def pull(self, heard_at_ns: int) -> AudioBlock | None: ...


class SoundOut(Protocol):
    """Takes a listener's Opus packets; `rtp` has the real one."""

    def send(self, packet: bytes, pts_ns: int) -> None: ...


class PictureOut(Protocol):
    """Takes a listener's pictures; `rtp` has the real one."""

    def send(self, frame: EncodedFrame) -> None: ...


class Participant:
    """Somebody who sends sound and picture into the room."""

    def __init__(self, name: str, sound: SoundIn, tile: TileSource) -> None:
        self.name = name
        self.tile = tile
        self.is_connected = False
        self.level_dbfs = -100.0
        # Capture to mixed, on the sender's time line.
        self.sound_delay_ns: float | None = None
        self._sound = sound

    def pull(self, tick_ns: int) -> Samples | None:
        """20 ms of this participant's sound, as late as possible before it is mixed."""
        block = self._sound.pull(tick_ns)
        if block is None:
            self.level_dbfs = -100.0
            return None
        delay_ns = float(tick_ns - block.pts_ns)
        known_ns = self.sound_delay_ns
        self.sound_delay_ns = delay_ns if known_ns is None else known_ns + _SMOOTHING * (delay_ns - known_ns)
        samples = np.frombuffer(block.samples, np.int16)
        # Falls slowly, so that a list refreshed once a second shows who speaks.
        self.level_dbfs = max(level_dbfs(samples), self.level_dbfs - 0.5)
        return samples

    def lead_ns(self) -> float | None:
        """How much older the sound is than the picture mixed at the same moment, where both are known."""
        if self.sound_delay_ns is None or self.tile.delay_ns is None:
            return None
        lead_ns = self.sound_delay_ns + _CODEC_DELAY_NS - self.tile.delay_ns
        return lead_ns if abs(lead_ns) < _PLAUSIBLE_LEAD_NS else None

    def state(self, now_ns: int) -> str:
        if not self.is_connected:
            return "joining"
        return "live" if self.tile.is_fresh_at(now_ns) else "no-picture"


class Listener:
    """Somebody who watches the wall and hears everybody but itself."""

    def __init__(self, name: str, sound: SoundOut, picture: PictureOut) -> None:
        self.name = name
        self.limit_bps: int | None = None  # what its line carries of the wall
        self._sound = sound
        self._picture = picture
        self._encoder = OpusEncoder()
        self._has_keyframe = False

    def hear(self, samples: Samples, tick_ns: int) -> None:
        self._sound.send(self._encoder.encode(samples.tobytes()), tick_ns)

    def see(self, frame: EncodedFrame) -> None:
        # What comes before the first keyframe cannot be decoded and would only cost line.
        self._has_keyframe = self._has_keyframe or frame.is_keyframe
        if self._has_keyframe:
            self._picture.send(frame)


class Room:
    """One meeting. All methods are called in the loop; `run` is its job."""

    def __init__(self, name: str, wall: WallSettings, clock: Clock, *, echo: bool = False) -> None:
        self.name = name
        self.mixer = VideoMixer(wall, name, clock)
        self._clock = clock
        self._echo = echo
        self._participants: dict[str, Participant] = {}
        self._listeners: dict[str, Listener] = {}
        self._lead_ns: float | None = None
        self._ticks = 0
        self._skipped = 0

    @property
    def participants(self) -> tuple[Participant, ...]:
        return tuple(self._participants.values())

    def tile_source(self, name: str) -> TileSource:
        """A decoder for a participant of this room."""
        return TileSource(name, self._clock, self.mixer.wake)

    def enter(self, participant: Participant) -> None:
        """Take in a participant; one of the same name gives its place on the wall to it."""
        self._participants[participant.name] = participant
        self._show()

    def leave(self, participant: Participant) -> None:
        """Let a participant go; nothing happens when another one has taken its place."""
        if self._participants.get(participant.name) is participant:
            del self._participants[participant.name]
            self._show()

    def listen(self, listener: Listener) -> None:
        """Send the mix to a listener, whose transport is up, from a keyframe on."""
        self._listeners[listener.name] = listener
        self.mixer.request_keyframe()
        self.mixer.watch(on=True)
        self._limit()

    def unlisten(self, listener: Listener) -> None:
        if self._listeners.get(listener.name) is listener:
            del self._listeners[listener.name]
            self.mixer.watch(on=bool(self._listeners))
            self._limit()

    def limit(self, listener: Listener, bps: int) -> None:
        """The line of this listener carries so much: the wall, which is one for all, follows the slowest."""
        listener.limit_bps = bps
        self._limit()

    def _limit(self) -> None:
        limits = [listener.limit_bps for listener in self._listeners.values() if listener.limit_bps is not None]
        self.mixer.limit(min(limits, default=None))

    def _show(self) -> None:
        self.mixer.show([participant.tile for participant in self._participants.values()])

    async def run(self) -> None:
        """Mix until cancelled."""
        async with asyncio.TaskGroup() as jobs:
            jobs.create_task(self.mixer.run(self._deliver))
            jobs.create_task(self._mix_sound())

    def _deliver(self, frame: EncodedFrame) -> None:
        for listener in self._listeners.values():
            listener.see(frame)

    async def _mix_sound(self) -> None:
        pace = Pace(self._clock.now_ns())
        while True:
            wait_ns = pace.wait_ns(self._clock.now_ns())
            if wait_ns > _EARLY_NS:
                await asyncio.sleep(wait_ns / NS_PER_S)
                continue
            self.tick(pace.take(self._clock.now_ns()))
            self._skipped = pace.skipped

    def tick(self, tick_ns: int) -> None:
        """Mix and send the 20 ms of sound that begin at `tick_ns`."""
        self._ticks += 1
        heard = {}
        for participant in self._participants.values():
            samples = participant.pull(tick_ns)
            if samples is not None:
                heard[participant.name] = samples
        for name, samples in mix(heard, self._listeners, echo=self._echo).items():
            self._listeners[name].hear(samples, tick_ns)
        self._align()

    def _align(self) -> None:
        """Tell the video mixer how to stamp its pictures (docs/lab-mcu.md, "Lip sync")."""
        leads = [lead for participant in self._participants.values() if (lead := participant.lead_ns()) is not None]
        if not leads:
            return
        wanted_ns = sum(leads) / len(leads)
        before_ns = self._lead_ns
        # Slowly, because listeners see a jump of the time line as a jump of the picture.
        step_ns = 0.0 if before_ns is None else max(-_LEAD_STEP_NS, min(_LEAD_STEP_NS, wanted_ns - before_ns))
        self._lead_ns = wanted_ns if before_ns is None else before_ns + step_ns
        self.mixer.set_lead(int(self._lead_ns))

    def snapshot(self) -> dict[str, Any]:
        """The room for `/api/rooms`."""
        now_ns = self._clock.now_ns()
        return {
            "name": self.name,
            "echo": self._echo,
            "participants": [
                {
                    "name": participant.name,
                    "state": participant.state(now_ns),
                    "speaking": participant.level_dbfs > _SPEAKING_DBFS,
                    "level_dbfs": round(participant.level_dbfs, 1),
                    "pictures": participant.tile.decoded,
                    "pictures_dropped": participant.tile.dropped,
                    "decode_errors": participant.tile.errors,
                }
                for participant in self._participants.values()
            ],
            "listeners": sorted(self._listeners),
            "wall": {
                "composed": self.mixer.composed,
                "dropped": self.mixer.dropped,
                "work_ms": round(self.mixer.work_ms, 2),
                "lead_ms": round((self._lead_ns or 0.0) / 1e6, 1),
            },
            "sound": {"ticks": self._ticks, "skipped": self._skipped},
        }
