"""Keep jobs running: start again with back-off what failed as expected, and end the process when bugs repeat."""

import asyncio
import logging
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from .errors import ApplianceError

log = logging.getLogger(__name__)

BUGS_TO_GIVE_UP = 5
BUG_WINDOW_S = 60.0


class TooManyBugsError(Exception):
    """Jobs keep failing in ways nobody expected: a fresh process is the better cure."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential back-off with full jitter: the n-th wait is uniform in 0 … min(cap, base * 2^n) seconds.

    Full jitter spreads a thousand boxes that lost the same MCU at the same moment.
    """

    base_s: float = 0.5
    cap_s: float = 15.0

    def delay_s(self, attempt: int, rng: random.Random, at_least_s: float = 0.0) -> float:
        """Seconds to wait before try number `attempt` (from 0), and never less than what the MCU asked for."""
        ceiling = min(self.cap_s, self.base_s * 2 ** min(attempt, 16))
        return at_least_s + rng.uniform(0.0, ceiling)


class Supervisor:
    """Runs jobs until it is cancelled. A job runs until cancelled, or raises; only here is it started again."""

    def __init__(
        self,
        *,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        rng: random.Random | None = None,
    ) -> None:
        self._now = now
        self._sleep = sleep
        self._rng = rng or random.Random()  # noqa: S311  jitter, not a secret
        self._bugs: deque[float] = deque(maxlen=BUGS_TO_GIVE_UP)

    async def keep(
        self,
        name: str,
        job: Callable[[], Awaitable[None]],
        *,
        backoff: Backoff,
        steady_s: float = 10.0,
        failed: Callable[[Exception, int], None] | None = None,
    ) -> None:
        """Run `job` again and again. `failed(error, attempt)` is told of each failure.

        A job that ran for `steady_s` before it failed starts again at the shortest back-off.
        """
        attempt = 0
        while True:
            began = self._now()
            try:
                await job()
                log.info("%s: ended", name)
                return
            except ApplianceError as error:
                if self._now() - began >= steady_s:
                    attempt = 0
                log.warning("%s: %s", name, error)
                if failed is not None:
                    failed(error, attempt)
            except Exception as error:
                log.exception("%s: failed unexpectedly", name)
                if failed is not None:
                    failed(error, attempt)
                self.count_bug()
            await self._sleep(backoff.delay_s(attempt, self._rng))
            attempt += 1

    def count_bug(self) -> None:
        """Note one unexpected failure; raises TooManyBugsError at the fifth within a minute."""
        now = self._now()
        self._bugs.append(now)
        if len(self._bugs) == BUGS_TO_GIVE_UP and now - self._bugs[0] <= BUG_WINDOW_S:
            raise TooManyBugsError(f"{BUGS_TO_GIVE_UP} bugs within {BUG_WINDOW_S:.0f} s")
