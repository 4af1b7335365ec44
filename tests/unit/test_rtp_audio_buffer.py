"""The sound's jitter buffer: no gap, little delay, drift followed, losses hidden."""

import heapq
import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from appliance.media.values import BLOCK_BYTES
from appliance.rtp.audio_buffer import MAX_PACKETS, AudioBuffer
from appliance.rtp.opus import OpusDecoder, OpusEncoder, OpusError

MS = 1_000_000
TONE_HZ = 450.0  # nine periods a block: block borders are no steps, whatever follows
TOC = bytes((0x78,))  # 20 ms, hybrid, one frame


def tone(index: int) -> bytes:
    """20 ms of a tone; its loudness tells the block."""
    phase = 2 * np.pi * TONE_HZ * (np.arange(960) + 960 * index) / 48_000
    return ((6000 + 250 * (index % 9)) * np.sin(phase)).astype("<i2").tobytes()


class ToneDecoder:
    """Stands for Opus: a packet's number is in its bytes, and its sound is the tone at that time."""

    def __init__(self) -> None:
        self.concealed = 0
        self.redundant = 0
        self._last = 0

    def decode(self, packet: bytes | None, *, fec: bool = False) -> bytes:
        if packet is None:
            self.concealed += 1
            self._last += 1
        else:
            self._last = int.from_bytes(packet[2:6], "big") - (1 if fec else 0)
            self.redundant += fec
        return tone(self._last)


def packet(index: int, *, redundant: bool = False) -> bytes:
    return TOC + (b"\x40" if redundant else b"\0") + index.to_bytes(4, "big")


@dataclass
class Call:
    """Packets each 20 ms of the sender's clock, pulls each 20 ms of the speaker's."""

    seconds: float
    fate: Callable[[int], float | None] = lambda index: 0.0
    drift_ppm: float = 0.0
    phase_ms: float = 5.0
    redundant: bool = False
    wanted_ms: Callable[[float], float | None] | None = None  # what the picture wants at a time (s)
    buffer: AudioBuffer = field(init=False)
    decoder: ToneDecoder = field(init=False)
    sound: npt.NDArray[np.int16] = field(init=False)
    delays_ms: list[float] = field(default_factory=list)
    nothing: int = 0

    def run(self) -> "Call":
        self.decoder = ToneDecoder()
        self.buffer = AudioBuffer(self.decoder)
        events: list[tuple[int, int, int]] = []
        order = itertools.count()
        count = int(self.seconds * 50)
        for index in range(count):
            late_ms = self.fate(index)
            if late_ms is not None:
                heapq.heappush(events, (int((20 * index + late_ms) * MS), next(order), index))
        step_ns = int(20 * MS * (1 + self.drift_ppm * 1e-6))
        blocks = []
        now_ns = int(self.phase_ms * MS)
        # The last packets stay unheard: a slow speaker must not run into the end.
        for _ in range(count - 20):
            while events and events[0][0] <= now_ns:
                at_ns, _, index = heapq.heappop(events)
                self.buffer.insert(
                    (60_000 + index) & 0xFFFF,
                    (0xFFFF_0000 + 960 * index) & 0xFFFFFFFF,
                    packet(index, redundant=self.redundant),
                    at_ns,
                )
            pulled = self.buffer.pull(now_ns)
            if pulled is None:
                self.nothing += 1
            else:
                assert len(pulled.samples) == BLOCK_BYTES
                blocks.append(np.frombuffer(pulled.samples, np.int16))
                media_ms = ((pulled.timestamp - 0xFFFF_0000) & 0xFFFFFFFF) / 48
                self.delays_ms.append(now_ns / MS - media_ms)
                if self.wanted_ms is not None:
                    wanted_ms = self.wanted_ms(now_ns / 1e9)
                    wanted_ns = None if wanted_ms is None else int(wanted_ms * MS)
                    self.buffer.follow(wanted_ns, int(self.delays_ms[-1] * MS))
            now_ns += step_ns
        self.sound = np.concatenate(blocks)
        return self

    def numbers(self) -> dict[str, int]:
        return self.buffer.numbers()

    def largest_step(self) -> int:
        """A click is a step between two samples larger than the tone has."""
        return int(np.abs(np.diff(self.sound.astype(np.int32))).max())


TONE_STEP = 8000 * 2 * np.pi * TONE_HZ / 48_000


def test_a_clean_line_is_played_as_it_is_and_at_once() -> None:
    call = Call(10).run()
    assert call.nothing == 0
    # From the tone's first millisecond, which fades in.
    expected = np.concatenate([np.frombuffer(tone(index), np.int16) for index in range(480)])
    assert np.array_equal(call.sound[480:], expected[480:])
    assert max(call.delays_ms) == 5.0
    assert call.numbers()["buffer_ms"] == 5.0


@pytest.mark.parametrize("drift_ppm", [200.0, -200.0])
def test_drifting_clocks_are_followed_without_a_gap_or_a_click(drift_ppm: float) -> None:
    call = Call(600, drift_ppm=drift_ppm).run()
    numbers = call.numbers()
    assert numbers["underruns"] == numbers["concealed"] == numbers["late"] == numbers["discarded"] == 0
    assert call.nothing == 0
    # 200 ppm of 600 s are 120 ms.
    corrected = numbers["removed_ms"] if drift_ppm > 0 else numbers["inserted_ms"]
    assert 100 <= corrected <= 140
    assert min(call.delays_ms) > 0
    assert max(call.delays_ms) < 50
    assert call.largest_step() < 1.3 * TONE_STEP


@pytest.mark.parametrize("phase_ms", [0.2, 1.0, 3.0, 10.0, 19.9])
def test_on_a_clean_line_sound_waits_at_most_one_packet_whatever_the_phase(phase_ms: float) -> None:
    call = Call(20, phase_ms=phase_ms).run()
    assert call.numbers()["underruns"] == 0
    assert max(call.delays_ms[50:]) < 22
    assert call.largest_step() < 1.3 * TONE_STEP


def test_jitter_is_learned_and_then_no_longer_heard() -> None:
    rng = random.Random(1)
    call = Call(60, fate=lambda index: rng.uniform(0, 50)).run()
    numbers = call.numbers()
    assert numbers["underruns"] <= 8
    assert max(call.delays_ms[500:]) < 100
    assert call.largest_step() < 3 * TONE_STEP


def test_after_a_bad_spell_the_delay_shrinks_again_unheard() -> None:
    rng = random.Random(2)
    call = Call(60, fate=lambda index: rng.uniform(0, 60) if index < 500 else 0.0).run()
    assert max(call.delays_ms[:500]) > 40
    assert max(call.delays_ms[-500:]) < 30
    assert call.numbers()["removed_ms"] > 0


def test_single_losses_are_repaired_from_the_next_packet() -> None:
    call = Call(60, fate=lambda index: None if index % 20 == 10 else 0.0, redundant=True).run()
    numbers = call.numbers()
    # After the first ones the delay is long enough for the next packet to be there.
    assert numbers["fec_used"] >= 140
    assert numbers["concealed"] <= 4
    assert max(call.delays_ms) < 50
    assert call.largest_step() < 3 * TONE_STEP


def test_without_redundancy_losses_are_concealed_and_cost_no_delay() -> None:
    call = Call(20, fate=lambda index: None if index % 20 == 10 else 0.0).run()
    assert call.numbers()["fec_used"] == 0
    assert 45 <= call.numbers()["concealed"] <= 52
    assert max(call.delays_ms) < 30


def test_when_packets_stop_the_sound_fades_and_then_there_is_none() -> None:
    call = Call(5, fate=lambda index: 0.0 if index < 50 else None).run()
    blocks = call.sound.reshape(-1, 960)
    assert np.abs(blocks[52]).max() > 4000
    assert np.abs(blocks[60]).max() == 0
    # After a second nothing is claimed any more.
    assert call.nothing > 100
    assert call.largest_step() < 1.3 * TONE_STEP


def test_after_a_stall_old_sound_is_left_out_and_the_delay_is_small_again() -> None:
    def stall(index: int) -> float:
        return 600.0 - 20 * (index - 100) if 100 <= index < 130 else 0.0

    call = Call(10, fate=stall).run()
    assert call.numbers()["discarded"] > 20
    assert max(call.delays_ms[-100:]) < 50
    assert call.largest_step() < 3 * TONE_STEP


def test_what_piled_up_before_somebody_listened_is_not_played() -> None:
    buffer = AudioBuffer(ToneDecoder())
    for index in range(200):
        buffer.insert(index, index * 960, packet(index), index * 20 * MS)
    assert buffer.numbers()["queued"] <= MAX_PACKETS
    pulled = buffer.pull(200 * 20 * MS)
    assert pulled is not None
    assert pulled.timestamp == 199 * 960


def test_reordered_and_repeated_packets_are_put_right() -> None:
    order = [0, 2, 1, 3, 3, 5, 4, 6]
    buffer = AudioBuffer(ToneDecoder())
    for position, index in enumerate(order):
        buffer.insert(index, index * 960, packet(index), position * MS)
        if position == 0:
            assert buffer.pull(2 * MS) is not None
    heard = [buffer.pull(100 * MS) for _ in range(6)]
    assert [pulled.samples for pulled in heard if pulled] == [tone(index) for index in range(1, 7)]
    assert buffer.numbers()["duplicate"] == 1
    buffer.insert(2, 2 * 960, packet(2), 200 * MS)
    assert buffer.numbers()["late"] == 1


def test_a_pause_of_the_speaker_is_no_loss() -> None:
    buffer = AudioBuffer(ToneDecoder())
    now = 0
    sequence = 0
    for burst in range(3):
        for index in range(10):
            buffer.insert(sequence, (burst * 30 + index) * 960, packet(sequence), now)
            sequence += 1
            assert buffer.pull(now + 5 * MS) is not None
            now += 20 * MS
        # Discontinuous transmission: one packet says that silence follows.
        buffer.insert(sequence, (burst * 30 + 10) * 960, TOC, now)
        sequence += 1
        for _ in range(20):
            assert buffer.pull(now + 5 * MS) is not None
            now += 20 * MS
    numbers = buffer.numbers()
    assert numbers["concealed"] == numbers["underruns"] == numbers["fec_used"] == 0


def test_another_stream_is_played_from_its_beginning() -> None:
    buffer = AudioBuffer(ToneDecoder())
    buffer.insert(0, 0, packet(0), 0)
    assert buffer.pull(5 * MS) is not None
    buffer.restart()
    assert buffer.pull(25 * MS) is None
    buffer.insert(9, 77, packet(5), 30 * MS)
    pulled = buffer.pull(45 * MS)
    assert pulled is not None
    assert pulled.timestamp == 77


def test_a_packet_that_opus_refuses_is_counted_and_silent() -> None:
    class Refusing:
        def decode(self, packet: bytes | None, *, fec: bool = False) -> bytes:
            raise OpusError("corrupted stream")

    buffer = AudioBuffer(Refusing())
    buffer.insert(0, 0, packet(0), 0)
    pulled = buffer.pull(5 * MS)
    assert pulled is not None
    assert pulled.samples == bytes(BLOCK_BYTES)
    assert buffer.numbers()["decode_errors"] == 1


# Packets of 10 and 60 ms far apart.
@example([(0, 0, b"\x00", 0), (0, 1, b"\x19", 0), *[(0, 0, b"", 0)] * 5, (0, 5761, b"\x00", 0)])
@settings(max_examples=80)
@given(
    st.lists(
        st.tuples(st.integers(0, 65_535), st.integers(0, 2**32 - 1), st.binary(max_size=20), st.integers(0, 10**9)),
        max_size=60,
    )
)
def test_random_packets_through_the_real_decoder_never_raise(packets: list[tuple[int, int, bytes, int]]) -> None:
    buffer = AudioBuffer(OpusDecoder())
    now = 0
    for sequence, timestamp, payload, later in packets:
        now += later
        buffer.insert(sequence, timestamp % 20_000, payload, now)
        for _ in range(2):
            pulled = buffer.pull(now)
            assert pulled is None or len(pulled.samples) == BLOCK_BYTES
    assert buffer.numbers()["queued"] <= MAX_PACKETS


@settings(max_examples=25)
@given(seed=st.integers(0, 2**32), loss=st.floats(0, 0.5), jitter=st.floats(0, 150), drift=st.floats(-300, 300))
def test_on_any_line_the_delay_is_bounded_and_the_speaker_is_fed(
    seed: int, loss: float, jitter: float, drift: float
) -> None:
    rng = random.Random(seed)
    call = Call(30, lambda index: None if rng.random() < loss else rng.uniform(0, jitter), drift, redundant=True).run()
    assert call.nothing < 60
    assert max(call.delays_ms) < 1000
    assert sorted(call.delays_ms)[len(call.delays_ms) // 2] < 120 + 2 * jitter


def voice(seconds: int) -> npt.NDArray[np.int16]:
    """Something that Opus takes for speech: harmonics of a wandering pitch, two formants, syllables."""
    time = np.arange(seconds * 48_000) / 48_000
    phase = 2 * np.pi * np.cumsum(120 + 15 * np.sin(2 * np.pi * 0.7 * time)) / 48_000
    sound = np.zeros(len(time))
    for number in range(1, 25):
        loudness = np.exp(-(((number * 120 - 600) / 500) ** 2)) + 0.4 * np.exp(-(((number * 120 - 1800) / 400) ** 2))
        sound += loudness * np.sin(number * phase)
    sound *= 0.6 + 0.4 * np.sin(2 * np.pi * 3 * time)
    return (sound / np.abs(sound).max() * 10_000).astype("<i2")


def heard_after(sound: npt.NDArray[np.int16], lost: set[int]) -> tuple[npt.NDArray[np.float64], dict[str, int]]:
    """Loudness of each block as heard, and the counters."""
    encoder, buffer = OpusEncoder(expected_loss_percent=20), AudioBuffer(OpusDecoder())
    loudness = []
    for index in range(len(sound) // 960):
        encoded = encoder.encode(sound[960 * index : 960 * (index + 1)].tobytes())
        if index not in lost:
            buffer.insert(index, index * 960, encoded, index * 20 * MS)
        pulled = buffer.pull((index * 20 + 6) * MS)
        assert pulled is not None
        loudness.append(float(np.abs(np.frombuffer(pulled.samples, np.int16)).mean()))
    return np.array(loudness), buffer.numbers()


def test_speech_through_the_real_codec_is_whole_after_losses() -> None:
    sound = voice(8)
    rng = random.Random(5)
    lost = {index for index in range(10, 390) if rng.random() < 0.1}
    whole, _ = heard_after(sound, set())
    heard, numbers = heard_after(sound, lost)
    assert numbers["fec_used"] > len(lost) // 2
    assert heard.mean() > 0.9 * whole.mean()
    assert (heard < whole.min() / 3).sum() <= 3


def settled(call: Call, seconds: float) -> float:
    """The delay (ms) at that time."""
    return call.delays_ms[int(seconds * 50)]


def test_sound_waits_for_its_picture_and_hurries_when_it_need_no_longer() -> None:
    call = Call(60, wanted_ms=lambda now_s: 180.0 if 10 <= now_s < 30 else 20.0).run()
    assert settled(call, 9.9) < 25
    # A sixth slower, nobody hears it: 1 s for 160 ms.
    assert settled(call, 11.5) > 165
    assert all(165 <= delay <= 205 for delay in call.delays_ms[12 * 50 : 30 * 50])
    assert settled(call, 33) < 90
    assert settled(call, 55) < 30
    numbers = call.numbers()
    assert numbers["concealed"] == numbers["underruns"] == numbers["late"] == numbers["discarded"] == 0
    assert call.nothing == 0
    assert call.largest_step() < 1.3 * TONE_STEP


def test_when_the_picture_ceases_the_sound_waits_no_longer() -> None:
    call = Call(60, wanted_ms=lambda now_s: 180.0 if now_s < 20 else None).run()
    assert settled(call, 19) > 165
    assert settled(call, 50) < 30


def test_the_delay_changes_gently() -> None:
    call = Call(40, wanted_ms=lambda now_s: 200.0 if now_s < 20 else 20.0).run()
    # In any half second by a fifth of it at most.
    changes = [abs(after - before) for before, after in zip(call.delays_ms, call.delays_ms[25:], strict=False)]
    assert max(changes) <= 100


def test_a_small_wish_delays_no_sound() -> None:
    call = Call(20, phase_ms=5.0, wanted_ms=lambda now_s: 12.0).run()
    assert max(call.delays_ms) == 5.0


def test_a_picture_whose_clock_does_not_fit_does_not_hold_up_the_sound() -> None:
    call = Call(20, wanted_ms=lambda now_s: 20.0 if now_s < 5 else 4000.0).run()
    assert max(call.delays_ms) < 30


def test_a_long_delay_is_no_backlog() -> None:
    rng = random.Random(4)
    call = Call(40, fate=lambda index: rng.uniform(0, 60), wanted_ms=lambda now_s: 300.0 if now_s < 25 else 40.0).run()
    assert call.numbers()["discarded"] == 0
    assert call.numbers()["underruns"] <= 6


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    loss=st.floats(0, 0.2),
    jitter=st.floats(0, 80),
    drift=st.floats(-200, 200),
    wishes=st.lists(st.floats(0, 400), min_size=1, max_size=6),
)
def test_whatever_the_picture_wants_the_speaker_is_fed_and_the_delay_is_in_reason(
    seed: int, loss: float, jitter: float, drift: float, wishes: list[float]
) -> None:
    rng = random.Random(seed)
    call = Call(
        30,
        lambda index: None if rng.random() < loss else rng.uniform(0, jitter),
        drift,
        redundant=True,
        wanted_ms=lambda now_s: wishes[int(now_s / 5) % len(wishes)],
    ).run()
    assert call.nothing < 60
    assert max(call.delays_ms) < max(wishes) + 3 * jitter + 200
