"""Datagrams over a line, for test_line.py: `echo ADDR` sends back what comes; `send ADDR COUNT SIZE EVERY_MS` counts.

The sender prints one JSON object: how many came back, in order or not, and the quickest round trip.
"""

import json
import socket
import sys
import time

PORT = 5004
# After the last datagram nothing of a line takes longer.
PATIENCE_S = 1.5


def echo(address: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((address, PORT))
        print("listening", flush=True)
        while True:
            sock.sendto(*sock.recvfrom(2048))


def send(address: str, count: int, size: int, every_ms: float) -> dict[str, float]:
    came, quickest_ms, disordered, newest = 0, float("inf"), 0, -1
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        sock.connect((address, PORT))
        began = last = time.monotonic()
        sent = 0
        while sent < count or time.monotonic() < last + PATIENCE_S:
            if sent < count and time.monotonic() >= began + sent * every_ms / 1000:
                stamp = sent.to_bytes(4, "big") + time.monotonic_ns().to_bytes(8, "big")
                sock.send(stamp.ljust(size, b"\0"))
                sent += 1
                last = time.monotonic()
            try:
                packet = sock.recv(2048)
            except BlockingIOError:
                time.sleep(0.0002)
                continue
            came += 1
            number = int.from_bytes(packet[:4], "big")
            disordered += number < newest
            newest = max(newest, number)
            quickest_ms = min(quickest_ms, (time.monotonic_ns() - int.from_bytes(packet[4:12], "big")) / 1e6)
    return {"came": came, "quickest_ms": quickest_ms, "disordered": disordered}


if __name__ == "__main__":
    if sys.argv[1] == "echo":
        echo(sys.argv[2])
    print(json.dumps(send(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), float(sys.argv[5]))))
