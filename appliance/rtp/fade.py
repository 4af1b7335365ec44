"""Make what stands in the place of lost sound sink into silence, and the real sound come back without a click."""

import numpy as np

from appliance.media.values import SAMPLE_RATE

from . import stretch

# Concealed sound has less and less to do with what was said.
FADE_AFTER = SAMPLE_RATE // 10
FADE_LENGTH = SAMPLE_RATE * 60 // 1000
_FADE_IN = SAMPLE_RATE // 200


class Fade:
    """`hidden`: samples that were made up in a row; `in_silence`: the sender has said that none follow."""

    def __init__(self) -> None:
        self.hidden = 0
        self.in_silence = False
        self._tail = b""

    def from_silence(self) -> None:
        """What comes first fades in."""
        self.hidden = FADE_AFTER + FADE_LENGTH

    def cut(self, tail: bytes) -> None:
        """Some sound is left out; `tail` is how it would have gone on."""
        self._tail = tail

    def out(self, pcm: bytes) -> bytes:
        """Made-up sound as it is to be heard."""
        begin, count = self.hidden, len(pcm) // 2
        if self.in_silence:
            self.hidden = min(begin + count, FADE_AFTER)
            return pcm
        self.hidden = begin + count
        if self.hidden <= FADE_AFTER:
            return pcm
        if begin >= FADE_AFTER + FADE_LENGTH:
            return bytes(len(pcm))
        gain = 1.0 - (np.arange(begin, begin + count, dtype=np.float32) - FADE_AFTER) / FADE_LENGTH
        samples = np.frombuffer(pcm, np.int16) * np.clip(gain, 0.0, 1.0)
        return samples.astype(np.int16).tobytes()

    def back(self, pcm: bytes) -> bytes:
        """The real sound again, without a click after what stood in its place."""
        hidden, self.hidden = self.hidden, 0
        tail, self._tail = self._tail, b""
        if hidden <= FADE_AFTER and not tail:
            return pcm
        after = np.frombuffer(pcm, np.int16)
        length = min(_FADE_IN, len(after))
        before = np.zeros(length, np.int16) if not tail else np.frombuffer(tail, np.int16)[:length]
        if hidden > FADE_AFTER:
            rest = max(0.0, 1.0 - (hidden - FADE_AFTER) / FADE_LENGTH)
            before = (before * rest).astype(np.int16)
        return np.concatenate((stretch.cross_fade(before, after[:length]), after[length:])).tobytes()
