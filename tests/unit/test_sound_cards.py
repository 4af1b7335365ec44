"""Cards in real time: pulled and put back (a fake), and a whole sound server's ALSA plug-in where there is one."""

import asyncio
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from appliance.capture import alsa_audio
from appliance.capture.alsa_audio import AlsaSource
from appliance.capture.microphone import Microphone
from appliance.demo.measure import NS, read_recording
from appliance.media.alsa import CapturePcm, PlaybackPcm
from appliance.media.clock import MediaClock
from appliance.media.soundmark import delay_by_correlation, gaps
from appliance.media.values import BLOCK_NS, SAMPLE_RATE, SILENCE, AudioBlock
from appliance.playout import speaker_alsa
from appliance.playout.far_sound import FarSound
from appliance.playout.speaker import Speaker
from appliance.playout.speaker_alsa import AlsaSink

from .sound_fakes import FakeCard
from .sound_makers import speech
from .test_sound_worker import Engine, settings

PULSE_PLUGIN = any(Path("/usr/lib").glob("*/alsa-lib/libasound_module_pcm_pulse.so"))


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch) -> FakeCard:
    card = FakeCard(MediaClock())
    monkeypatch.setattr(alsa_audio, "CapturePcm", partial(CapturePcm, open_pcm=card.open))
    monkeypatch.setattr(speaker_alsa, "PlaybackPcm", partial(PlaybackPcm, open_pcm=card.open))
    return card


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(8):
        while not true():
            await asyncio.sleep(0.005)


async def test_a_microphone_that_is_put_back_is_heard_again(card: FakeCard) -> None:
    sent: list[tuple[bytes, int]] = []
    clock = MediaClock()
    microphone = Microphone(
        lambda: AlsaSource("hw:CARD=Fake", clock),
        lambda samples, pts_ns: sent.append((samples, pts_ns)),
        clock,
        muted=False,
        on_problem=lambda: None,
    )
    job = asyncio.create_task(microphone.run())
    try:
        await until(lambda: microphone.captured >= 10)
        assert microphone.problem is None
        card.plugged = False
        await until(lambda: microphone.problem is not None)
        lost = len(sent)
        await until(lambda: len(sent) >= lost + 10)
        assert {samples for samples, _ in sent[lost + 1 : lost + 10]} == {SILENCE}
        card.plugged = True
        await until(lambda: microphone.problem is None and sent[-1][0] != SILENCE)
        assert len(card.opened) >= 2
    finally:
        job.cancel()
        await asyncio.gather(job, return_exceptions=True)
    assert card.pcm is not None
    assert card.pcm.closed


async def test_a_speaker_that_is_put_back_plays_again(card: FakeCard) -> None:
    clock = MediaClock()

    def ask(heard_ns: int) -> bool:
        asyncio.get_running_loop().call_soon(far.answer, b"\x00\x10" * 960, heard_ns)
        return True

    far = FarSound(ask, clock)
    speaker = Speaker(
        lambda: AlsaSink("hw:CARD=Fake", clock),
        far,
        clock,
        volume_percent=100,
        on_heard=lambda samples, heard_ns: None,
        on_problem=lambda: None,
    )
    job = asyncio.create_task(speaker.run())
    try:
        await until(lambda: speaker.played >= 10)
        card.plugged = False
        await until(lambda: speaker.problem is not None)
        played = speaker.played
        card.plugged = True
        await until(lambda: speaker.problem is None and speaker.played >= played + 10)
        assert far.missed <= 2
    finally:
        job.cancel()
        await asyncio.gather(job, return_exceptions=True)


async def test_blocks_for_a_card_keep_their_order(card: FakeCard) -> None:
    async with AlsaSink("hw:CARD=Fake", MediaClock()) as sink:
        heard = [await sink.play(AudioBlock(bytes([n, 0]) * 960, 0)) for n in range(1, 10)]
    assert all(0 < later - earlier < 3 * BLOCK_NS for earlier, later in pairwise(heard))
    assert card.pcm is not None
    played = np.frombuffer(bytes(card.pcm.written), np.int16)
    assert list(dict.fromkeys(played[played != 0].tolist())) == list(range(1, 10))


@pytest.fixture
def sound_server(tmp_path: Path) -> Iterator[Path]:
    """A PulseAudio with a speaker that nobody hears, whose monitor is the microphone. Gives the ALSA configuration."""
    socket = tmp_path / "native"
    script = tmp_path / "default.pa"
    script.write_text(
        f"load-module module-native-protocol-unix auth-anonymous=1 socket={socket}\n"
        "load-module module-null-sink sink_name=room rate=48000 channels=2\n"
    )
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path)}
    # Otherwise both ends leave a folder in /tmp.
    environment["PULSE_RUNTIME_PATH"] = str(tmp_path / "pulse")
    command = ["pulseaudio", "--daemonize=no", "--exit-idle-time=-1", "-n", "-F", str(script), "--log-level=error"]
    with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) as server:
        config = tmp_path / "asoundrc"
        config.write_text(
            f"""
            pcm.room_microphone {{ type pulse server "unix:{socket}" device "room.monitor" }}
            pcm.room_speaker {{ type pulse server "unix:{socket}" device "room" }}
            """
        )
        yield config
        server.send_signal(signal.SIGTERM)


@pytest.mark.skipif(not (shutil.which("pulseaudio") and PULSE_PLUGIN), reason="needs pulseaudio and libasound2-plugins")
async def test_what_the_speaker_plays_is_recorded_by_the_microphone_at_the_time_both_say(
    sound_server: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, folder in (("HOME", tmp_path), ("XDG_RUNTIME_DIR", tmp_path), ("PULSE_RUNTIME_PATH", tmp_path / "pulse")):
        monkeypatch.setenv(name, str(folder))
    monkeypatch.setenv("ALSA_CONFIG_PATH", str(sound_server))
    await until(lambda: (tmp_path / "native").exists())
    sound = speech(20)
    cards = settings(source="alsa", sink="alsa", input_device="room_microphone", output_device="room_speaker")
    taps = tmp_path / "taps"
    taps.mkdir()
    async with Engine(cards, tap_dir=taps) as engine:
        engine.answers = (sound[at : at + 960].tobytes() for at in range(0, len(sound), 960))
        await engine.until(lambda: engine.status.get("played", 0) >= 50 and engine.status["captured"] >= 50)
        # The server's start is over; now nothing may be lost.
        begin_ns = MediaClock().now_ns()
        await engine.until(lambda: MediaClock().now_ns() > begin_ns + 4 * NS)
        assert engine.status["problem"] is None
        assert engine.status["sink_problem"] is None
    end_ns = begin_ns + 4 * NS
    spoken = read_recording(taps, "speaker").between(begin_ns, end_ns).samples
    heard = read_recording(taps, "mic").between(begin_ns, end_ns).samples
    # Both clocks are estimates: 0.1 s of lead lets the correlation look to both sides.
    lead = SAMPLE_RATE // 10
    found = delay_by_correlation(spoken, np.concatenate((np.zeros(lead, np.int16), heard)))
    assert found
    assert all(abs(delay - lead) < 30 * 48 for _, delay in found)
    assert gaps(spoken, np.concatenate((np.zeros(lead, np.int16), heard)), found[0][1]) == []
