"""One line of the minutes: canonical JSON that carries the hash of the line before it and its own.

The canonical form is that of RFC 8785 for what we write: sorted ASCII keys, no spaces, whole numbers, UTF-8. The hash
is SHA-256 over the canonical form of the line without its `hash`.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NoReturn

# The hash before the first line.
GENESIS = "0" * 64
MAX_LINE_BYTES = 16 * 1024
# What JSON readers elsewhere keep exactly (RFC 8785 section 3.2.2.3).
MAX_WHOLE = 2**53 - 1
_HEX = frozenset("0123456789abcdef")


class Spoiled(StrEnum):
    """Why a line is not one that a unit has written."""

    UNREADABLE = "unreadable"
    FORM = "form"
    HASH = "hash"


class SpoiledLineError(Exception):
    """Not an error of ours: what stands there is not a line of the minutes."""

    def __init__(self, why: Spoiled) -> None:
        super().__init__(why.value)
        self.why = why


@dataclass(frozen=True, slots=True)
class Entry:
    """A line whose own hash is right. `fields` is what was noted, without number and hashes."""

    number: int
    previous: str
    hash: str
    fields: Mapping[str, Any]


def sealed(fields: Mapping[str, Any], number: int, previous: str) -> tuple[bytes, str]:
    """The bytes of line `number`, its line feed included, and its hash."""
    body = {**fields, "n": number, "prev": previous}
    digest = _hash(body)
    return _canonical({**body, "hash": digest}) + b"\n", digest


def opened(line: bytes) -> Entry:
    """Read a line without its line feed. Raises SpoiledLineError, whatever the bytes are."""
    if len(line) > MAX_LINE_BYTES:
        raise SpoiledLineError(Spoiled.UNREADABLE)
    try:
        body = json.loads(line, parse_constant=_refuse)
        is_canonical = isinstance(body, dict) and _canonical(body) == line
    except (ValueError, RecursionError):
        raise SpoiledLineError(Spoiled.UNREADABLE) from None
    if not isinstance(body, dict):
        raise SpoiledLineError(Spoiled.UNREADABLE)
    number, previous, digest = body.pop("n", None), body.pop("prev", None), body.pop("hash", None)
    if whole(number) is None or not is_hash(previous) or not is_hash(digest):
        raise SpoiledLineError(Spoiled.FORM)
    if digest != _hash({**body, "n": number, "prev": previous}):
        raise SpoiledLineError(Spoiled.HASH)
    # Two ways to write the same content would be two lines with one hash.
    if not is_canonical:
        raise SpoiledLineError(Spoiled.FORM)
    return Entry(number, previous, digest, body)


def is_hash(value: object) -> bool:
    return isinstance(value, str) and len(value) == 64 and _HEX.issuperset(value)


def whole(value: object) -> int | None:
    """A whole number from 0, or None for anything else."""
    return value if type(value) is int and 0 <= value <= MAX_WHOLE else None


def text(value: object, limit: int = 300) -> str:
    """A text that can be written and shown: no line breaks, no control characters, nothing that is not Unicode."""
    if not isinstance(value, str):
        return ""
    clean = value[: 2 * limit].encode("utf-8", "replace").decode()
    clean = " ".join("".join(char if char.isprintable() else " " for char in clean).split())
    return clean if len(clean) <= limit else clean[: limit - 1] + "…"


def _canonical(body: Mapping[str, Any]) -> bytes:
    return json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def _hash(body: Mapping[str, Any]) -> str:
    return hashlib.sha256(_canonical(body)).hexdigest()


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")
