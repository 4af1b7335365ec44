"""What the receivers that are Python programs have in common: lines in, lines out."""

import asyncio
import base64
import json
import sys
from collections.abc import Awaitable, Callable
from typing import Any


def say(**what: Any) -> None:
    """Write one line for far_end.py."""
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


def say_heard(samples: bytes, at_ns: int) -> None:
    say(heard=base64.b64encode(samples).decode(), at_ns=at_ns)


async def answer_offers(answer: Callable[[str], Awaitable[str]]) -> None:
    """Answer each offer on stdin until it closes."""
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    say(ready=True)
    async for line in reader:
        try:
            sdp = await answer(json.loads(line)["offer"])
        except Exception as error:  # noqa: BLE001  whatever it is, the row tells it
            say(error=f"{type(error).__name__}: {error}")
        else:
            say(answer=sdp)
