"""What the rig's small web servers at the far end have in common."""

import asyncio
import signal

from aiohttp import web

SDP = "application/sdp"
MAX_BODY = 64 * 1024
LISTENING = "listening"


async def serve(app: web.Application, listen: str) -> None:
    """Serve on ADDR:PORT until SIGTERM, and say on stdout when it has begun."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    host, _, port = listen.rpartition(":")
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, int(port)).start()
        print(LISTENING, flush=True)
        await stop.wait()
    finally:
        await runner.cleanup()
