"""The room's sound on its way to the session: silence while the sound worker is away, and a Problem when it stays away.

A driver or sound server that hangs takes the whole worker with it (media/alsa.py), its silence for a missing card
included. The MCU must get its 20 ms all the same: a stream that ceases looks like a lost line.
"""

import asyncio
from collections.abc import Callable

from .media.clock import NS_PER_S, Clock
from .media.values import BLOCK_NS, SILENCE, AudioBlock
from .settings import Audio
from .state import StateStore

# The worker fills in for a late card after 60 ms. What is later still, nobody but us fills in.
GRACE_NS = 5 * BLOCK_NS
# After a longer hole (the engine itself stood still) time goes on: silence for the past helps nobody.
FILL_LIMIT_NS = NS_PER_S // 2
# One replaced worker is not worth a word; a second right after it says that its devices hang.
FAILURES_TO_TELL = 2
# As many statuses in a row (5 s) say that it works again.
STATUSES_TO_FORGIVE = 10


class RoomSound:
    """Hands on one block each 20 ms, with times that go on evenly, whether the worker lives or not."""

    def __init__(self, send: Callable[[AudioBlock], None], store: StateStore, audio: Audio, clock: Clock) -> None:
        self._send = send
        self._store = store
        self._devices = f"microphone {audio.input_device!r}, speaker {audio.output_device!r}"
        self._clock = clock
        self._next_ns = clock.now_ns()
        self._filling = False
        self._failures = 0
        self._statuses = 0
        self.filled = 0
        self.late = 0

    def block(self, samples: bytes, pts_ns: int) -> None:
        """A block of the worker's. What comes after silence was sent in its place is dropped and counted."""
        if self._filling and pts_ns < self._next_ns - BLOCK_NS // 2:
            self.late += 1
            return
        self._filling = False
        self._emit(samples, pts_ns)

    async def run(self) -> None:
        """Job: fill in until cancelled."""
        while True:
            wait_ns = self.fill()
            await asyncio.sleep(wait_ns / NS_PER_S)

    def fill(self) -> int:
        """Send the silence that is due; gives the time (ns) after which to look again."""
        late_ns = self._clock.now_ns() - self._next_ns - GRACE_NS
        if late_ns > FILL_LIMIT_NS:
            self._next_ns += late_ns // BLOCK_NS * BLOCK_NS
        while (late_ns := self._clock.now_ns() - self._next_ns - GRACE_NS) >= 0:
            self.filled += 1
            self._filling = True
            self._emit(SILENCE, self._next_ns)
        return -late_ns

    def failed(self, error: Exception) -> None:
        """The worker was replaced."""
        self._failures += 1
        self._statuses = 0
        if self._failures >= FAILURES_TO_TELL:
            self._store.raise_problem("sound-failing", f"{error} ({self._devices})")

    def works(self) -> None:
        """The worker reported its status."""
        self._statuses += 1
        if self._failures and self._statuses >= STATUSES_TO_FORGIVE:
            self._failures = 0
            self._store.clear_problem("sound-failing")

    def _emit(self, samples: bytes, pts_ns: int) -> None:
        self._next_ns = pts_ns + BLOCK_NS
        self._send(AudioBlock(samples, pts_ns))
