"""A TCP transfer that shares the line with the call: `sink ADDR:PORT COUNT_FILE` at the far end, `send ADDR:PORT`.

The sink appends `MediaClock ns,bytes so far` to its file ten times a second.
"""

import socket
import sys
import time
from pathlib import Path

PORT = 5001
_TELL_S = 0.1
_PART = bytes(64 * 1024)


def sink(host: str, port: int, count_file: Path) -> None:
    total, due = 0, 0.0
    with socket.create_server((host, port)) as server, count_file.open("a", buffering=1) as file:
        print("listening", flush=True)
        connection, _ = server.accept()
        connection.settimeout(_TELL_S)
        while True:
            try:
                part = connection.recv(len(_PART))
            except TimeoutError:
                part = None
            if part == b"":
                return
            total += len(part or b"")
            if time.monotonic() >= due:
                due = time.monotonic() + _TELL_S
                file.write(f"{time.monotonic_ns()},{total}\n")


def send(host: str, port: int) -> None:
    with socket.create_connection((host, port)) as connection:
        while True:
            connection.sendall(_PART)


def carried_kbps(count_file: Path, began_ns: int, ended_ns: int) -> float:
    """What the transfer got within a time."""
    rows = [tuple(map(int, line.split(","))) for line in count_file.read_text().splitlines() if line.count(",") == 1]
    totals = [total for at_ns, total in rows if began_ns <= at_ns <= ended_ns]
    return round((totals[-1] - totals[0]) * 8e6 / (ended_ns - began_ns), 1) if totals else 0.0


if __name__ == "__main__":
    address, _, port_text = sys.argv[2].rpartition(":")
    if sys.argv[1] == "sink":
        sink(address, int(port_text), Path(sys.argv[3]))
    else:
        send(address, int(port_text))
