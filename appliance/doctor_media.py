"""The doctor's look at the running unit, and at camera, encoder, microphone and speaker.

With a running unit they are judged by what its workers report, for they hold the devices; without one the workers
themselves are started for a few seconds, so that the check sees what the unit would see.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from .control.client import ControlClient
from .control.words import said
from .errors import ControlError, WorkerError
from .finding import CALL, SUDO, Finding, Result, of_problem
from .paths import Paths
from .problems import CATALOGUE
from .settings import Settings
from .worker_process import WorkerProcess

LOOK_S = 1.5
# Of workers that are started for the check: enough reports to see them move, within this time.
REPORTS = 4
WORKERS_S = 9.0
SILENT_DBFS = -60.0
# What the lines of the devices tell by themselves.
CAMERA_PROBLEMS = ("camera-missing", "camera-busy", "video-file")
MICROPHONE_PROBLEMS = ("microphone-missing", "sound-file")
SPEAKER_PROBLEMS = ("speaker-missing",)


async def examine_unit(paths: Paths, settings: Settings) -> Sequence[Finding]:
    """How the unit is, in its own words, and how its devices are."""
    try:
        before, after = await _look(paths)
    except ControlError as error:
        if error.code == "not-running":
            text = ("chưa chạy; các bộ phận được thử riêng", "not running; its parts are tried by themselves")
            cure = ("Chạy: systemctl start bridgepoint", "Run: systemctl start bridgepoint")
            return [Finding("unit", "warning", text, cure), *_devices(*await _by_workers(settings))]
        if error.code == "not-allowed":
            return [Finding("unit", "warning", ("không có quyền hỏi", "you may not ask it"), SUDO)]
        return [Finding("unit", "failed", said(error), CALL)]
    problems = {problem["code"]: problem for problem in after["problems"]}
    told = (*CAMERA_PROBLEMS, *MICROPHONE_PROBLEMS, *SPEAKER_PROBLEMS)
    return [
        Finding("unit", "ok", ("đang chạy", "running")),
        *(_problem(problem) for code, problem in problems.items() if code not in told),
        *_devices(before["numbers"], after["numbers"], set(problems)),
    ]


async def _look(paths: Paths) -> tuple[dict[str, Any], dict[str, Any]]:
    """The unit's state twice, so that what moves is seen to move."""
    client = await ControlClient.connect(paths.socket)
    try:
        before = await client.ask("status")
        await asyncio.sleep(LOOK_S)
        return before, await client.ask("status")
    finally:
        await client.close()


def _problem(problem: dict[str, Any]) -> Finding:
    """A Problem of the unit in its own words: it may be of another version than this program."""
    more = f" ({problem['detail']})" if problem["detail"] else ""
    cause, cure = problem["cause"], problem["cure"]
    result: Result = "failed" if problem["severity"] == "fault" else "warning"
    return Finding("unit", result, (cause["vi"] + more, cause["en"] + more), (cure["vi"], cure["en"]))


def _devices(first: dict[str, Any], last: dict[str, Any], problems: set[str]) -> Sequence[Finding]:
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
        worker = WorkerProcess(name, lambda: message, lambda *_: None, reporter(name), lambda _: None, is_quiet=True)
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
    trouble = _trouble("camera", CAMERA_PROBLEMS, problems)
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
    findings = _trouble("microphone", MICROPHONE_PROBLEMS, problems)
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
    speaker = _trouble("speaker", SPEAKER_PROBLEMS, problems)
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
