"""Put H.264 access units together again from RTP payloads (RFC 6184: single NAL unit, STAP-A, FU-A).

Fed with payloads in order and without holes, it gives whole access units only, and after a loss nothing until the next
IDR picture that can be decoded: what a decoder is given never refers to a picture that it does not have.
"""

import base64
import binascii
from dataclasses import dataclass
from enum import Enum

START_CODE = b"\0\0\0\1"
# Far beyond any picture of ours, and what keeps our memory bounded whatever arrives.
MAX_UNIT_BYTES = 4 * 1024 * 1024
_MAX_SETS_BYTES = 8 * 1024

_IDR, _SEI, _SPS, _PPS = 5, 6, 7, 8
_STAP_A, _FU_A = 24, 28
_PARAMETER_SETS = frozenset((_SPS, _PPS, 13, 15))


class Role(Enum):
    """What a payload is for somebody who waits for a keyframe."""

    KEYFRAME_START = 1  # its parameter sets: nothing that matters was before it
    IDR_START = 2  # the picture's first slice: parameter sets may have been before it
    KEYFRAME_PART = 3
    OTHER = 4


def role_of(payload: bytes) -> Role:
    """Look at a payload outside of its order."""
    kind = payload[0] & 0x1F if payload else 0
    if kind == _STAP_A:
        offset = 1
        while offset + 2 < len(payload):
            role = _role(payload[offset + 2] & 0x1F, payload[offset + 3 : offset + 4], start=True)
            if role is not Role.OTHER:
                return role
            offset += 2 + int.from_bytes(payload[offset : offset + 2], "big")
        return Role.OTHER
    if kind == _FU_A and len(payload) > 2:
        return _role(payload[1] & 0x1F, payload[2:3], start=payload[1] >= 0x80)
    return _role(kind, payload[1:2], start=True)


def _role(kind: int, first_byte: bytes, *, start: bool) -> Role:
    if kind == _SPS and start:
        return Role.KEYFRAME_START
    # first_mb_in_slice is an Exp-Golomb code: 0 is a single set bit.
    if kind == _IDR and start and first_byte and first_byte[0] & 0x80:
        return Role.IDR_START
    return Role.KEYFRAME_PART if kind in (_IDR, _SEI, _SPS, _PPS) else Role.OTHER


@dataclass(frozen=True, slots=True)
class AccessUnit:
    """One picture in Annex B form. `timestamp` is its RTP timestamp."""

    data: bytes
    timestamp: int
    is_keyframe: bool


def parameter_sets(sprop: str) -> bytes:
    """The SDP's `sprop-parameter-sets` in Annex B form; what cannot be read is left out."""
    sets = b""
    for part in sprop.split(",")[:16]:
        try:
            unit = base64.b64decode(part, validate=True)
        except (binascii.Error, ValueError):
            continue
        if unit and unit[0] & 0x1F in _PARAMETER_SETS and len(sets) + len(unit) < _MAX_SETS_BYTES:
            sets += START_CODE + unit
    return sets


class H264Assembler:
    """Takes payloads in sequence; `gap()` tells it that some were lost before the next one."""

    def __init__(self, sets: bytes = b"") -> None:
        """`sets`: parameter sets known from the SDP."""
        self.seeking = True  # until the next decodable IDR picture
        self.malformed = 0
        self.dropped = 0  # pictures that were there, broken or without what they refer to
        self._sets = sets
        self._aligned = False  # the next payload begins a picture
        self._timestamp: int | None = None
        self._clear()

    def _clear(self) -> None:
        self._parts: list[bytes] = []
        self._new_sets: list[bytes] = []
        self._size = 0
        self._fragmented = 0  # the kind of the NAL unit whose fragments arrive
        self._broken = self._has_picture = self._has_idr = self._has_sps = False

    @property
    def in_picture(self) -> bool:
        """A picture has begun and its end is still to come."""
        return bool(self._parts)

    @property
    def in_keyframe(self) -> bool:
        return bool(self._parts) and not self._broken and (self._has_idr or self._has_sps)

    def gap(self) -> None:
        """Packets are lost for good: the picture they belong to is, and what refers to it."""
        if self._parts:
            self.dropped += 1
        self._clear()
        self.seeking = True
        self._aligned = False
        self._timestamp = None

    def jump(self) -> None:
        """Packets were left out that nobody waits for, while seeking."""
        self._clear()
        self._aligned = False
        self._timestamp = None

    def feed(self, timestamp: int, marker: bool, payload: bytes, out: list[AccessUnit]) -> None:
        """Take the next payload; pictures that it completes are appended to `out`."""
        if not payload:
            # Padding, or an empty keepalive; it may still end a picture.
            if marker and self._parts and timestamp == self._timestamp:
                self._finish(out)
            return
        if timestamp != self._timestamp:
            if self._parts:
                # A sender that sets no marker: the next picture's first packet tells.
                self._finish(out)
            if self._timestamp is not None:
                self._aligned = True
            self._timestamp = timestamp
        if not self._aligned:
            role = role_of(payload)
            if role is Role.KEYFRAME_START or role is Role.IDR_START:
                self._aligned = True
            else:
                self._aligned = marker
                return
        if not self._broken:
            self._take(payload)
        if marker:
            self._finish(out)

    def _take(self, payload: bytes) -> None:
        kind = payload[0] & 0x1F
        if kind == _FU_A:
            self._take_fragment(payload)
        elif self._fragmented:
            self._spoil()
        elif 0 < kind < _STAP_A:
            self._add_unit(kind, payload)
        elif kind == _STAP_A:
            self._take_aggregate(payload)
        else:
            self._spoil()
        if self._size > MAX_UNIT_BYTES:
            self._spoil()

    def _take_fragment(self, payload: bytes) -> None:
        if len(payload) < 3:
            self._spoil()
            return
        header = payload[1]
        kind = header & 0x1F
        if header & 0x80:
            if self._fragmented or not 0 < kind < _STAP_A:
                self._spoil()
                return
            self._note(kind)
            self._fragmented = kind
            self._parts.append(START_CODE + bytes((payload[0] & 0xE0 | kind,)))
        elif kind != self._fragmented:
            self._spoil()
            return
        self._parts.append(payload[2:])
        self._size += len(payload)
        if header & 0x40:
            self._fragmented = 0

    def _take_aggregate(self, payload: bytes) -> None:
        offset = 1
        end = len(payload)
        if end == 1:
            self._spoil()
        while offset < end:
            start = offset + 2
            offset = start + int.from_bytes(payload[offset:start], "big")
            if offset > end or offset <= start:
                self._spoil()
                return
            kind = payload[start] & 0x1F
            if not 0 < kind < _STAP_A:
                self._spoil()
                return
            self._add_unit(kind, payload[start:offset])

    def _add_unit(self, kind: int, unit: bytes) -> None:
        self._note(kind)
        if kind in _PARAMETER_SETS:
            self._new_sets.append(unit)
        self._parts.append(START_CODE)
        self._parts.append(unit)
        # What a part costs besides its bytes: many tiny ones must not slip through the limit.
        self._size += len(unit) + 64

    def _note(self, kind: int) -> None:
        if kind <= _IDR:
            self._has_picture = True
            if kind == _IDR:
                self._has_idr = True
        elif kind == _SPS:
            self._has_sps = True

    def _spoil(self) -> None:
        self.malformed += 1
        self._broken = True
        # Keeps `in_picture` true, without the memory.
        self._parts = [b""]
        self._size = 0

    def _finish(self, out: list[AccessUnit]) -> None:
        self._aligned = True
        if self._fragmented and not self._broken:
            self._spoil()
        if self._broken:
            self.dropped += 1
            self.seeking = True
        else:
            self._remember_sets()
            if self._has_picture:
                self._deliver(out)
        self._clear()

    def _remember_sets(self) -> None:
        if self._new_sets:
            sets = START_CODE + START_CODE.join(self._new_sets)
            known = sets if self._has_sps else self._sets + sets
            if len(known) <= _MAX_SETS_BYTES:
                self._sets = known

    def _deliver(self, out: list[AccessUnit]) -> None:
        assert self._timestamp is not None
        if self._has_idr:
            if not self._has_sps and not self._sets:
                # Nobody can decode it: its parameter sets came neither in the stream nor in the SDP.
                self.dropped += 1
                self.seeking = True
                return
            if not self._has_sps:
                self._parts.insert(0, self._sets)
            self.seeking = False
        elif self.seeking:
            self.dropped += 1
            return
        out.append(AccessUnit(b"".join(self._parts), self._timestamp, self._has_idr))
