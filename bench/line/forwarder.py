"""The process between two TUN devices: packets from one come out of the other as a bad line delivers them.

Started by `path.py`: `python -m bench.line.forwarder UNIT_DEVICE FAR_DEVICE`. Commands are JSON lines on stdin, each
answered by one on stdout: `{"cmd": "set", "up": {...}, "down": {...}}` (LinkSettings; what is left out stays),
`{"cmd": "cut", "on": true}`, `{"cmd": "nat", "offset": 1000}`, `{"cmd": "restart", "seed": 1}`, `{"cmd": "stats"}`. It
ends with its stdin.
"""

import fcntl
import json
import os
import select
import struct
import sys
import time
from contextlib import suppress
from dataclasses import replace
from typing import Any

from .impairment import LineError, Link, LinkSettings
from .nat import Nat

# linux/if_tun.h
_TUNSETIFF = 0x400454CA
_IFF_TUN, _IFF_NO_PI = 0x0001, 0x1000
_MOST_PACKET = 65_536
# One device must not starve the other, nor the packets that are due.
_BATCH = 32


def open_tun(name: str) -> int:
    """A TUN device of this name, as a non-blocking file of whole IP packets; it lives as long as the file."""
    tun = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        fcntl.ioctl(tun, _TUNSETIFF, struct.pack("16sH22x", name.encode(), _IFF_TUN | _IFF_NO_PI))
    except OSError:
        os.close(tun)
        raise
    return tun


class Forwarder:
    """The loop. Timing comes from select(2), whose timeout has microseconds, unlike epoll's."""

    def __init__(self, unit_tun: int, far_tun: int) -> None:
        now_ns = time.monotonic_ns()
        self._links = {name: Link(LinkSettings(), f"0/{name}", now_ns) for name in ("up", "down")}
        self._settings = dict.fromkeys(self._links, LinkSettings())
        self._nat = Nat()
        # (where packets come in, the link they take, where they go out, and how they are translated there)
        self._ways = (
            (unit_tun, self._links["up"], far_tun, self._nat.up),
            (far_tun, self._links["down"], unit_tun, self._nat.down),
        )
        self._unsent = 0
        self._latest_ns = 0
        self._line = b""

    def run(self) -> None:
        """Until stdin closes."""
        files = [sys.stdin.fileno(), *(way[0] for way in self._ways)]
        while True:
            due = [at for _, link, *_ in self._ways if (at := link.next_ns()) is not None]
            wait_s = max(0, min(due) - time.monotonic_ns()) / 1e9 if due else None
            readable, _, _ = select.select(files, (), (), wait_s)
            if due and not readable:
                self._latest_ns = max(self._latest_ns, time.monotonic_ns() - min(due))
            for tun, link, out, translate in self._ways:
                if tun in readable:
                    self._read(tun, link)
                for packet in link.take(time.monotonic_ns()):
                    self._write(out, translate(packet))
            if files[0] in readable and not self._read_commands(files[0]):
                return

    def _read(self, tun: int, link: Link) -> None:
        # A device that is not up yet gives EIO.
        with suppress(OSError):
            for _ in range(_BATCH):
                packet = os.read(tun, _MOST_PACKET)
                link.arrive(packet, time.monotonic_ns())

    def _write(self, tun: int, packet: bytes) -> None:
        try:
            os.write(tun, packet)
        except OSError:
            self._unsent += 1

    def _read_commands(self, file: int) -> bool:
        part = os.read(file, 65_536)
        self._line += part
        while b"\n" in self._line:
            line, _, self._line = self._line.partition(b"\n")
            try:
                answer = self._obey(json.loads(line))
            except (LineError, TypeError, KeyError, ValueError) as error:
                answer = {"error": str(error)}
            sys.stdout.write(json.dumps(answer) + "\n")
            sys.stdout.flush()
        return bool(part)

    def _obey(self, command: dict[str, Any]) -> dict[str, Any]:
        now_ns = time.monotonic_ns()
        match command["cmd"]:
            case "set":
                # Both are checked before either is set.
                new = {name: replace(self._settings[name], **_plain(command.get(name, {}))) for name in self._links}
                self._settings = new
                for name, link in self._links.items():
                    link.set(new[name], now_ns)
                return {}
            case "cut":
                for link in self._links.values():
                    link.cut(bool(command["on"]))
                return {}
            case "nat":
                self._nat.offset = int(command["offset"])
                return {}
            case "restart":
                for name, link in self._links.items():
                    link.restart(f"{command['seed']}/{name}", now_ns)
                self._unsent = self._latest_ns = 0
                return {}
            case "stats":
                figures = {name: link.numbers(now_ns) for name, link in self._links.items()}
                return {**figures, "unsent": self._unsent, "latest_ms": round(self._latest_ns / 1e6, 2)}
            case other:
                raise LineError(f"unknown command {other!r}")


def _plain(settings: dict[str, Any]) -> dict[str, Any]:
    """JSON knows no tuples."""
    if "cuts" in settings:
        settings["cuts"] = tuple((float(begin), float(end)) for begin, end in settings["cuts"])
    return settings


def main() -> None:
    """Open both devices, say so, and forward."""
    try:
        tuns = [open_tun(name) for name in sys.argv[1:3]]
    except OSError as error:
        sys.exit(f"no TUN device: {error}")
    # The line must keep its times while both ends keep the processors busy.
    with suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    sys.stdout.write('{"ready": true}\n')
    sys.stdout.flush()
    Forwarder(*tuns).run()


if __name__ == "__main__":
    main()
