"""Sound for the sound tests: beeps, something like speech, an Opus round trip, files."""

import wave
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
from av.audio.codeccontext import AudioCodecContext
from av.audio.resampler import AudioResampler

from appliance.media.values import BLOCK_SAMPLES, SAMPLE_RATE

Samples = npt.NDArray[np.int16]


def beeps(seconds: int, onset: int = 0, amplitude: int = 16_000) -> Samples:
    """A 1 kHz beep of 100 ms with 2 ms ramps, `onset` samples into each second."""
    time = np.arange(SAMPLE_RATE // 10)
    ramp = np.minimum(1.0, np.minimum(time, time[::-1]) / 96)
    beep = (amplitude * ramp * np.sin(2 * np.pi * 1000 * time / SAMPLE_RATE)).astype(np.int16)
    line = np.zeros(seconds * SAMPLE_RATE, np.int16)
    for second in range(seconds):
        begin = second * SAMPLE_RATE + onset
        line[begin : begin + len(beep)] = beep
    return line


def speech(seconds: float, seed: int = 1) -> Samples:
    """Voiced syllables of changing pitch with harmonics and breath, and pauses between words."""
    rng = np.random.default_rng(seed)
    pieces = []
    length = 0
    while length < seconds * SAMPLE_RATE:
        count = int(rng.uniform(0.09, 0.25) * SAMPLE_RATE)
        time = np.arange(count) / SAMPLE_RATE
        pitch = rng.uniform(90, 180) * (1 + rng.uniform(-0.3, 0.3) * time)
        phase = 2 * np.pi * np.cumsum(pitch) / SAMPLE_RATE
        voice = sum(rng.uniform(0.2, 1.0) / k * np.sin(k * phase + rng.uniform(0, 6)) for k in range(1, 20))
        breath = rng.standard_normal(count) * 0.1
        piece = (voice + breath) * np.hanning(count) * rng.uniform(2500, 6000)
        pause = np.zeros(int(rng.choice([0.0, 0.02, 0.15]) * SAMPLE_RATE))
        pieces += [piece, pause]
        length += count + len(pause)
    return np.concatenate(pieces)[: int(seconds * SAMPLE_RATE)].clip(-32000, 32000).astype(np.int16)


def through_opus(samples: Samples, bit_rate: int = 32_000) -> Samples:
    """Encoded and decoded as in a call; longer at its end, and later by the codec's delay."""
    encoder = AudioCodecContext.create("libopus", "w")
    encoder.sample_rate, encoder.layout, encoder.format = SAMPLE_RATE, "mono", "s16"
    encoder.bit_rate = bit_rate
    encoder.options = {"application": "voip"}
    decoder = AudioCodecContext.create("libopus", "r")
    decoder.sample_rate, decoder.layout = SAMPLE_RATE, "mono"
    packets = []
    for begin in range(0, len(samples) - BLOCK_SAMPLES + 1, BLOCK_SAMPLES):
        frame = av.AudioFrame.from_ndarray(samples[None, begin : begin + BLOCK_SAMPLES], format="s16", layout="mono")
        frame.sample_rate, frame.pts = SAMPLE_RATE, begin
        packets += encoder.encode(frame)
    packets += encoder.encode(None)
    resampler = AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE)
    decoded = []
    for packet in packets:
        for frame in decoder.decode(av.Packet(bytes(packet))):
            decoded += [out.to_ndarray()[0] for out in resampler.resample(frame)]
    return np.concatenate(decoded)


def write_wav(path: Path, samples: Samples, rate: int = SAMPLE_RATE, channels: int = 1) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(samples.tobytes())
    return path
