"""Opus through libopus: what a far end hears, with and without losses."""

import ctypes
import gc

import numpy as np
import pytest

from appliance.media.values import BLOCK_BYTES, BLOCK_SAMPLES, SILENCE
from appliance.rtp import opus
from appliance.rtp.opus import OpusDecoder, OpusEncoder, OpusError


def speech_like(seconds: float) -> list[bytes]:
    """A voice-like sound: harmonics of a gliding pitch in syllables."""
    time_s = np.arange(int(48_000 * seconds)) / 48_000
    phase = 2 * np.pi * np.cumsum(120 + 20 * np.sin(2 * np.pi * 0.7 * time_s)) / 48_000
    voice = sum(np.sin(n * phase) / n for n in range(1, 20)) * (0.6 + 0.4 * np.sin(2 * np.pi * 4 * time_s))
    samples = (voice * 5000).astype("<i2").tobytes()
    return [samples[i : i + BLOCK_BYTES] for i in range(0, len(samples) - BLOCK_BYTES + 1, BLOCK_BYTES)]


def power(pcm: bytes) -> float:
    return float(np.mean(np.frombuffer(pcm, "<i2").astype(float) ** 2))


def test_sound_survives_encoding_and_decoding() -> None:
    blocks = speech_like(1)
    with OpusEncoder() as encoder, OpusDecoder() as decoder:
        heard = [decoder.decode(encoder.encode(block)) for block in blocks]
    assert all(len(block) == BLOCK_BYTES for block in heard)
    sent = np.frombuffer(b"".join(blocks), "<i2").astype(float)
    got = np.frombuffer(b"".join(heard), "<i2").astype(float)
    lag = max(range(240, 400), key=lambda n: float(np.dot(sent[4800:-n], got[4800 + n :])))
    assert np.corrcoef(sent[4800:-lag], got[4800 + lag :])[0, 1] > 0.75


def test_the_bit_rate_is_kept_and_silence_is_sent_too() -> None:
    with OpusEncoder(bitrate=32_000) as encoder:
        sizes = [len(encoder.encode(block)) for block in speech_like(2)]
        assert 24_000 < 8 * 50 * sum(sizes) / len(sizes) < 40_000
        assert all(encoder.encode(SILENCE) for _ in range(50))


def test_a_lost_packet_is_repaired_from_the_next_one() -> None:
    blocks = speech_like(1)
    with OpusEncoder(expected_loss_percent=20) as encoder:
        packets = [encoder.encode(block) for block in blocks]
    with OpusDecoder() as whole, OpusDecoder() as repaired, OpusDecoder() as concealed:
        for packet in packets[:30]:
            for decoder in (whole, repaired, concealed):
                decoder.decode(packet)
        truth = np.frombuffer(whole.decode(packets[30]), "<i2").astype(float)
        with_fec = np.frombuffer(repaired.decode(packets[31], fec=True), "<i2").astype(float)
        without = np.frombuffer(concealed.decode(None), "<i2").astype(float)
    assert len(with_fec) == len(without) == BLOCK_SAMPLES
    assert np.linalg.norm(with_fec - truth) < np.linalg.norm(without - truth)


def test_a_long_loss_fades_to_silence() -> None:
    with OpusEncoder() as encoder, OpusDecoder() as decoder:
        for block in speech_like(0.5):
            loud = power(decoder.decode(encoder.encode(block)))
        concealed = [power(decoder.decode(None)) for _ in range(25)]
    assert concealed[-1] < loud / 100


def test_what_is_not_a_block_or_not_a_packet_is_refused_in_words() -> None:
    with OpusEncoder() as encoder, OpusDecoder() as decoder:
        with pytest.raises(OpusError, match="1920"):
            encoder.encode(b"\0" * 10)
        with pytest.raises(OpusError, match="Opus cannot decode"):
            decoder.decode(b"\xff" * 3)
        assert len(decoder.decode(encoder.encode(SILENCE))) == BLOCK_BYTES


def test_a_closed_codec_refuses_instead_of_crashing() -> None:
    encoder, decoder = OpusEncoder(), OpusDecoder()
    encoder.close()
    decoder.close()
    encoder.close()
    with pytest.raises(OpusError, match="closed"):
        encoder.encode(SILENCE)
    with pytest.raises(OpusError, match="closed"):
        decoder.decode(None)


def test_settings_change_while_encoding() -> None:
    blocks = speech_like(1)
    with OpusEncoder(bitrate=48_000) as encoder:
        before = sum(len(encoder.encode(block)) for block in blocks)
        encoder.set_bitrate(16_000)
        encoder.set_expected_loss(150)
        assert sum(len(encoder.encode(block)) for block in blocks) < before / 2


def test_codecs_free_their_memory() -> None:
    for _ in range(200):
        OpusEncoder()
        OpusDecoder()
    gc.collect()


def test_a_missing_library_names_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(_name: str) -> ctypes.CDLL:
        raise OSError("no such file")

    opus._library.cache_clear()
    monkeypatch.setattr(ctypes, "CDLL", missing)
    try:
        with pytest.raises(OpusError, match="apt install libopus0"):
            OpusEncoder()
    finally:
        opus._library.cache_clear()
