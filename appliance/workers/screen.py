"""The screen worker: the far end's frames from the engine to the display; a card whenever there is no picture."""

import asyncio
import io
import logging
from pathlib import Path
from typing import Any

import av

from appliance.media.clock import NS_PER_S, MediaClock
from appliance.media.pipe import Kind
from appliance.media.values import EncodedFrame
from appliance.playout.screen import ScreenControl
from appliance.playout.screen_factory import open_display
from appliance.playout.status_card import draw_card

from .runtime import EnginePort, run_worker

# Run as a program, the module is called __main__.
log = logging.getLogger("appliance.workers.screen")

_STATUS_NS = NS_PER_S // 2
_JPEG_QUALITY = 85


class ScreenWorker:
    """Puts the parts together and answers the engine."""

    def __init__(self, port: EnginePort, configure: dict[str, Any]) -> None:
        screen, unit_name, lang = configure["screen"], configure["unit_name"], configure["language"]
        tap_dir = Path(configure["tap_dir"]) if configure.get("tap_dir") else None
        clock = self._clock = MediaClock()
        self._port = port
        self._sink = screen["sink"]
        self._told_ns = 0
        self._screen = ScreenControl(
            lambda: open_display(screen, unit_name, clock, tap_dir),
            lambda scene: draw_card(scene, unit_name, lang),
            clock,
            on_keyframe_needed=lambda: port.report({"type": "keyframe"}),
            on_first_shown=lambda: port.report({"type": "shown", "first": True}),
            on_problem=self._problem_changed,
        )
        port.on_media = self._media

    async def run(self) -> None:
        """Job: serve until cancelled."""
        self._port.report({"type": "ready"})
        # The engine tells the scene at once; a card for no scene would only flash up.
        self._obey(await self._port.commands.get())
        async with asyncio.TaskGroup() as jobs:
            jobs.create_task(self._commands())
            jobs.create_task(self._screen.run(self._look))

    async def _commands(self) -> None:
        while True:
            self._obey(await self._port.commands.get())

    def _obey(self, message: dict[str, Any]) -> None:
        match message.get("cmd"):
            case "scene":
                self._screen.set_scene(message)
            case "sync":
                self._screen.set_delay(message["delay_ns"])
            case "snapshot":
                if self._screen.on_screen is not None:
                    self._port.send(Kind.BLOB, _jpeg(self._screen.on_screen), int(message["number"]))
            case other:
                log.warning("unknown command %r", other)

    def _media(self, kind: Kind, payload: bytes, time_ns: int, is_keyframe: bool) -> None:
        if kind is Kind.VIDEO:
            self._screen.take(EncodedFrame(payload, time_ns, is_keyframe))

    def _look(self) -> None:
        now_ns = self._clock.now_ns()
        if now_ns - self._told_ns >= _STATUS_NS:
            self._told_ns = now_ns
            self._report_status()

    def _problem_changed(self) -> None:
        log.warning("screen: %s", self._screen.problem) if self._screen.problem else log.info("screen: works")
        self._report_status()

    def _report_status(self) -> None:
        problem = self._screen.problem
        row = {"code": problem.problem, "detail": str(problem)} if problem else None
        self._port.report({"type": "status", **self._screen.numbers(), "sink": self._sink, "problem": row})


def _jpeg(frame: av.VideoFrame) -> bytes:
    # Pillow is loaded for the first card; a screen that shows the meeting from its start has none yet.
    from PIL import Image

    content = io.BytesIO()
    Image.fromarray(frame.to_ndarray(format="rgb24")).save(content, "JPEG", quality=_JPEG_QUALITY)
    return content.getvalue()


async def main(port: EnginePort, configure: dict[str, Any]) -> None:
    await ScreenWorker(port, configure).run()


if __name__ == "__main__":
    run_worker(main)
