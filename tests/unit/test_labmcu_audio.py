"""The lab MCU's sound: N-1 mixes, limiting, and the pace of 20 ms."""

import numpy as np
import pytest

from appliance.labmcu.audio_mixer import Pace, Samples, level_dbfs, limit, mix
from appliance.media.values import BLOCK_NS, BLOCK_SAMPLES, SAMPLE_RATE


def tone(hertz: float, amplitude: int = 6000) -> Samples:
    time_s = np.arange(BLOCK_SAMPLES) / SAMPLE_RATE
    return (amplitude * np.sin(2 * np.pi * hertz * time_s)).astype(np.int16)


def strength(samples: Samples, hertz: float) -> float:
    time_s = np.arange(BLOCK_SAMPLES) / SAMPLE_RATE
    return float(abs(np.dot(samples, np.exp(-2j * np.pi * hertz * time_s))) * 2 / BLOCK_SAMPLES)


ROOM = {"Xã An Phú": tone(500), "Xã Tân Lập": tone(1000), "Phường Bến Nghé": tone(1500)}


def test_a_listener_hears_everybody_but_itself() -> None:
    heard = mix(ROOM, ROOM)
    for name, hertz in zip(ROOM, (500, 1000, 1500), strict=True):
        assert strength(heard[name], hertz) < 5
        for other in {500, 1000, 1500} - {hertz}:
            assert strength(heard[name], other) == pytest.approx(6000, rel=0.01)


def test_the_mix_of_quiet_sounds_is_exact() -> None:
    heard = mix(ROOM, ROOM)
    assert np.array_equal(heard["Xã An Phú"], ROOM["Xã Tân Lập"] + ROOM["Phường Bến Nghé"])


def test_somebody_who_only_listens_hears_all() -> None:
    heard = mix(ROOM, ["web-1", "web-2"])
    assert np.array_equal(heard["web-1"], limit(sum(block.astype(np.int32) for block in ROOM.values())))
    assert np.array_equal(heard["web-1"], heard["web-2"])


def test_alone_in_the_room_is_silence() -> None:
    assert not mix({"a": tone(500)}, ["a"])["a"].any()
    assert not mix({}, ["a"])["a"].any()


def test_a_quiet_listener_next_to_one_without_sound_of_its_own_is_not_mixed_up() -> None:
    heard = mix(ROOM, ["web", "Xã An Phú", "web-2"])
    assert strength(heard["Xã An Phú"], 500) < 5
    assert strength(heard["web-2"], 500) == pytest.approx(6000, rel=0.01)


def test_the_echo_brings_ones_own_sound_back_within_the_same_block() -> None:
    own = tone(500)
    assert np.array_equal(mix({"a": own}, ["a"], echo=True)["a"], own)


def test_the_echo_adds_to_what_the_others_say() -> None:
    heard = mix({"a": tone(500), "b": tone(1000)}, ["a"], echo=True)["a"]
    assert strength(heard, 500) == pytest.approx(6000, rel=0.01)
    assert strength(heard, 1000) == pytest.approx(12000, rel=0.01)


def test_loud_sound_is_bent_and_never_clipped_or_wrapped() -> None:
    loudest = np.full(BLOCK_SAMPLES, 32767, np.int16)
    heard = mix({str(n): loudest for n in range(9)}, ["web"])["web"]
    assert heard.min() > 32000
    lowest = np.full(BLOCK_SAMPLES, -32768, np.int16)
    assert mix({str(n): lowest for n in range(9)}, ["web"])["web"].max() < -32000


def test_limiting_keeps_the_order_of_loudness() -> None:
    ramp = np.arange(-80_000, 80_001, 100, dtype=np.int32)
    bent = limit(ramp).astype(np.int32)
    assert (np.diff(bent) >= 0).all()
    quiet = abs(ramp) <= 24_576
    assert np.array_equal(bent[quiet], ramp[quiet])


def test_the_level_is_relative_to_full_scale() -> None:
    assert level_dbfs(np.zeros(BLOCK_SAMPLES, np.int16)) == -100
    assert level_dbfs(np.full(BLOCK_SAMPLES, -32768, np.int16)) == pytest.approx(0)
    assert level_dbfs(tone(1000, 16384)) == pytest.approx(-9.03, abs=0.05)


def run_ticks(pace: Pace, now_ns: int, count: int) -> tuple[list[int], list[int], int]:
    """Wait exactly as long as asked; the ticks' times, and the moments at which they ran."""
    ticks, moments = [], []
    for _ in range(count):
        now_ns += pace.wait_ns(now_ns)
        moments.append(now_ns)
        ticks.append(pace.take(now_ns))
    return ticks, moments, now_ns


def test_ticks_are_20_ms_apart_however_late_each_one_runs() -> None:
    pace = Pace(0)
    now_ns = 0
    ticks = []
    for late_ns in (0, 3_000_000, 7_000_000, 0, 9_999_999):
        now_ns += pace.wait_ns(now_ns) + late_ns
        ticks.append(pace.take(now_ns))
    assert ticks == [BLOCK_NS * n for n in range(5)]
    assert pace.skipped == 0


def test_after_a_short_stall_the_missed_ticks_are_made_up_without_a_burst() -> None:
    pace = Pace(0)
    _, _, now_ns = run_ticks(pace, 0, 3)
    ticks, moments, now_ns = run_ticks(pace, now_ns + 4 * BLOCK_NS, 8)
    assert ticks == [BLOCK_NS * n for n in range(3, 11)]
    assert min(np.diff(moments)) >= BLOCK_NS // 2
    assert now_ns == ticks[-1]
    assert pace.skipped == 0


def test_after_a_long_stall_old_ticks_are_skipped_and_counted() -> None:
    pace = Pace(0)
    _, _, now_ns = run_ticks(pace, 0, 1)
    ticks, moments, _ = run_ticks(pace, now_ns + 50 * BLOCK_NS, 3)
    assert ticks[0] == 50 * BLOCK_NS
    assert pace.skipped == 49
    assert min(np.diff(moments)) >= BLOCK_NS // 2
