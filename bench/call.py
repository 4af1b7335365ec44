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
from .comparison import Comparison, notes


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="length of each call (default 60)")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the table")
    given = parser.parse_args()
    seconds: float = given.seconds
    print(f"three calls of {seconds:.0f} s, one after another ...", file=sys.stderr)
    ours = _ours(seconds)
    aiortc = asyncio.run(_aiortc(seconds))
    reason = gstreamer.missing()
    comparison = Comparison(seconds, ours, aiortc, {} if reason else gstreamer.call(seconds))
    if given.json:
        print(json.dumps(comparison.as_dict() | {"gstreamer_missing": reason}, ensure_ascii=False))
        return
    print(comparison.table())
    print()
    for note in notes(reason):
        print(note)


if __name__ == "__main__":
    main()
