"""`python -m bench.rate`: what rate control makes of slow, lossy and shared lines; a simulated table, and a real one.

The simulated line runs our real senders by a clock of its own: a minute of line takes a second. With --real (root;
a TUN device) a unit and a lab MCU hold a call over bench.line's path for each case, about a minute each.
"""

import argparse
import asyncio
import sys
from collections.abc import Callable
from typing import Any

from .rate_line import Run

_MBIT_2 = 2_000_000
Spans = tuple[tuple[str, float, float], ...]


def _slow() -> Run:
    return Run(bps=500_000, queue_ms=500, one_way_ms=20).run(60)


def _drop() -> Run:
    run = Run(bps=_MBIT_2, queue_bytes=31_250)
    run.at(20, lambda: run.set_line(500_000))
    run.at(60, lambda: run.set_line(_MBIT_2))
    return run.run(100)


def _loss(loss: float) -> Callable[[], Run]:
    return lambda: Run(bps=2_400_000, loss=loss).run(60)


def _tcp(queue_ms: int) -> Callable[[], Run]:
    def held() -> Run:
        run = Run(bps=_MBIT_2, queue_ms=queue_ms)
        run.at(15, run.tcp.start)
        run.at(75, run.tcp.stop)
        return run.run(100)

    return held


def _stall() -> Run:
    run = Run(bps=3_000_000)
    run.at(20, lambda: run.set_line(0))
    run.at(24, lambda: run.set_line(3_000_000))
    return run.run(50)


_TCP_SPANS = (("alone", 8.0, 15.0), ("beside TCP", 25.0, 75.0), ("alone again", 85.0, 100.0))
SIMULATED: dict[str, tuple[Callable[[], Run], Spans]] = {
    "clean, 10 Mbit/s": (lambda: Run(bps=10_000_000).run(40), (("first 10 s", 0, 10), ("later", 15, 40))),
    "500 kbit/s, queue 500 ms": (_slow, (("first 5 s", 0, 5), ("later", 5, 60))),
    "128 kbit/s, queue 500 ms": (lambda: Run(bps=128_000).run(60), (("later", 10, 60),)),
    "2 Mbit/s -> 500 kbit/s -> 2 Mbit/s": (
        _drop,
        (("before", 10, 20), ("first 2 s", 20, 22), ("slow", 23, 60), ("10 s later", 70, 75), ("20 s later", 80, 100)),
    ),
    "5 % loss, 40 ms each way": (_loss(0.05), (("first 10 s", 0, 10), ("later", 15, 60))),
    "10 % loss, 40 ms each way": (_loss(0.10), (("first 10 s", 0, 10), ("later", 15, 60))),
    "2 Mbit/s, queue 100 ms, TCP": (_tcp(100), _TCP_SPANS),
    "2 Mbit/s, queue 200 ms, TCP": (_tcp(200), _TCP_SPANS),
    "2 Mbit/s, queue 500 ms, TCP": (_tcp(500), _TCP_SPANS),
    "cut for 4 s": (_stall, (("before", 10, 20), ("2 s later", 26, 30), ("later", 30, 50))),
}


def _row(name: str, when: str, cells: list[str]) -> str:
    return f"{name:<36}{when:<13}" + "".join(f"{cell:>10}" for cell in cells)


def simulated() -> str:
    lines = [_row("simulated line", "", ["kbit/s", "TCP", "q p50 ms", "q p95 ms", "fps", "picture"])]
    for name, (hold, spans) in SIMULATED.items():
        run = hold()
        for when, begin, end in spans:
            part = run.between(begin, end)
            seconds = part[-1].t - part[0].t
            heights = [sample.height for sample in part]
            cells = [
                f"{run.got_bps(begin, end) / 1000:.0f}",
                f"{run.tcp_bps(begin, end) / 1000:.0f}" if run.tcp.acked_bytes else "-",
                f"{run.queue_p(50, begin, end):.0f}",
                f"{run.queue_p(95, begin, end):.0f}",
                f"{(part[-1].frames - part[0].frames) / seconds:.0f}",
                f"{max(heights, key=heights.count)}p",
            ]
            lines.append(_row(name, when, cells))
            name = ""
    return "\n".join(lines)


async def _real() -> str:
    # Only here: the simulated half needs neither root nor the line of bench.line.
    from . import rate_real
    from .line.impairment import LinkSettings

    async def nothing(_line: Any, _begun: float) -> None:
        return

    async def drop(line: Any, begun: float) -> None:
        await rate_real.at(begun, 20)
        await line.change(up={"rate_kbps": 500, "queue_ms": 500})
        await rate_real.at(begun, 50)
        await line.change(up={"rate_kbps": 2000, "queue_ms": 125})

    async def tcp(line: Any, begun: float) -> None:
        await rate_real.tcp_beside(line, 15, 60, begun)

    cases: dict[str, tuple[LinkSettings, float, Any, Spans]] = {
        "500 kbit/s, queue 500 ms": (
            LinkSettings(delay_ms=20, rate_kbps=500, queue_ms=500), 45, nothing,
            (("first 5 s", 0, 5), ("later", 5, 45)),
        ),
        "2 Mbit/s -> 500 kbit/s -> 2 Mbit/s": (
            LinkSettings(delay_ms=40, rate_kbps=2000, queue_ms=125), 85, drop,
            (("before", 10, 20), ("first 2 s", 20, 22), ("slow", 23, 50), ("10 s later", 60, 65),
             ("15 s later", 65, 85)),
        ),
        "2 Mbit/s, queue 300 ms, TCP (CUBIC)": (
            LinkSettings(delay_ms=40, rate_kbps=2000, queue_ms=300), 80, tcp,
            (("alone", 8, 15), ("beside TCP", 20, 60), ("alone again", 70, 80)),
        ),
        "5 % loss, 40 ms each way": (
            LinkSettings(delay_ms=40, rate_kbps=2400, queue_ms=300, loss=0.05), 45, nothing,
            (("first 10 s", 0, 10), ("later", 15, 45)),
        ),
    }  # fmt: skip
    titles = ["kbit/s", "of them", "q p50 ms", "q p95 ms", "fps", "picture", "freeze ms"]
    lines = [_row("real line", "", ["line", "ours", *titles[2:]])]
    for name, (up, seconds, script, spans) in cases.items():
        print(f"bench.rate: {name} ({seconds:.0f} s) ...", file=sys.stderr, flush=True)
        run = await rate_real.call(up, seconds, script)
        first = name
        for when, begin, end in spans:
            row = run.row(begin, end)
            if row is None:
                lines.append(_row(first, when, ["(machine too busy to look)"]))
            else:
                keys = ("line_kbps", "ours_kbps", "queue_p50_ms", "queue_p95_ms", "fps", "size", "freeze_ms")
                lines.append(_row(first, when, [str(row[key]) for key in keys]))
            first = ""
        if run.decode_errors:
            lines.append(f"  the lab MCU could not decode {run.decode_errors} pictures")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.rate", description=__doc__)
    parser.add_argument("--real", action="store_true", help="also over a real path (root)")
    arguments = parser.parse_args()
    print(simulated())
    if arguments.real:
        from .line import machine, path

        if reason := path.missing():
            sys.exit(f"bench.rate: {reason}")
        machine.go_first()
        print("\n" + asyncio.run(_real()))


if __name__ == "__main__":
    main()
