"""Queues, clocks, the bridge from threads, and the state everybody reads."""

import asyncio
import threading
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.lipsync import PlayoutDelay
from appliance.media.bridge import ThreadBridge
from appliance.media.clock import ns_to_48k, ns_to_90k, ntp_of, ntp_to_ns, ticks_to_ns
from appliance.media.queues import DropOldestQueue
from appliance.problems import CATALOGUE
from appliance.state import ApplianceState, StateStore


async def test_a_full_queue_drops_the_oldest_and_counts() -> None:
    queue: DropOldestQueue[int] = DropOldestQueue(3)
    for item in range(5):
        queue.put(item)
    assert [await queue.get() for _ in range(3)] == [2, 3, 4]
    assert queue.dropped == 2


async def test_what_a_thread_puts_arrives_in_order_and_then_its_error() -> None:
    def body(put: Callable[[int], None], _: threading.Event) -> None:
        for item in range(5):
            put(item)
        raise OSError("unplugged")

    bridge: ThreadBridge[int] = ThreadBridge("test", body, 8)
    bridge.start()
    seen = []

    async def take_all() -> None:
        async for item in bridge:
            seen.append(item)  # noqa: PERF401  the error comes after the items

    with pytest.raises(OSError, match="unplugged"):
        await take_all()
    assert seen == list(range(5))
    await bridge.stop()


async def test_a_thread_is_told_to_stop() -> None:
    ended = threading.Event()

    def body(put: Callable[[int], None], stopping: threading.Event) -> None:
        stopping.wait(5)
        ended.set()

    bridge: ThreadBridge[int] = ThreadBridge("test", body, 8)
    bridge.start()
    await bridge.stop()
    assert ended.is_set()


@given(st.integers(0, 2**62))
def test_rtp_clocks_do_not_drift_from_nanoseconds(ns: int) -> None:
    assert abs(ticks_to_ns(ns_to_90k(ns), 90_000) - ns) < 11_112
    assert abs(ticks_to_ns(ns_to_48k(ns), 48_000) - ns) < 20_834


@given(st.integers(0, 2_000_000_000 * 10**9))
def test_ntp_timestamps_turn_back(wall_ns: int) -> None:
    assert abs(ntp_to_ns(ntp_of(wall_ns)) - wall_ns) <= 1


async def test_a_slow_reader_of_the_state_gets_the_newest() -> None:
    store = StateStore(ApplianceState())
    changes = store.changes()
    assert (await anext(changes)).muted is True
    store.update(muted=False)
    store.update(camera_on=False)
    snapshot = await asyncio.wait_for(anext(changes), 1)
    assert (snapshot.muted, snapshot.camera_on) == (False, False)
    await changes.aclose()


def test_a_problem_keeps_its_beginning_and_can_be_withdrawn() -> None:
    store = StateStore(ApplianceState())
    store.raise_problem("camera-missing", "first")
    since = store.state.problems[0].since_unix_s
    store.raise_problem("camera-missing", "second")
    assert [(p.since_unix_s, p.detail) for p in store.state.problems] == [(since, "second")]
    store.clear_problem("camera-missing")
    assert store.state.problems == ()


def test_every_problem_says_cause_and_cure_in_both_languages() -> None:
    for text in CATALOGUE.values():
        for sentence in (text.cause_vi, text.cure_vi, text.cause_en, text.cure_en):
            assert sentence.endswith(".")


def test_the_playout_delay_ignores_one_late_report_and_follows_a_change() -> None:
    delay = PlayoutDelay()
    assert delay.played(0, 80_000_000) == 80_000_000
    for n in range(8):
        assert delay.played(n, n + 80_000_000) is None
    assert delay.played(9, 9 + 300_000_000) is None
    followed = [delay.played(n, n + 120_000_000) for n in range(10, 20)]
    assert followed[-1] is None
    assert delay.delay_ns == 120_000_000
