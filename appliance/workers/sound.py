"""The sound worker: microphone to the engine, far-end sound from the engine to the speaker."""

import asyncio
import logging
from pathlib import Path
from typing import Any

from appliance.capture.audio_factory import open_microphone
from appliance.capture.microphone import Microphone
from appliance.errors import DeviceError, WorkerError
from appliance.media.clock import MediaClock
from appliance.media.pcm import dbfs
from appliance.media.pipe import Kind
from appliance.media.sound_tap import SoundTap
from appliance.playout.far_sound import FarSound
from appliance.playout.speaker import Speaker
from appliance.playout.speaker_factory import open_speaker

from .runtime import EnginePort, run_worker

# Run as a program, the module is called __main__.
log = logging.getLogger("appliance.workers.sound")

# Microphone blocks from one status to the next: 0.5 s.
_STATUS_BLOCKS = 25
# A driver that keeps its thread this long has hung; only a new process gets rid of it.
_HANG_NS = 5_000_000_000


class SoundWorker:
    """Puts the parts together and answers the engine."""

    def __init__(self, port: EnginePort, configure: dict[str, Any]) -> None:
        audio = configure["audio"]
        tap_dir = configure.get("tap_dir")
        clock = self._clock = MediaClock()
        self._port = port
        self._names = {"source": audio["source"], "sink": audio["sink"]}
        self._sent = 0
        self._told: dict[str, str | None] = {}
        self._mic_tap = SoundTap(Path(tap_dir), "mic") if tap_dir else None
        self._speaker_tap = SoundTap(Path(tap_dir), "speaker") if tap_dir else None
        self._far = FarSound(lambda heard_ns: port.send(Kind.PULL, b"", heard_ns), clock)
        self._microphone = Microphone(
            lambda: open_microphone(audio, clock),
            self._send,
            clock,
            muted=bool(configure["muted"]),
            on_problem=self._problem_changed,
        )
        self._speaker = Speaker(
            lambda: open_speaker(audio, clock),
            self._far,
            clock,
            volume_percent=int(audio["volume_percent"]),
            on_heard=self._speaker_tap.write if self._speaker_tap else lambda samples, heard_ns: None,
            on_problem=self._problem_changed,
        )
        port.on_media = self._media

    async def run(self) -> None:
        """Job: serve until cancelled."""
        self._port.report({"type": "ready"})
        try:
            async with asyncio.TaskGroup() as jobs:
                jobs.create_task(self._commands())
                jobs.create_task(self._microphone.run())
                jobs.create_task(self._speaker.run())
        finally:
            for tap in (self._mic_tap, self._speaker_tap):
                if tap is not None:
                    tap.close()

    async def _commands(self) -> None:
        while True:
            message = await self._port.commands.get()
            match message.get("cmd"):
                case "mute":
                    self._microphone.muted = bool(message["on"])
                    self._report_status()
                case "volume":
                    self._speaker.volume.set(int(message["percent"]))
                case other:
                    log.warning("unknown command %r", other)

    def _media(self, kind: Kind, payload: bytes, time_ns: int, is_keyframe: bool) -> None:
        if kind is Kind.AUDIO:
            self._far.answer(payload, time_ns)

    def _send(self, samples: bytes, pts_ns: int) -> None:
        self._port.send(Kind.AUDIO, samples, pts_ns)
        if self._mic_tap is not None:
            self._mic_tap.write(samples, pts_ns)
        self._sent += 1
        if self._sent % _STATUS_BLOCKS == 0:
            self._check_threads()
            self._report_status()

    def _check_threads(self) -> None:
        oldest_ns = self._clock.now_ns() - _HANG_NS
        for name, part in (("microphone", self._microphone), ("speaker", self._speaker)):
            if part.alive_ns < oldest_ns:
                raise WorkerError(f"the driver of the {name} hangs")

    def _problem_changed(self) -> None:
        for name, part in (("microphone", self._microphone), ("speaker", self._speaker)):
            text = str(part.problem) if part.problem else None
            if text != self._told.get(name):
                self._told[name] = text
                log.warning("%s: %s", name, text) if text else log.info("%s: works", name)
        self._report_status()

    def _report_status(self) -> None:
        microphone, speaker = self._microphone, self._speaker
        self._port.report(
            {
                "type": "status",
                "captured": microphone.captured,
                "played": speaker.played,
                "missed": self._far.missed,
                "late": self._far.late,
                "xruns": microphone.xruns + speaker.xruns,
                "level_dbfs": dbfs(microphone.take_power()),
                "out_level_dbfs": dbfs(speaker.take_power()),
                "muted": microphone.muted,
                "playout_delay_ns": speaker.delay_ns,
                **self._names,
                "problem": _row(microphone.problem),
                "sink_problem": _row(speaker.problem),
            }
        )


def _row(problem: DeviceError | None) -> dict[str, str] | None:
    return {"code": problem.problem, "detail": str(problem)} if problem else None


async def main(port: EnginePort, configure: dict[str, Any]) -> None:
    await SoundWorker(port, configure).run()


if __name__ == "__main__":
    run_worker(main)
