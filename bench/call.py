"""`python -m bench.call`: what a 720p30 call costs a bridge point, beside plain aiortc and a GStreamer C pipeline."""

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from appliance.demo.measured import start_mcu
from appliance.demo.processes import bridgepoint

from . import gstreamer

# The aims of docs/performance.md.
AIMS = {"engine CPU-s / 60 s": 6.5, "PSS MB, all": 220.0, "connect ms": 600.0, "glass to glass p50 ms": 100.0}


def _ours(seconds: float) -> dict[str, Any]:
    done = subprocess.run(
        bridgepoint("demo", "--json", "--seconds", str(seconds)), capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"bench: the demo failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return figures


async def _aiortc(seconds: float) -> dict[str, Any]:
    async with AsyncExitStack() as parts:
        folder = parts.enter_context(tempfile.TemporaryDirectory())
        _, url = await start_mcu(parts, Path(folder), echo=True)
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "bench.aiortc_unit", f"{url}/whip/bench/b", f"{url}/whep/bench/b", str(seconds)),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        out, errors = await process.communicate()
        if process.returncode:
            sys.exit(f"bench: plain aiortc failed:\n{errors.decode()[-2000:]}")
        figures: dict[str, Any] = json.loads(out.splitlines()[-1])
        return figures


def _row(name: str, *values: float | str | None) -> str:
    cells = (value if isinstance(value, str) else "-" if value is None else f"{value:.1f}" for value in values)
    return f"{name:<26}" + "".join(f"{cell:>12}" for cell in cells)


def _ratio(ours: float | None, other: float | None) -> str:
    return f"{ours / other:.2f}" if ours is not None and other else "-"


def table(seconds: float, ours: dict[str, Any], aiortc: dict[str, Any], gst: dict[str, Any]) -> str:
    """The table; CPU-seconds are scaled to 60 s of call."""
    scale = 60 / seconds
    cpu, pss = ours["cpu_s"], ours["pss_mb"]
    all_cpu, all_pss = sum(cpu.values()) * scale, sum(pss.values())
    glass, glass_aiortc = ours["video"]["glass_to_glass_ms"], aiortc["glass_to_glass_ms"]
    glass_gst = gst.get("glass_to_glass_ms", {})
    gst_cpu = gst["cpu_s"] * scale if gst else None
    lines = [
        _row("", "bridgepoint", "aiortc", "ours/aiortc", "GStreamer*", "aim"),
        *(_row(f"  {name} CPU-s / 60 s", value * scale) for name, value in cpu.items()),
        _row("CPU-s / 60 s, all", all_cpu, aiortc["cpu_s"] * scale, _ratio(all_cpu, aiortc["cpu_s"] * scale), gst_cpu),
        _row("engine CPU-s / 60 s", cpu["engine"] * scale, "", "", "", AIMS["engine CPU-s / 60 s"]),
        *(_row(f"  {name} PSS MB", value) for name, value in pss.items()),
        _row(
            *("PSS MB, all", all_pss, aiortc["pss_mb"], _ratio(all_pss, aiortc["pss_mb"]), gst.get("pss_mb")),
            AIMS["PSS MB, all"],
        ),
        _row(
            *("connect ms", ours["connect_ms"], aiortc["connect_ms"]),
            *(_ratio(ours["connect_ms"], aiortc["connect_ms"]), gst.get("connect_ms"), AIMS["connect ms"]),
        ),
        _row(
            *("glass to glass p50 ms", glass["p50"], glass_aiortc["p50"], _ratio(glass["p50"], glass_aiortc["p50"])),
            *(glass_gst.get("p50"), AIMS["glass to glass p50 ms"]),
        ),
        _row(
            *("glass to glass p95 ms", glass["p95"], glass_aiortc["p95"], _ratio(glass["p95"], glass_aiortc["p95"])),
            glass_gst.get("p95"),
        ),
        _row("mouth to ear p50 ms", ours["audio"]["mouth_to_ear_ms"]["p50"]),
        _row("picture/sound offset ms", ours["av_offset_ms"]["p50"]),
        _row("pictures a second", ours["video"]["frames_shown"] / seconds, aiortc["pictures"] / seconds),
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="length of each call (default 60)")
    seconds = parser.parse_args().seconds
    print(f"three calls of {seconds:.0f} s, one after another ...", file=sys.stderr)
    ours = _ours(seconds)
    aiortc = asyncio.run(_aiortc(seconds))
    reason = gstreamer.missing()
    gst = {} if reason else gstreamer.call(seconds)
    print(table(seconds, ours, aiortc, gst))
    print("\nOurs and aiortc call the same lab MCU (its cost is not counted); it adds its own encode and decode.")
    print(f"* {reason or 'straight to itself: no MCU, ICE, encryption or rate control; a floor for the codecs'}")


if __name__ == "__main__":
    main()
