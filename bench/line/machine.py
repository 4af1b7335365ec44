"""Put the programs of a measurement before whatever else this machine does."""

import os
from contextlib import suppress
from pathlib import Path

_NICE = -10


def go_first() -> None:
    """This process, and what it starts from now on."""
    with suppress(OSError):
        os.nice(_NICE)


def children_go_first() -> None:
    """All descendants of this process.

    Each session is a scheduling group of its own (sched(7), autogroup), between which nice values mean nothing: the
    groups have theirs.
    """
    parents = _parents()
    for pid in parents:
        if _descends(pid, os.getpid(), parents):
            with suppress(OSError):
                Path(f"/proc/{pid}/autogroup").write_text(str(_NICE))


def _parents() -> dict[int, int]:
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                found[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
    return found


def _descends(pid: int, ancestor: int, parents: dict[int, int]) -> bool:
    while pid > 1:
        if pid == ancestor:
            return True
        pid = parents.get(pid, 0)
    return False
