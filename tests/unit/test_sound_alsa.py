"""Sound cards: real libasound through its user-space plug-ins, and what only a card does through a fake of it."""

import errno
import subprocess
import sys
import threading
from array import array
from itertools import pairwise
from pathlib import Path

import alsaaudio
import pytest

from appliance.errors import DeviceError
from appliance.media.alsa import CapturePcm, PlaybackPcm, list_devices
from appliance.media.sample_clock import SampleClock
from appliance.media.values import BLOCK_BYTES, BLOCK_NS, BLOCK_SAMPLES, SILENCE

from .sound_fakes import FakeCard, StoppingAfter, TurnedClock

WITH_ALSA = """
import sys, threading
from appliance.media import alsa
from appliance.media.clock import MediaClock
from appliance.errors import DeviceError
stop = threading.Event()
"""


def through_libasound(folder: Path, script: str) -> str:
    """Run `script` in a fresh interpreter: libasound reads its configuration once."""
    config = folder / "asoundrc"
    config.write_text(
        f"""
        pcm.nothing {{ type null }}
        pcm.room_microphone {{ type file slave.pcm "nothing" file "/dev/null" infile "{folder}/in.raw" format "raw" }}
        pcm.room_speaker {{ type file slave.pcm "nothing" file "{folder}/out.raw" format "raw" }}
        pcm.cd_speaker {{ type plug slave {{ pcm "room_speaker" rate 44100 channels 2 }} }}
        """
    )
    done = subprocess.run(
        [sys.executable, "-c", WITH_ALSA + script],
        env={"ALSA_CONFIG_PATH": str(config), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == "", "libasound must not write to the log by itself"
    return done.stdout.strip()


def test_libasound_gives_what_the_microphone_says(tmp_path: Path) -> None:
    ramp = array("h", (index % 20_000 for index in range(20 * BLOCK_SAMPLES)))
    (tmp_path / "in.raw").write_bytes(ramp.tobytes())
    script = f"""
pcm = alsa.CapturePcm("room_microphone", MediaClock())
blocks = [pcm.read(stop) for _ in range(10)]
pcm.close()
open({str(tmp_path / "got.raw")!r}, "wb").write(b"".join(block.samples for block in blocks))
print(pcm.channels, len(blocks), {{len(block.samples) for block in blocks}}, pcm.xruns)
"""
    assert through_libasound(tmp_path, script) == f"1 10 {{{BLOCK_BYTES}}} 0"
    assert (tmp_path / "got.raw").read_bytes() == ramp[: 10 * BLOCK_SAMPLES].tobytes()


def test_libasound_plays_what_it_is_given(tmp_path: Path) -> None:
    script = """
pcm = alsa.PlaybackPcm("room_speaker", MediaClock())
for number in range(5):
    pcm.write((number + 1).to_bytes(2, "little") * 960)
    pcm.wait_for_room(stop)
pcm.close()
print(pcm.channels, pcm.xruns)
"""
    assert through_libasound(tmp_path, script) == "1 0"
    played = array("h", (tmp_path / "out.raw").read_bytes())
    assert played == array("h", (number + 1 for number in range(5) for _ in range(960)))


def test_libasound_converts_where_the_name_asks_for_it(tmp_path: Path) -> None:
    script = """
pcm = alsa.PlaybackPcm("cd_speaker", MediaClock())
for number in range(10):
    pcm.write(b"\\x10\\x00" * 960)
pcm.close()
print(pcm.channels)
"""
    assert through_libasound(tmp_path, script) == "1"
    frames = len((tmp_path / "out.raw").read_bytes()) / 4
    # 200 ms at 44.1 kHz, but for what was still in the converter.
    assert 0.7 * 8820 < frames <= 8820 * 1.01


def test_a_missing_card_is_an_error_in_our_words(tmp_path: Path) -> None:
    script = """
for open_it in (alsa.CapturePcm, alsa.PlaybackPcm):
    try:
        open_it("hw:CARD=Jabra", MediaClock())
    except DeviceError as error:
        print(error.problem, "|", error)
"""
    lines = through_libasound(tmp_path, script).splitlines()
    assert [line.split(" | ")[0] for line in lines] == ["microphone-missing", "speaker-missing"]
    assert all("'hw:CARD=Jabra' cannot be used" in line and "check its cable" in line for line in lines)


def test_what_runs_faster_than_time_is_refused(tmp_path: Path) -> None:
    script = """
pcm = alsa.PlaybackPcm("room_speaker", MediaClock())
try:
    for number in range(1000):
        pcm.write(bytes(1920))
        pcm.wait_for_room(stop)
except DeviceError as error:
    print(number > 40, error.problem, "faster than time" in str(error))
"""
    assert through_libasound(tmp_path, script) == "True speaker-missing True"


def test_devices_are_listed_by_name(tmp_path: Path) -> None:
    assert through_libasound(tmp_path, "print(alsa.list_devices('microphone'))") == "[]"


@pytest.fixture
def clock() -> TurnedClock:
    return TurnedClock()


@pytest.fixture
def card(clock: TurnedClock) -> FakeCard:
    return FakeCard(clock)


@pytest.fixture
def stop() -> threading.Event:
    return threading.Event()


def recorded(card: FakeCard, clock: TurnedClock, monkeypatch: pytest.MonkeyPatch) -> CapturePcm:
    """A microphone whose waiting turns the clock."""
    pcm = CapturePcm("hw:CARD=Fake", clock, card.open)
    monkeypatch.setattr(pcm, "_wait", lambda: clock.turn(5))
    return pcm


@pytest.mark.parametrize("name", ["hw:0", "hw:1,0", "plughw:2", "hw:CARD=1,DEV=0", "dsnoop:0,0"])
def test_a_card_is_never_named_by_its_number(name: str, clock: TurnedClock, card: FakeCard) -> None:
    with pytest.raises(DeviceError, match="numbers of cards change"):
        CapturePcm(name, clock, card.open)
    assert card.opened == []


def test_cards_are_opened_without_blocking_in_mono_with_20_ms(clock: TurnedClock, card: FakeCard) -> None:
    pcm = PlaybackPcm("hw:CARD=Fake", clock, card.open)
    assert pcm.channels == 1
    (wanted,) = card.opened
    assert wanted["mode"] == alsaaudio.PCM_NONBLOCK
    assert (wanted["rate"], wanted["channels"], wanted["periodsize"]) == (48_000, 1, BLOCK_SAMPLES)


def test_a_stereo_microphone_is_mixed_to_mono(
    clock: TurnedClock, stop: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = FakeCard(clock, channels=(2,))
    pcm = recorded(card, clock, monkeypatch)
    block = pcm.read(stop)
    assert block is not None
    assert pcm.channels == 2
    assert array("h", block.samples) == array("h", range(BLOCK_SAMPLES))


def test_a_stereo_speaker_gets_the_same_on_both_sides(clock: TurnedClock) -> None:
    card = FakeCard(clock, channels=(2,))
    pcm = PlaybackPcm("hw:CARD=Fake", clock, card.open)
    pcm.write(array("h", range(BLOCK_SAMPLES)).tobytes())
    assert card.pcm is not None
    frames = array("h", bytes(card.pcm.written))
    assert frames[::2] == frames[1::2] == array("h", range(BLOCK_SAMPLES))


@pytest.mark.parametrize(
    ("rate", "channels", "form"), [(44_100, (1,), "S16_LE"), (48_000, (8,), "S16_LE"), (48_000, (1,), "S32_LE")]
)
def test_what_a_card_cannot_do_is_told_with_the_way_out(
    rate: int, channels: tuple[int, ...], form: str, clock: TurnedClock
) -> None:
    card = FakeCard(clock, channels, rate)
    card.format_name = form
    with pytest.raises(DeviceError, match=f"offers {form} at {rate} Hz with {channels[0]} channels.*plughw") as caught:
        PlaybackPcm("hw:CARD=Fake", clock, card.open)
    assert caught.value.problem == "speaker-missing"
    assert card.pcm is not None
    assert card.pcm.closed


def test_blocks_of_a_microphone_follow_each_other_without_jitter(
    clock: TurnedClock, card: FakeCard, stop: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    began_ns = clock.now_ns()
    pcm = recorded(card, clock, monkeypatch)
    blocks = []
    for number in range(50):
        blocks.append(pcm.read(stop))
        clock.turn(number % 7)  # a thread that comes late
    times = [block.pts_ns for block in blocks if block]
    assert abs(times[0] - began_ns) < 6_000_000
    assert all(abs(b - a - BLOCK_NS) <= 20_000 for a, b in pairwise(times))
    assert abs(times[-1] - (began_ns + 49 * BLOCK_NS)) < 6_000_000


def test_an_overrun_is_counted_and_the_period_after_it_is_silent(
    clock: TurnedClock, card: FakeCard, stop: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    pcm = recorded(card, clock, monkeypatch)
    pcm.read(stop)
    clock.turn(500)
    after = pcm.read(stop)
    later = pcm.read(stop)
    assert pcm.xruns == 1
    assert after is not None
    assert later is not None
    # Silence for what came first; the stream is whole again at the second block.
    assert after.samples[: BLOCK_BYTES // 8] == SILENCE[: BLOCK_BYTES // 8]
    assert later.samples == array("h", range(BLOCK_SAMPLES, 2 * BLOCK_SAMPLES)).tobytes()
    assert abs(later.pts_ns - after.pts_ns - BLOCK_NS) <= 20_000
    assert clock.now_ns() - later.pts_ns < 30_000_000


def test_a_microphone_that_is_pulled_is_missing(
    clock: TurnedClock, card: FakeCard, stop: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    pcm = recorded(card, clock, monkeypatch)
    pcm.read(stop)
    card.plugged = False
    with pytest.raises(DeviceError, match="check its cable") as caught:
        pcm.read(stop)
    assert caught.value.problem == "microphone-missing"


def test_a_microphone_that_says_nothing_for_a_second_is_missing(
    clock: TurnedClock, card: FakeCard, stop: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    pcm = recorded(card, clock, monkeypatch)
    pcm.read(stop)
    card.frozen = True
    began_ns = clock.now_ns()
    with pytest.raises(DeviceError, match="gives no sound"):
        pcm.read(stop)
    assert clock.now_ns() - began_ns < 1_100_000_000


def test_reading_ends_when_it_is_told_to(clock: TurnedClock, card: FakeCard, stop: threading.Event) -> None:
    stop.set()
    assert CapturePcm("hw:CARD=Fake", clock, card.open).read(stop) is None


def test_a_speaker_holds_20_to_40_ms(clock: TurnedClock, card: FakeCard) -> None:
    pcm = PlaybackPcm("hw:CARD=Fake", clock, card.open)
    waiting = StoppingAfter(clock)
    delays = []
    for _ in range(50):
        now_ns = clock.now_ns()
        delays.append(pcm.write(SILENCE) - now_ns)
        pcm.wait_for_room(waiting)  # type: ignore[arg-type]
        clock.turn(2)  # the engine's answer
    assert pcm.xruns == 0
    assert all(15_000_000 <= delay <= 21_000_000 for delay in delays[5:])


def test_an_underrun_is_counted_and_playing_goes_on(clock: TurnedClock, card: FakeCard) -> None:
    pcm = PlaybackPcm("hw:CARD=Fake", clock, card.open)
    pcm.write(SILENCE)
    clock.turn(300)
    heard_ns = pcm.write(b"\x01\x00" * BLOCK_SAMPLES)
    assert pcm.xruns == 1
    assert heard_ns == clock.now_ns() + BLOCK_NS
    assert card.pcm is not None
    assert bytes(card.pcm.written[-2 * BLOCK_BYTES :]) == SILENCE + b"\x01\x00" * BLOCK_SAMPLES


def test_a_machine_that_is_too_busy_to_recover_at_once_has_a_speaker_all_the_same(
    clock: TurnedClock, card: FakeCard, monkeypatch: pytest.MonkeyPatch
) -> None:
    pcm = PlaybackPcm("hw:CARD=Fake", clock, card.open)
    pcm.write(SILENCE)
    assert card.pcm is not None
    real, stalls = card.pcm.write, 3

    def stalled(data: bytes) -> int:
        nonlocal stalls
        if stalls:
            stalls -= 1
            clock.turn(300)
        return real(data)

    monkeypatch.setattr(card.pcm, "write", stalled)
    heard_ns = pcm.write(b"\x01\x00" * BLOCK_SAMPLES)
    assert pcm.xruns > 1
    assert heard_ns == clock.now_ns() + BLOCK_NS
    assert bytes(card.pcm.written[-2 * BLOCK_BYTES :]) == SILENCE + b"\x01\x00" * BLOCK_SAMPLES


def test_a_card_that_underruns_for_ever_is_missing(
    clock: TurnedClock, card: FakeCard, monkeypatch: pytest.MonkeyPatch
) -> None:
    pcm = PlaybackPcm("hw:CARD=Fake", clock, card.open)
    pcm.write(SILENCE)
    assert card.pcm is not None
    monkeypatch.setattr(card.pcm, "write", lambda data: -errno.EPIPE)
    with pytest.raises(DeviceError, match="does not play on"):
        pcm.write(SILENCE)


def test_a_speaker_that_is_pulled_is_missing(clock: TurnedClock, card: FakeCard) -> None:
    pcm = PlaybackPcm("hw:CARD=Fake", clock, card.open)
    pcm.write(SILENCE)
    card.plugged = False
    for use in (lambda: pcm.write(SILENCE), lambda: pcm.wait_for_room(threading.Event())):
        with pytest.raises(DeviceError, match="check its cable") as caught:
            use()
        assert caught.value.problem == "speaker-missing"


def test_a_speaker_that_stands_still_for_a_second_is_missing(clock: TurnedClock, card: FakeCard) -> None:
    pcm = PlaybackPcm("hw:CARD=Fake", clock, card.open)
    waiting = StoppingAfter(clock)
    for _ in range(3):
        pcm.write(SILENCE)
        pcm.wait_for_room(waiting)  # type: ignore[arg-type]
    card.frozen = True
    stood_ns = clock.now_ns()
    pcm.write(SILENCE)
    with pytest.raises(DeviceError, match="takes no more sound"):
        pcm.wait_for_room(waiting)  # type: ignore[arg-type]
    assert clock.now_ns() - stood_ns < 1_100_000_000


def test_a_television_may_take_two_seconds_before_the_first_sample(clock: TurnedClock, card: FakeCard) -> None:
    class WakesUp(StoppingAfter):
        def wait(self, seconds: float) -> bool:
            card.frozen = clock.now_ns() < began_ns + 2_000_000_000
            return super().wait(seconds)

    began_ns = clock.now_ns()
    card.frozen = True
    pcm = PlaybackPcm("hw:CARD=Fake", clock, card.open)
    for _ in range(2):
        pcm.write(SILENCE)
        pcm.wait_for_room(WakesUp(clock))  # type: ignore[arg-type]
    assert 2_000_000_000 <= clock.now_ns() - began_ns < 2_100_000_000


def test_a_clock_that_drifts_is_followed() -> None:
    times = SampleClock()
    at_ns = 0
    for number in range(30_000):  # ten minutes of a card that is 200 ppm slow
        measured_ns = int(number * BLOCK_NS * 1.0002)
        at_ns = times.stamp(measured_ns)
        assert abs(at_ns - measured_ns) < 1_000_000
    assert at_ns > 0


def test_the_list_of_devices_can_be_asked_for_here() -> None:
    assert all(":" in name or name == "default" for name in list_devices("speaker"))
