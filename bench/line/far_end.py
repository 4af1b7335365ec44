"""The far end with a receiver of others: our WHIP offers go to a program that answers them, and its words are kept.

Run at the far end: `python -m bench.line.far_end RECEIVER RECORDS ADDR:PORT`. The receiver is a program of its own that
reads `{"offer": sdp}` lines and writes `{"answer": sdp}`, `{"shown": [[ns, cells in hex], ...]}`,
`{"heard": base64 of 48 kHz mono, "at_ns": ns}` and `{"stats": {...}}` lines, times on the MediaClock.
"""

import asyncio
import base64
import json
import sys
from pathlib import Path
from typing import Any

from aiohttp import web

from appliance.media.sound_tap import SoundTap

from .cells import captured_ns
from .serving import MAX_BODY, SDP, serve
from .stock import answerer
from .talker import Talker

_ANSWER_S = 12.0
_END_S = 5.0
# Half a second of what a receiver says, coded.
_MOST_LINE = 4 * 1024 * 1024


class Receiver:
    """The program, and the records of what it says."""

    def __init__(self, name: str, records: Path) -> None:
        self._command = answerer(name)
        self._shown = (records / "shown.csv").open("a", buffering=1)
        self._stats = (records / "stats.jsonl").open("a", buffering=1)
        self._sound = SoundTap(records, "speaker")
        self._process: asyncio.subprocess.Process | None = None
        self._answers: asyncio.Queue[dict[str, Any]] = asyncio.Queue(maxsize=8)
        self._turn = asyncio.Lock()
        self._ready = asyncio.Event()

    async def start(self, _: web.Application) -> None:
        self._process = await asyncio.create_subprocess_exec(
            *self._command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=_MOST_LINE
        )
        self._reading = asyncio.create_task(self._read(self._process))
        await asyncio.wait_for(self._ready.wait(), 30)

    async def stop(self, _: web.Application) -> None:
        process = self._process
        assert process is not None
        assert process.stdin is not None
        process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), _END_S)
        except TimeoutError:
            process.kill()
            await process.wait()
        await self._reading
        self._sound.close()
        self._shown.close()
        self._stats.close()

    async def answer(self, offer: str) -> dict[str, Any]:
        process = self._process
        assert process is not None
        assert process.stdin is not None
        async with self._turn:
            process.stdin.write(json.dumps({"offer": offer}).encode() + b"\n")
            return await asyncio.wait_for(self._answers.get(), _ANSWER_S)

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        async for line in process.stdout:
            said = json.loads(line)
            for shown_ns, cells in said.get("shown", ()):
                self._shown.write(f"{shown_ns},{captured_ns(bytes.fromhex(cells), shown_ns) or ''},0\n")
            if "heard" in said:
                self._sound.write(base64.b64decode(said["heard"]), said["at_ns"])
            if "stats" in said:
                self._stats.write(json.dumps(said["stats"]) + "\n")
            if "ready" in said:
                self._ready.set()
            if "answer" in said or "error" in said:
                self._answers.put_nowait(said)
        self._ready.set()


def application(receiver: Receiver, talker: Talker) -> web.Application:
    async def whip(request: web.Request) -> web.Response:
        said = await receiver.answer(await request.text())
        if "error" in said:
            print(f"the receiver refuses the offer: {said['error']}", flush=True)
            return web.Response(status=500, text=f"{said['error']}\n")
        return web.Response(status=201, text=said["answer"], content_type=SDP, headers={"Location": "/session/whip"})

    async def whep(request: web.Request) -> web.Response:
        answer = await talker.answer(await request.text())
        return web.Response(status=201, text=answer, content_type=SDP, headers={"Location": "/session/whep"})

    async def ended(_: web.Request) -> web.Response:
        return web.Response()

    app = web.Application(client_max_size=MAX_BODY)
    app.router.add_post("/whip", whip)
    app.router.add_post("/whep", whep)
    app.router.add_delete("/session/{kind}", ended)
    app.on_startup.append(receiver.start)
    app.on_cleanup.append(receiver.stop)
    return app


async def main(name: str, records: Path, listen: str) -> None:
    talker = Talker()
    async with talker.running():
        await serve(application(Receiver(name, records), talker), listen)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2]), sys.argv[3]))
