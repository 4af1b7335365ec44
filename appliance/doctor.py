"""Check everything that a meeting needs, one line a check: what was found, and what to do."""

import asyncio
import logging
import os
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from email.utils import parsedate_to_datetime
from pathlib import Path

from . import settings_store
from .doctor_media import examine_unit
from .doctor_network import examine_mcus, examine_network
from .errors import ApplianceError
from .finding import CALL, SUDO, Finding, of_problem
from .paths import Paths
from .problems import storage_code
from .settings import Meeting

log = logging.getLogger(__name__)

CHECK_LIMIT_S = 12.0
LEAST_FREE_MB = 100
CLOCK_OFF_S = 60.0
# No unit runs before this program was written.
LEAST_YEAR = 2025


NAMES = {
    "settings": ("Cài đặt", "Settings"),
    "unit": ("Thiết bị", "Unit"),
    "camera": ("Camera", "Camera"),
    "encoder": ("Bộ mã hóa", "Encoder"),
    "microphone": ("Micrô", "Microphone"),
    "speaker": ("Loa", "Speaker"),
    "network": ("Mạng", "Network"),
    "mcu": ("Trung tâm", "MCU"),
    "clock": ("Đồng hồ", "Clock"),
    "disk": ("Thẻ nhớ", "Disk"),
}
_Check = Callable[[], Awaitable[Sequence[Finding]]]


async def examine(paths: Paths, report: Callable[[Finding], None]) -> list[Finding]:
    """Run all checks side by side, each within its time; `report` hears of each as it is done."""
    loaded = settings_store.load(paths.state_dir, paths.defaults, repair=False)
    settings = loaded.settings
    checks: dict[str, _Check] = {
        "settings": lambda: _settings(loaded, paths.state_dir),
        "unit": lambda: examine_unit(paths, settings),
        "network": lambda: examine_network(settings),
        "mcu": lambda: examine_mcus(settings.meetings),
        "clock": lambda: _clock(settings.meetings),
        "disk": lambda: asyncio.to_thread(_disk, paths.state_dir),
    }
    found: list[Finding] = []

    async def run(name: str, check: _Check) -> None:
        try:
            results = await asyncio.wait_for(check(), CHECK_LIMIT_S)
        except TimeoutError:
            text = (f"không xong trong {CHECK_LIMIT_S:.0f} giây", f"not done within {CHECK_LIMIT_S:.0f} s")
            results = [Finding(name, "failed", text, CALL)]
        except ApplianceError as error:
            results = [Finding(name, "failed", (str(error), str(error)), CALL)]
        except Exception as error:
            # A bug in one check must not cost the others.
            log.exception("check %s failed unexpectedly", name)
            reason = f"{type(error).__name__}: {error}"
            text = (f"không kiểm tra được ({reason})", f"could not be checked ({reason})")
            results = [Finding(name, "failed", text, CALL)]
        for finding in results:
            found.append(finding)
            report(finding)

    await asyncio.gather(*(run(name, check) for name, check in checks.items()))
    # Who reads ten lines where eleven are due might miss the one that counts.
    silent = NAMES.keys() - {finding.check for finding in found}
    found += [Finding(name, "skipped", ("không kiểm tra được", "could not be checked")) for name in silent]
    return sorted(found, key=lambda finding: list(NAMES).index(finding.check))


async def _settings(loaded: settings_store.Loaded, state_dir: Path) -> Sequence[Finding]:
    try:
        (state_dir / settings_store.MAIN).open("rb").close()
    except PermissionError:
        return [Finding("settings", "warning", ("không có quyền đọc", "you may not read them"), SUDO)]
    except OSError:
        pass  # what is wrong with the file is told below
    if loaded.problems:
        return [
            Finding(
                "settings",
                "failed" if problem.text.severity == "fault" else "warning",
                (f"{problem.text.cause_vi} {problem.detail}", f"{problem.text.cause_en} {problem.detail}"),
                (problem.text.cure_vi, problem.text.cure_en),
            )
            for problem in loaded.problems
        ]
    if not loaded.settings.meetings:
        return [of_problem("settings", "no-meeting")]
    count = len(loaded.settings.meetings)
    return [Finding("settings", "ok", (f"đọc được, {count} cuộc họp", f"sound, {count} meetings"))]


async def _clock(meetings: Sequence[Meeting]) -> Sequence[Finding]:
    cure = ("Nối mạng để thiết bị tự chỉnh giờ.", "Connect the network: the unit then sets its clock.")
    now = time.time()
    shown = time.strftime("%Y-%m-%d %H:%M", time.localtime(now))
    if time.gmtime(now).tm_year < LEAST_YEAR:
        return [Finding("clock", "failed", (f"sai: {shown}", f"wrong: {shown}"), cure)]
    for theirs in await asyncio.gather(*(_time_of(meeting.send_url) for meeting in meetings)):
        if theirs is not None and abs(theirs - now) > CLOCK_OFF_S:
            off = round(now - theirs)
            found = (f"{shown}, lệch {off} giây so với trung tâm", f"{shown}, {off} s off the MCU's")
            return [Finding("clock", "failed", found, cure)]
    return [Finding("clock", "ok", (shown, shown))]


async def _time_of(url: str) -> float | None:
    """The server's clock, from its Date header (RFC 9110 section 6.6.1); within a second of the truth."""
    import aiohttp

    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as http,
            http.options(url, ssl=False, allow_redirects=False) as answer,
        ):
            return parsedate_to_datetime(answer.headers["Date"]).timestamp()
    except (aiohttp.ClientError, OSError, TimeoutError, KeyError, ValueError):
        return None


def _disk(state_dir: Path) -> Sequence[Finding]:
    scratch = state_dir / f".doctor.{os.getpid()}"
    try:
        state_dir.mkdir(parents=True, exist_ok=True)
        with scratch.open("wb") as file:
            file.write(b"x" * 4096)
            file.flush()
            os.fsync(file.fileno())
        usage = os.statvfs(state_dir)
    except PermissionError:
        return [Finding("disk", "skipped", ("không có quyền kiểm tra", "you may not check it"), SUDO)]
    except OSError as error:
        return [of_problem("disk", storage_code(error), str(error))]
    finally:
        with suppress(OSError):
            scratch.unlink()
    free_mb = usage.f_bavail * usage.f_frsize // 1_000_000
    text = (f"ghi được, còn {free_mb} MB", f"can be written, {free_mb} MB free")
    if free_mb < LEAST_FREE_MB:
        return [Finding("disk", "warning", text, ("Báo cán bộ kỹ thuật.", "Tell the technician."))]
    return [Finding("disk", "ok", text)]
