"""Jobs are started again with back-off, and repeated bugs end the process."""

import asyncio
import random

import pytest

from appliance.errors import DeviceError
from appliance.supervisor import Backoff, Supervisor, TooManyBugsError


class Time:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 0.0
        self.waits: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)

    def supervisor(self) -> Supervisor:
        return Supervisor(now=lambda: self.now, sleep=self.sleep, rng=random.Random(3))


async def test_an_expected_failure_is_tried_again_until_it_works() -> None:
    time = Time()
    failures = iter([True] * 8 + [False])

    async def job() -> None:
        if next(failures):
            raise DeviceError("no camera", problem="camera-missing")

    told: list[int] = []
    await time.supervisor().keep("camera", job, backoff=Backoff(1, 8), failed=lambda _, attempt: told.append(attempt))
    assert told == list(range(8))
    assert all(wait <= min(8, 2**n) for n, wait in enumerate(time.waits))
    assert len(set(time.waits)) == len(time.waits)


async def test_a_job_that_ran_steadily_starts_again_quickly() -> None:
    time = Time()
    runs = 0

    async def job() -> None:
        nonlocal runs
        runs += 1
        if runs > 6:
            return
        time.now += 60
        raise DeviceError("unplugged", problem="camera-missing")

    told: list[int] = []
    await time.supervisor().keep("camera", job, backoff=Backoff(1, 8), failed=lambda _, attempt: told.append(attempt))
    assert set(told) == {0}


async def test_five_bugs_within_a_minute_end_it() -> None:
    async def job() -> None:
        raise ZeroDivisionError

    with pytest.raises(TooManyBugsError):
        await Time().supervisor().keep("camera", job, backoff=Backoff(0.1, 1))


async def test_bugs_far_apart_do_not() -> None:
    time = Time()
    runs = 0

    async def job() -> None:
        nonlocal runs
        runs += 1
        time.now += 30
        if runs < 20:
            raise ZeroDivisionError

    await time.supervisor().keep("camera", job, backoff=Backoff(0.1, 1))
    assert runs == 20


def test_the_mcu_may_ask_for_a_longer_wait() -> None:
    assert Backoff(0.5, 15).delay_s(0, random.Random(1), at_least_s=30) >= 30
