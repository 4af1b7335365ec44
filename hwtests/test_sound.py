"""The sound card: the microphone hears, the speaker plays, and the one hears the other."""

import asyncio
import itertools
import time

import numpy as np

from appliance.capture.audio_factory import open_microphone
from appliance.capture.tone import ToneSource
from appliance.media.clock import MediaClock
from appliance.media.pcm import dbfs, mean_square
from appliance.media.soundmark import find_beeps
from appliance.media.values import BLOCK_NS, SAMPLE_RATE, AudioBlock
from appliance.playout.speaker_factory import open_speaker

SECONDS = 5


async def _record(device: str, seconds: float) -> tuple[list[AudioBlock], int]:
    source = open_microphone({"source": "alsa", "input_device": device}, MediaClock())
    blocks: list[AudioBlock] = []
    end = time.monotonic() + seconds
    async with source:
        async for block in source:
            blocks.append(block)
            if time.monotonic() > end:
                break
    return blocks, source.xruns


async def _play_beeps(device: str, seconds: float) -> tuple[int, int]:
    """Blocks played, and underruns."""
    clock = MediaClock()
    sink, tone = open_speaker({"sink": "alsa", "output_device": device}, clock), ToneSource(clock)
    played, end = 0, time.monotonic() + seconds
    pts_ns = clock.now_ns()
    async with sink:
        while time.monotonic() < end:
            await sink.play(AudioBlock(tone.block_at(pts_ns), pts_ns))
            pts_ns += BLOCK_NS
            played += 1
    return played, sink.xruns


async def test_the_microphone_gives_every_block_and_hears_the_room(microphone: str) -> None:
    blocks, xruns = await _record(microphone, SECONDS)
    assert len(blocks) > SECONDS * 50 * 0.95
    assert xruns == 0
    level = dbfs(max(mean_square(block.samples) for block in blocks))
    assert level > -75, f"{level:.0f} dBFS: is the microphone switched off?"


async def test_the_speaker_takes_sound_at_its_own_pace(speaker: str) -> None:
    played, xruns = await _play_beeps(speaker, SECONDS)
    assert abs(played - SECONDS * 50) < 25
    assert xruns == 0


async def test_the_microphone_hears_the_speaker_s_beeps(microphone: str, speaker: str) -> None:
    recording = asyncio.ensure_future(_record(microphone, SECONDS + 1))
    await _play_beeps(speaker, SECONDS)
    blocks, _ = await recording
    samples = np.frombuffer(b"".join(block.samples for block in blocks), np.int16)
    beeps = find_beeps(samples)
    assert len(beeps) >= SECONDS - 2, "turn the speaker up, or place the microphone nearer"
    assert all(abs(b - a - SAMPLE_RATE) < SAMPLE_RATE // 100 for a, b in itertools.pairwise(beeps))
