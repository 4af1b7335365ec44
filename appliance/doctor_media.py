"""The doctor's look at camera, encoder, microphone and speaker.

With a running unit they are judged by what its workers report, for they hold the devices; without one the workers
themselves are started for a few seconds, so that the check sees what the unit would see.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from .control.client import ControlClient
from .errors import ControlError, WorkerError
from .finding import CALL, Finding, of_problem
from .paths import Paths
from .problems import CATALOGUE
from .settings import Settings
from .worker_process import WorkerProcess

LOOK_S = 1.5
# Of workers that are started for the check: enough reports to see them move, within this time.
REPORTS = 4
WORKERS_S = 9.0
SILENT_DBFS = -60.0


async def examine_media(paths: Paths, settings: Settings) -> Sequence[Finding]:
    try:
        client = await ControlClient.connect(paths.socket)
    except ControlError as error:
        if error.code != "not-running":
            text = (str(error), str(error))
            return [Finding("camera", "failed", text, ("Tắt rồi bật nguồn.", "Switch the power off and on."))]
        first, last, problems = await _by_workers(settings)
    else:
        try:
            before = await client.ask("status")
            await asyncio.sleep(LOOK_S)
            after = await client.ask("status")
        finally:
            await client.close()
        first, last = before["numbers"], after["numbers"]
        problems = {problem["code"] for problem in after["problems"]}
    return [
        *_camera(first.get("camera"), last.get("camera"), problems),
        *_sound(first.get("sound"), last.get("sound"), problems),
    ]


async def _by_workers(settings: Settings) -> tuple[dict[str, Any], dict[str, Any], set[str]]:
    """Start camera and sound workers for a moment, and keep their first and their last report."""
    first: dict[str, Any] = {}
    last: dict[str, Any] = {}
    problems: set[str] = set()
    counts: dict[str, int] = {}
    enough = asyncio.Event()

    def reporter(name: str) -> Callable[[dict[str, Any]], None]:
        def report(message: dict[str, Any]) -> None:
            if message["type"] == "status":
                for key in ("problem", "sink_problem"):
                    row = message.get(key)
                    if row:
                        problems.add(row["code"])
                first.setdefault(name, message)
                last[name] = message
                counts[name] = counts.get(name, 0) + 1
                if len(counts) == len(setups) and min(counts.values()) >= REPORTS:
                    enough.set()

        return report

    setups: dict[str, dict[str, Any]] = {
        "camera": {
            "unit_name": settings.unit.name,
            "language": settings.unit.language,
            "video": settings.video.model_dump(mode="json"),
            "camera_on": True,
        },
        "sound": {"audio": settings.audio.model_dump(mode="json"), "muted": False, "tap_dir": None},
    }

    async def run(name: str, setup: dict[str, Any]) -> None:
        message = {"cmd": "configure", **setup}
        worker = WorkerProcess(name, lambda: message, lambda *_: None, reporter(name), lambda _: None)
        try:
            await worker.run()
        except WorkerError:
            return  # what it did not report is told

    running = [asyncio.ensure_future(run(name, setup)) for name, setup in setups.items()]
    try:
        await asyncio.wait_for(enough.wait(), WORKERS_S)
    except TimeoutError:
        pass  # what was reported by now is judged
    finally:
        for job in running:
            job.cancel()
        await asyncio.gather(*running, return_exceptions=True)
    return first, last, problems


def _trouble(check: str, codes: Sequence[str], problems: set[str]) -> list[Finding]:
    for code in codes:
        if code in problems:
            return [of_problem(check, code)]
    return []


def _camera(first: Any, last: Any, problems: set[str]) -> Sequence[Finding]:
    trouble = _trouble("camera", ("camera-missing", "camera-busy", "video-file"), problems)
    if trouble:
        return trouble
    if not first or not last or last["frames"] <= first["frames"]:
        return [of_problem("camera", "camera-missing")]
    size = f"{last['source']} {last['width']}x{last['height']}@{last['fps']}"
    coded = f"{last['encoder']}, {last['bitrate_bps'] // 1000} kbit/s"
    findings = [Finding("camera", "ok", (size, size)), Finding("encoder", "ok", (coded, coded))]
    if not last["camera_on"]:
        off = ("camera đang tắt", "the camera is switched off")
        findings[0] = Finding("camera", "warning", off, ("Bật bằng trang quản trị.", "Switch it on in the panel."))
    return findings


def _sound(first: Any, last: Any, problems: set[str]) -> Sequence[Finding]:
    findings = _trouble("microphone", ("microphone-missing", "sound-file"), problems)
    if not findings and first and last:
        level = max(first["level_dbfs"], last["level_dbfs"])
        heard = f"{last['source']} {level:.0f} dBFS"
        if level < SILENT_DBFS:
            cure = (
                "Kiểm tra công tắc và dây của micrô, rồi nói thử.",
                "Check the microphone's switch and cable; speak.",
            )
            findings = [Finding("microphone", "warning", (f"im lặng ({heard})", f"silent ({heard})"), cure)]
        else:
            muted = (" (đang tắt)", " (muted)") if last["muted"] else ("", "")
            findings = [Finding("microphone", "ok", (heard + muted[0], heard + muted[1]))]
    speaker = _trouble("speaker", ("speaker-missing",), problems)
    if not speaker and first and last:
        delay_ms = last["playout_delay_ns"] / 1e6
        text = (f"{last['sink']}, trễ {delay_ms:.0f} ms", f"{last['sink']}, {delay_ms:.0f} ms to the ear")
        row = CATALOGUE["speaker-missing"]
        works = delay_ms > 0
        speaker = [Finding("speaker", "ok" if works else "failed", text, None if works else (row.cure_vi, row.cure_en))]
    if not first or not last:
        text = ("không khởi động được", "the sound worker does not start")
        return [*findings, *speaker] or [Finding("microphone", "failed", text, CALL)]
    return [*findings, *speaker]
