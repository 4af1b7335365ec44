"""The seal of a saved settings file: tells a copy that the unit wrote from a hand edit, a torn copy and rotten bits.

The first line says that the unit saved the file, the last one carries a generation, the time and a checksum:

    # Bridge point settings, saved by the unit. ...
    # end: generation 7, saved 1795465455, sha256 0f3a...

Saving sets the file's modification time to the very second named in the seal. So:

- first line there, last line gone: the file is **torn**;
- checksum wrong and the modification time still the one of the seal: nobody wrote the file since, **bits rotted**;
- checksum wrong and another modification time: a person **edited** the file;
- neither line: a person **wrote** the file (or an installer did).
"""

import hashlib
import re
from dataclasses import dataclass
from enum import Enum

FIRST_LINE = "# Bridge point settings, saved by the unit. You may edit them; leave this and the last line in place.\n"
# The whole line: a person's own file may well begin with the same few words.
_MARK = FIRST_LINE.rstrip("\n").encode()
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_SEAL = re.compile(rb"\n# end: generation (\d{1,18}), saved (\d{1,12}), sha256 ([0-9a-f]{32})\s*\Z")


class Seal(Enum):
    """What the seal says of a file."""

    INTACT = "as the unit saved it"
    HAND_MADE = "edited or written by a person"
    TORN = "its end is missing"
    ROTTEN = "its bytes have changed since it was saved"


@dataclass(frozen=True, slots=True)
class Sealed:
    """A file's bytes and what its seal says; `body` is what stands between the first line and the seal."""

    seal: Seal
    body: bytes
    generation: int = 0


def sealed(body: bytes, generation: int, saved_unix_s: int) -> bytes:
    """The bytes of a file to save. Its modification time must then be set to `saved_unix_s`."""
    content = FIRST_LINE.encode() + body.rstrip(b"\n") + b"\n"
    digest = _digest(content, generation, saved_unix_s)
    return content + f"# end: generation {generation}, saved {saved_unix_s}, sha256 {digest}\n".encode()


def inspect(raw: bytes, modified_ns: int) -> Sealed:
    """Look at a file's seal."""
    # Editors on Windows put it in front; within the file, where sealing would move it, it is a fault.
    raw = raw.removeprefix(_BYTE_ORDER_MARK)
    marked = raw.startswith(_MARK)
    body = raw.partition(b"\n")[2] if marked else raw
    found = _SEAL.search(raw)
    if found is None:
        return Sealed(Seal.TORN if marked else Seal.HAND_MADE, body)
    body = body[: len(body) - (len(raw) - found.start() - 1)]
    generation, saved = int(found[1]), int(found[2])
    if _digest(raw[: found.start() + 1], generation, saved) == found[3].decode():
        return Sealed(Seal.INTACT, body, generation)
    return Sealed(Seal.ROTTEN if modified_ns == saved * 1_000_000_000 else Seal.HAND_MADE, body, generation)


def _digest(content: bytes, generation: int, saved_unix_s: int) -> str:
    return hashlib.sha256(content + f"{generation} {saved_unix_s}".encode()).hexdigest()[:32]
