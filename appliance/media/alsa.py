"""Sound cards through ALSA: open by name, read and write 20 ms of 48 kHz mono, count what was lost.

The one module that knows pyalsaaudio. Cards are opened without blocking: a card that says nothing is an error after
a second (three at the start). A call into libasound may still not return, above all where a plug-in waits for a sound
server, and some of pyalsaaudio's calls hold the interpreter meanwhile: then microphone and speaker stand still with the
whole worker, the engine replaces it, and sends silence in the room's name (room_sound.py). Where a card has no mono,
two channels are mixed here.
"""

import ctypes
import errno
import os
import re
import select
import threading
import time
from collections.abc import Callable
from typing import Any, Literal

import alsaaudio

from appliance.errors import DeviceError

from .clock import NS_PER_S, Clock
from .pcm import to_mono, to_stereo
from .sample_clock import SampleClock
from .values import BLOCK_NS, BLOCK_SAMPLES, SAMPLE_RATE, SILENCE, AudioBlock

Kind = Literal["microphone", "speaker"]

# The card keeps this much more than we fill: room for a late thread on the capture side, none of it is delay.
_PERIODS = 4
# The next block is due when no more than this is left to play.
_LOW_FRAMES = BLOCK_SAMPLES
_STALL_NS = NS_PER_S
# A television or a sound server may take this long before the first sample moves.
_START_NS = 3 * NS_PER_S
_POLL_MS = 100
# Where the card tells its position only once a period, look again this soon after the time that was reckoned.
# So many in a row are no busy machine but a card that does not play.
MAX_UNDERRUNS = 10
_RECHECK_S = 0.002
# A card cannot be ahead of the clock by more than its buffer: what is, is a file or a plug-in without a clock.
_AHEAD_NS = NS_PER_S
_NUMBERED = re.compile(r"^[a-z]+:(CARD=)?\d+(,|$)", re.IGNORECASE)

# The rest of its arguments (it is printf-like) is not looked at.
_ErrorHandler = ctypes.CFUNCTYPE(None, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p)


def _ignore(file: bytes, line: int, function: bytes, code: int, text: bytes) -> None:
    """The library prints a dozen lines on stderr for each card that is not there; the exception says it once."""


_IGNORE = _ErrorHandler(_ignore)  # kept alive here: the library holds only its address


def quiet_library() -> None:
    """Keep libasound from writing to stderr: a missing card is looked for each second."""
    ctypes.CDLL("libasound.so.2").snd_lib_error_set_handler(_IGNORE)


def list_devices(kind: Kind) -> list[str]:
    """The names of this machine's sound devices, as settings take them: by the card's id, never by its number."""
    quiet_library()
    names = alsaaudio.pcms(alsaaudio.PCM_CAPTURE if kind == "microphone" else alsaaudio.PCM_PLAYBACK)
    return [name for name in names if name.startswith(("default", "sysdefault:", "plughw:", "hw:"))]


class _Pcm:
    """What both directions share: opening and negotiating, and errors in our words."""

    def __init__(self, kind: Kind, device: str, clock: Clock, open_pcm: Callable[..., Any]) -> None:
        self._kind = kind
        self._device = device
        self._clock = clock
        self._open_pcm = open_pcm
        self._times = SampleClock()
        self._started_ns: int | None = None
        self._moved = 0  # frames read or written since `_started_ns`
        self._running = False
        self.xruns = 0
        self._pcm, self.channels, self._buffer_frames = self._open()

    def close(self) -> None:
        self._pcm.close()

    def _open(self) -> tuple[Any, int, int]:
        if _NUMBERED.match(self._device):
            raise self._error("numbers of cards change from start to start; name the card, as in plughw:CARD=Device")
        direction = alsaaudio.PCM_CAPTURE if self._kind == "microphone" else alsaaudio.PCM_PLAYBACK
        offers = []
        quiet_library()
        for channels in (1, 2):
            try:
                pcm = self._open_pcm(
                    type=direction,
                    mode=alsaaudio.PCM_NONBLOCK,
                    device=self._device,
                    rate=SAMPLE_RATE,
                    channels=channels,
                    format=alsaaudio.PCM_FORMAT_S16_LE,
                    periodsize=BLOCK_SAMPLES,
                    periods=_PERIODS,
                )
            except alsaaudio.ALSAAudioError as error:
                raise self._error(f"{error}; check its cable, or choose another in the settings") from error
            # pyalsaaudio takes what it gets and says so only here.
            got = pcm.info()
            if got["format_name"] == "S16_LE" and got["rate"] == SAMPLE_RATE and got["channels"] in (1, 2):
                return pcm, got["channels"], got["buffer_size"]
            offers.append(f"{got['format_name']} at {got['rate']} Hz with {got['channels']} channels")
            pcm.close()
        raise self._error(
            f"it offers {offers[0]}, not 16 bit at {SAMPLE_RATE} Hz with 1 or 2 channels; "
            "let ALSA convert by a name such as plughw:CARD=Device"
        )

    def _call(self, method: Callable[..., Any], *args: object) -> Any:
        try:
            return method(*args)
        except alsaaudio.ALSAAudioError as error:
            raise self._error(f"{error}; check its cable") from error

    def _error(self, reason: str) -> DeviceError:
        return DeviceError(
            f"the {self._kind} {self._device!r} cannot be used: {reason}", problem=f"{self._kind}-missing"
        )

    def _deadline_ns(self) -> int:
        """When a card that does nothing has failed."""
        return self._clock.now_ns() + (_STALL_NS if self._running else _START_NS)

    def _keep_pace(self, frames: int) -> None:
        """Refuse what runs ahead of the clock: it would flood everything behind it."""
        now_ns = self._clock.now_ns()
        if self._started_ns is None:
            self._started_ns = now_ns
        self._moved += frames
        if self._moved * NS_PER_S // SAMPLE_RATE > now_ns - self._started_ns + _AHEAD_NS:
            raise self._error("it runs faster than time, so it is no sound card; choose another in the settings")

    def _broken_stream(self) -> None:
        self.xruns += 1
        self._times.restart()
        self._started_ns = None
        self._moved = 0


class CapturePcm(_Pcm):
    """A microphone."""

    def __init__(self, device: str, clock: Clock, open_pcm: Callable[..., Any] = alsaaudio.PCM) -> None:
        super().__init__("microphone", device, clock, open_pcm)
        self._frame_bytes = 2 * self.channels
        self._waiting = bytearray()
        self._spoiled = False
        self._poll = select.poll()
        for descriptor, events in self._call(self._pcm.polldescriptors):
            self._poll.register(descriptor, events)

    def read(self, stopping: threading.Event) -> AudioBlock | None:
        """The next 20 ms; None when `stopping` is set. Raises DeviceError when the card is gone or gives nothing."""
        deadline_ns = self._deadline_ns()
        wanted = BLOCK_SAMPLES * self._frame_bytes
        while len(self._waiting) < wanted:
            if stopping.is_set():
                return None
            count, data = self._call(self._pcm.read)
            if count == -errno.EPIPE:
                self._broken_stream()
                self._waiting.clear()
                self._spoiled = True
            elif count < 0:
                raise self._error(f"{os.strerror(-count)}; check its cable")
            elif data:
                self._keep_pace(len(data) // self._frame_bytes)
                # The first period after an overrun is what happened to lie in the buffer.
                self._waiting += bytes(len(data)) if self._spoiled else data
                self._spoiled = False
            elif self._clock.now_ns() > deadline_ns:
                raise self._error("it gives no sound; pull its plug and put it in again")
            else:
                self._wait()
        self._running = True
        frames = len(self._waiting) // self._frame_bytes + max(0, self._pcm.avail())
        measured_ns = self._clock.now_ns() - frames * NS_PER_S // SAMPLE_RATE
        samples = bytes(self._waiting[:wanted])
        del self._waiting[:wanted]
        return AudioBlock(samples if self.channels == 1 else to_mono(samples), self._times.stamp(measured_ns))

    def _wait(self) -> None:
        ready = self._poll.poll(_POLL_MS)
        if ready:
            # Plug-ins reset their descriptor here. One that is always ready must not make this a busy loop.
            self._call(self._pcm.polldescriptors_revents, ready)
            if max(0, self._pcm.avail()) < BLOCK_SAMPLES:
                time.sleep(_RECHECK_S)


class PlaybackPcm(_Pcm):
    """A speaker."""

    def __init__(self, device: str, clock: Clock, open_pcm: Callable[..., Any] = alsaaudio.PCM) -> None:
        super().__init__("speaker", device, clock, open_pcm)

    def write(self, samples: bytes) -> int:
        """Queue 20 ms and return the time at which they are heard. An underrun costs 20 ms of silence before them."""
        at_ns = self._clock.now_ns() + self._queued() * NS_PER_S // SAMPLE_RATE
        underruns = 0
        # On a starved machine the silence may have been played before the block could follow it.
        while not ((not underruns or self._put(SILENCE)) and self._put(samples)):
            underruns += 1
            if underruns > MAX_UNDERRUNS:
                raise self._error("it does not play on after an underrun; check its cable")
            self._broken_stream()
            at_ns = self._clock.now_ns() + BLOCK_NS
        return self._times.stamp(at_ns)

    def wait_for_room(self, stopping: threading.Event) -> None:
        """Return when 20 ms or less are left to play. Raises DeviceError when the card stands still."""
        deadline_ns = self._deadline_ns()
        again = False
        while (over := self._queued() - _LOW_FRAMES) > 0:
            if self._clock.now_ns() > deadline_ns:
                raise self._error("it takes no more sound; check its cable and power")
            wait_s = over / SAMPLE_RATE
            if stopping.wait(min(wait_s, _RECHECK_S) if again else wait_s):
                return
            again = True
        # Two blocks were written, and one has been played.
        self._running = self._running or again

    def _queued(self) -> int:
        """Frames that wait to be played."""
        free: int = self._pcm.avail()
        if free == -errno.EPIPE:
            return 0  # the next write says it as well, and recovers
        if free < 0:
            raise self._error(f"{os.strerror(-free)}; check its cable and power")
        return max(0, self._buffer_frames - free)

    def _put(self, samples: bytes) -> bool:
        """Write one block; False after an underrun, with the card ready for a new start."""
        data = samples if self.channels == 1 else to_stereo(samples)
        frame_bytes = 2 * self.channels
        deadline_ns = self._deadline_ns()
        while data:
            count = self._call(self._pcm.write, data)
            if count == -errno.EPIPE:
                return False
            if count < 0:
                raise self._error(f"{os.strerror(-count)}; check its cable and power")
            if count == 0:
                if self._clock.now_ns() > deadline_ns:
                    raise self._error("it takes no more sound; check its cable and power")
                time.sleep(_RECHECK_S)
            data = data[count * frame_bytes :]
        self._keep_pace(len(samples) // 2)
        return True
