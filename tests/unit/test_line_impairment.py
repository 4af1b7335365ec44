"""The bad line of the bench, driven by a clock that the test turns: what is asked for is what happens."""

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.line.impairment import LineError, Link, LinkSettings
from bench.line.profiles import PROFILES

MS = 1_000_000
S = 1_000 * MS
START_NS = 77 * S


def _link(seed: str = "1", **settings: object) -> Link:
    return Link(replace(LinkSettings(), **settings), seed, START_NS)  # type: ignore[arg-type]


def _packet(number: int, size: int = 1000) -> bytes:
    return number.to_bytes(4, "big").ljust(size, b"\0")


def _number(packet: bytes) -> int:
    return int.from_bytes(packet[:4], "big")


def _drain(link: Link) -> list[tuple[int, int]]:
    """(when, which) of everything that still comes."""
    out = []
    while (at_ns := link.next_ns()) is not None:
        out += [(at_ns, _number(packet)) for packet in link.take(at_ns)]
    return out


def _sent(link: Link, count: int, every_ns: int = MS, size: int = 1000) -> list[tuple[int, int]]:
    """Send `count` packets at a steady pace; (when, which) of what arrives."""
    out = []
    for number in range(count):
        now_ns = START_NS + number * every_ns
        while (at_ns := link.next_ns()) is not None and at_ns <= now_ns:
            out += [(at_ns, _number(packet)) for packet in link.take(at_ns)]
        link.arrive(_packet(number, size), now_ns)
    return out + _drain(link)


def test_a_packet_arrives_after_the_delay_and_not_before() -> None:
    link = _link(delay_ms=40.0)
    link.arrive(_packet(1), START_NS)
    assert link.next_ns() == START_NS + 40 * MS
    assert link.take(START_NS + 40 * MS - 1) == []
    assert link.take(START_NS + 40 * MS) == [_packet(1)]
    assert link.next_ns() is None


def test_jitter_delays_and_keeps_the_order() -> None:
    arrivals = _sent(_link(delay_ms=20.0, jitter_ms=10.0), 2000)
    assert [number for _, number in arrivals] == list(range(2000))
    extra_ms = [(at_ns - START_NS - number * MS) / MS - 20 for at_ns, number in arrivals]
    assert min(extra_ms) >= 0
    assert max(extra_ms) <= 50
    # Whoever comes behind a late packet waits for it: the mean lies above the jitter's own.
    assert 10 < sum(extra_ms) / len(extra_ms) < 50


def test_jitter_that_may_reorder_does() -> None:
    link = _link(delay_ms=20.0, jitter_ms=10.0, jitter_reorders=True)
    arrivals = _sent(link, 1000)
    assert sorted(number for _, number in arrivals) == list(range(1000))
    assert link.numbers(START_NS + 10 * S)["reordered"] > 100


def test_independent_loss_takes_the_share_asked_for() -> None:
    link = _link(loss=0.05)
    arrived = {number for _, number in _sent(link, 20_000)}
    assert link.numbers(START_NS + 100 * S)["dropped"] == {"loss": 20_000 - len(arrived), "queue": 0, "cut": 0}
    assert 900 < 20_000 - len(arrived) < 1100


def _bursts(arrived: set[int], count: int) -> list[int]:
    lengths, length = [], 0
    for number in range(count):
        if number not in arrived:
            length += 1
        elif length:
            lengths.append(length)
            length = 0
    return lengths


def test_burst_loss_takes_the_share_asked_for_in_bursts_of_the_length_asked_for() -> None:
    arrived = {number for _, number in _sent(_link(loss=0.05, burst=4.0), 50_000)}
    bursts = _bursts(arrived, 50_000)
    assert 2000 < sum(bursts) < 3000
    assert 3.5 < sum(bursts) / len(bursts) < 4.5


def test_the_same_seed_gives_each_packet_the_same_fate() -> None:
    one, same, other = (_sent(_link(seed, loss=0.1, jitter_ms=5.0), 500) for seed in ("7", "7", "8"))
    assert one == same
    assert one != other


def test_another_impairment_does_not_change_who_is_lost() -> None:
    plain = {number for _, number in _sent(_link(loss=0.1, burst=3.0), 2000)}
    mixed = {number for _, number in _sent(_link(loss=0.1, burst=3.0, jitter_ms=4.0, duplicate=0.1, reorder=0.1), 2000)}
    assert plain == mixed


def test_a_restart_repeats_the_fates_and_begins_to_count_anew() -> None:
    link = _link(loss=0.2)
    first = [number for _, number in _sent(link, 500)]
    link.restart("1", START_NS)
    assert link.numbers(START_NS)["arrived"] == 0
    assert [number for _, number in _sent(link, 500)] == first


def test_a_rate_spaces_packets_as_a_wire_does() -> None:
    # 1000 bytes at 800 kbit/s take 10 ms.
    link = _link(rate_kbps=800.0, queue_ms=1000.0, delay_ms=5.0)
    arrivals = _sent(link, 20)
    assert [at_ns for at_ns, _ in arrivals] == [START_NS + (10 * number + 15) * MS for number in range(20)]


def test_a_full_queue_drops_what_comes_and_nothing_else() -> None:
    link = _link(rate_kbps=800.0, queue_ms=100.0)
    for number in range(30):
        link.arrive(_packet(number), START_NS)
    assert [number for _, number in _drain(link)] == list(range(10))
    figures = link.numbers(START_NS + S)
    assert figures["dropped"] == {"loss": 0, "queue": 20, "cut": 0}
    assert figures["queue_ms"]["max"] == 100


def test_the_standing_queue_is_told_over_time() -> None:
    # Twice the rate for a second fills the queue to 500 ms, then nothing comes.
    link = _link(rate_kbps=800.0, queue_ms=500.0)
    _sent(link, 200, every_ns=5 * MS)
    figures = link.numbers(START_NS + 2 * S)["queue_ms"]
    assert 480 <= figures["max"] <= 500
    assert 150 < figures["mean"] < 350
    assert figures["mean"] < figures["p95"] <= figures["max"]


def test_a_line_without_a_rate_has_no_queue() -> None:
    link = _link(delay_ms=1.0)
    _sent(link, 100)
    assert link.numbers(START_NS + S)["queue_ms"] is None


def test_a_new_rate_serves_what_is_in_the_queue() -> None:
    link = _link(rate_kbps=800.0, queue_ms=1000.0)
    for number in range(4):
        link.arrive(_packet(number), START_NS)
    # Half of the first packet is on the wire; from now on it takes half the time.
    link.set(LinkSettings(rate_kbps=1600.0, queue_ms=1000.0), START_NS + 5 * MS)
    assert [at_ns - START_NS for at_ns, _ in _drain(link)] == [round(ms * MS) for ms in (7.5, 12.5, 17.5, 22.5)]


def test_without_its_rate_a_line_lets_the_queue_go() -> None:
    link = _link(rate_kbps=8.0, queue_ms=10_000.0)
    for number in range(5):
        link.arrive(_packet(number), START_NS)
    link.set(LinkSettings(), START_NS + MS)
    assert [(at_ns - START_NS, number) for at_ns, number in _drain(link)] == [(MS, number) for number in range(5)]


def test_a_pulled_cable_lets_nothing_through_and_a_plugged_one_everything() -> None:
    link = _link(delay_ms=10.0)
    link.arrive(_packet(0), START_NS)
    link.cut(on=True)
    link.arrive(_packet(1), START_NS + MS)
    link.cut(on=False)
    link.arrive(_packet(2), START_NS + 2 * MS)
    # What was beyond the break arrives.
    assert [number for _, number in _drain(link)] == [0, 2]
    assert link.numbers(START_NS + S)["dropped"]["cut"] == 1


def test_cuts_come_by_the_schedule_again_and_again() -> None:
    link = _link(cuts=((0.2, 0.3), (0.5, 0.6)), cut_period_s=1.0)
    arrived = {number for _, number in _sent(link, 2000)}
    lost = [number for number in range(2000) if number not in arrived]
    assert lost == [n for n in range(2000) if 200 <= n % 1000 < 300 or 500 <= n % 1000 < 600]


def test_duplicates_and_stragglers_are_counted() -> None:
    link = _link(delay_ms=5.0, duplicate=0.1, reorder=0.1, reorder_ms=4.0)
    arrivals = _sent(link, 1000)
    figures = link.numbers(START_NS + 10 * S)
    assert figures["duplicated"] == len(arrivals) - 1000
    assert 60 < figures["duplicated"] < 140
    assert figures["reordered"] >= sum(later < earlier for (_, earlier), (_, later) in pairwise(arrivals)) > 50


_SETTINGS = st.builds(
    LinkSettings,
    delay_ms=st.floats(0, 100),
    jitter_ms=st.floats(0, 30),
    jitter_reorders=st.booleans(),
    loss=st.floats(0, 0.4),
    burst=st.floats(1, 8),
    reorder=st.floats(0, 0.3),
    duplicate=st.floats(0, 0.3),
    rate_kbps=st.none() | st.floats(50, 10_000),
    queue_ms=st.floats(10, 500),
)
_TIMES = st.lists(st.tuples(st.integers(0, 20 * MS), st.integers(40, 1400)), max_size=60)


@given(settings=_SETTINGS, packets=_TIMES, later=_SETTINGS)
def test_every_packet_is_delivered_or_dropped_for_a_reason(
    settings: LinkSettings, packets: list[tuple[int, int]], later: LinkSettings
) -> None:
    link = Link(settings, "1", START_NS)
    now_ns, out = START_NS, []
    for number, (pause_ns, size) in enumerate(packets):
        now_ns += pause_ns
        if number == len(packets) // 2:
            link.set(later, now_ns)
        link.arrive(_packet(number, size), now_ns)
        out += [_number(packet) for packet in link.take(now_ns)]
    out += [number for _, number in _drain(link)]
    figures = link.numbers(now_ns + 60 * S)
    assert len(out) == figures["delivered"]
    assert figures["arrived"] + figures["duplicated"] == figures["delivered"] + sum(figures["dropped"].values())
    assert set(out) <= set(range(len(packets)))


@given(settings=_SETTINGS, packets=_TIMES)
def test_who_looks_late_finds_what_who_looks_in_time_has_got(
    settings: LinkSettings, packets: list[tuple[int, int]]
) -> None:
    def run(*, punctual: bool) -> list[int]:
        link = Link(settings, "1", START_NS)
        now_ns, out = START_NS, []
        for number, (pause_ns, size) in enumerate(packets):
            now_ns += pause_ns
            while punctual and (at_ns := link.next_ns()) is not None and at_ns <= now_ns:
                out += link.take(at_ns)
            link.arrive(_packet(number, size), now_ns)
        return [_number(packet) for packet in out] + [_number(packet) for packet in link.take(now_ns + 600 * S)]

    assert run(punctual=True) == run(punctual=False)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"loss": 1.5}, "loss is a probability"),
        ({"delay_ms": -1.0}, "delay_ms cannot be negative"),
        ({"burst": 0.5}, "burst is a mean number"),
        ({"loss": 0.95, "burst": 4.0}, "cannot lose so much"),
        ({"rate_kbps": 0.0}, "rate_kbps is above 0"),
        ({"cuts": ((3.0, 2.0),)}, "a cut is"),
    ],
)
def test_a_line_that_cannot_be_is_refused(settings: dict[str, float], words: str) -> None:
    with pytest.raises(LineError, match=words):
        replace(LinkSettings(), **settings)  # type: ignore[arg-type]


def test_the_profiles_that_lose_five_percent_do() -> None:
    for name in ("loss5", "burst5"):
        settings = PROFILES[name].up
        assert (settings.loss, settings.delay_ms) == (0.05, 40.0)
        lost = 20_000 - len(_sent(Link(settings, "3", START_NS), 20_000))
        assert 800 < lost < 1200
