"""What the sending unit is given: footage that fills 2 Mbit/s, and a voice in a room whose fan never stops.

The fan matters: where the sound has no pauses, every silence that is heard is a gap, whatever the delay does.
"""

import wave
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt

from appliance.demo.shown import FOOTAGE
from appliance.media.values import SAMPLE_RATE

VIDEO = FOOTAGE / "person.mkv"
_SPEECH = FOOTAGE / "speech.ogg"
_PEAK = 12_000.0
# Against the loud parts of the speech: far above what counts as silence (30 dB), and yet the speech is understood.
_FAN = 0.2


def write_sound(path: Path) -> Path:
    """Write the voice with the fan as a WAV file; the same samples each time."""
    speech = _decoded(_SPEECH)
    frame = SAMPLE_RATE // 50
    frames = speech[: len(speech) // frame * frame].reshape(-1, frame)
    loud = float(np.percentile(np.sqrt((frames**2).mean(axis=1)), 90))
    mixed = speech + np.random.default_rng(1).normal(0.0, _FAN * loud, len(speech))
    samples = (mixed * (_PEAK / np.abs(mixed).max())).astype("<i2")
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes(samples.tobytes())
    return path


def _decoded(path: Path) -> npt.NDArray[np.float64]:
    resampler = av.AudioResampler("s16", "mono", SAMPLE_RATE)
    with av.open(str(path)) as container:
        parts = [part.to_ndarray()[0] for frame in container.decode(audio=0) for part in resampler.resample(frame)]
    return np.concatenate(parts).astype(np.float64)
