"""A sound card at pyalsaaudio's own interface, run by a clock that the test turns."""

import errno
import os
import select
from collections.abc import Callable
from typing import Any

import alsaaudio

from appliance.media.clock import Clock
from appliance.media.values import SAMPLE_RATE

NS = 1_000_000_000


class TurnedClock:
    """Stands still until it is turned."""

    def __init__(self, now_ns: int = 50 * NS) -> None:
        self._now_ns = now_ns

    def now_ns(self) -> int:
        return self._now_ns

    def turn(self, ms: float) -> None:
        self._now_ns += int(ms * 1_000_000)


class StoppingAfter:
    """In the place of a stop event: waiting turns the clock instead of passing time."""

    def __init__(self, clock: TurnedClock) -> None:
        self._clock = clock
        self.waits: list[float] = []

    def is_set(self) -> bool:
        return False

    def wait(self, seconds: float) -> bool:
        self.waits.append(seconds)
        self._clock.turn(seconds * 1000)
        return False


class FakeCard:
    """One card: what it offers, its buffers in real numbers, and its plug."""

    def __init__(self, clock: Clock, channels: tuple[int, ...] = (1, 2), rate: int = SAMPLE_RATE) -> None:
        self.clock = clock
        self.channels = channels
        self.rate = rate
        self.format_name = "S16_LE"
        self.plugged = True
        self.frozen = False
        self.opened: list[dict[str, Any]] = []
        self.pcm: FakePcm | None = None

    def open(self, **wanted: Any) -> "FakePcm":
        self.opened.append(wanted)
        if not self.plugged:
            raise alsaaudio.ALSAAudioError(f"No such device [{wanted['device']}]")
        self.pcm = FakePcm(self, wanted)
        return self.pcm


class FakePcm:
    """Behaves as pyalsaaudio 0.11 in PCM_NONBLOCK mode: -EPIPE once after an xrun, and ready again thereafter."""

    def __init__(self, card: FakeCard, wanted: dict[str, Any]) -> None:
        self._card = card
        self.capture = wanted["type"] == alsaaudio.PCM_CAPTURE
        self._channels = wanted["channels"] if wanted["channels"] in card.channels else card.channels[0]
        self._period = wanted["periodsize"]
        self._buffer = self._period * wanted["periods"]
        self._began_ns: int | None = None
        self._moved = 0  # frames read or written since it began
        self.voice: Callable[[int], int] = lambda frame: frame % 30_000
        self.written = bytearray()
        self.closed = False
        self._descriptor: int | None = None

    def info(self) -> dict[str, Any]:
        return {
            "format_name": self._card.format_name,
            "rate": self._card.rate,
            "channels": self._channels,
            "buffer_size": self._buffer,
        }

    def _passed(self) -> int:
        if self._began_ns is None:
            return 0
        return (self._card.clock.now_ns() - self._began_ns) * SAMPLE_RATE // NS

    def _check(self) -> None:
        if not self._card.plugged:
            raise alsaaudio.ALSAAudioError("No such device [fake]")

    def avail(self) -> int:
        if not self._card.plugged:
            return -errno.ENODEV
        if self.capture:
            waiting = 0 if self._card.frozen else self._passed() - self._moved
            return waiting if waiting <= self._buffer else -errno.EPIPE
        queued = self._moved - (0 if self._card.frozen else self._passed())
        if self._began_ns is not None and queued < 0:
            return -errno.EPIPE
        return self._buffer - queued

    def read(self) -> tuple[int, bytes]:
        self._check()
        if self._began_ns is None:
            self._began_ns = self._card.clock.now_ns()
        free = self.avail()
        if free == -errno.EPIPE:
            self._began_ns, self._moved = None, 0
            return -errno.EPIPE, b""
        count = min(free, self._period)
        frames = range(self._moved, self._moved + count)
        self._moved += count
        data = b"".join(self.voice(frame).to_bytes(2, "little", signed=True) * self._channels for frame in frames)
        return count, data

    def write(self, data: bytes) -> int:
        self._check()
        if self._began_ns is not None and self.avail() == -errno.EPIPE:
            self._began_ns, self._moved = None, 0
            return -errno.EPIPE
        count = min(len(data) // 2 // self._channels, self.avail())
        if self._began_ns is None:
            self._began_ns = self._card.clock.now_ns()
        self._moved += count
        self.written += data[: count * 2 * self._channels]
        return count

    def polldescriptors(self) -> list[tuple[int, int]]:
        if self._descriptor is None:
            self._descriptor = os.open(os.devnull, os.O_RDONLY)  # always ready: the reader must not spin
        return [(self._descriptor, select.POLLIN)]

    def polldescriptors_revents(self, ready: list[tuple[int, int]]) -> int:
        return select.POLLIN if ready else 0

    def close(self) -> None:
        self.closed = True
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
