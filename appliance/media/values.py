"""The values that travel: an encoded picture and a block of sound."""

from dataclasses import dataclass

SAMPLE_RATE = 48_000
BLOCK_MS = 20
BLOCK_NS = BLOCK_MS * 1_000_000
BLOCK_SAMPLES = SAMPLE_RATE * BLOCK_MS // 1000
BLOCK_BYTES = BLOCK_SAMPLES * 2
SILENCE = bytes(BLOCK_BYTES)


@dataclass(frozen=True, slots=True)
class EncodedFrame:
    """One access unit of H.264 in Annex B form.

    `pts_ns` is the capture time: on our MediaClock for frames of ours; for frames from the far end, the sender's
    clock (its sender reports) or, before the first report, the arrival time.
    """

    data: bytes
    pts_ns: int
    is_keyframe: bool


@dataclass(frozen=True, slots=True)
class AudioBlock:
    """20 ms of 48 kHz mono sound: 960 samples, signed 16 bit little endian. `pts_ns` is the first sample's time."""

    samples: bytes
    pts_ns: int
