"""Check everything that a meeting needs, one line a check: what was found, and what to do."""

import asyncio
import os
import socket
import time
from collections.abc import Awaitable, Callable, Sequence
from email.utils import parsedate_to_datetime
from pathlib import Path
from urllib.parse import urlsplit

from . import settings_store
from .doctor_media import examine_media
from .errors import UplinkError
from .finding import CALL, Finding, of_problem
from .paths import Paths
from .problems import CATALOGUE
from .settings import Meeting, Settings
from .uplink.probe import probe

CHECK_LIMIT_S = 12.0
LEAST_FREE_MB = 100
CLOCK_OFF_S = 60.0
# No unit runs before this program was written.
LEAST_YEAR = 2025


NAMES = {
    "settings": ("Cài đặt", "Settings"),
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
        "settings": lambda: _settings(loaded),
        "camera": lambda: examine_media(paths, settings),
        "network": lambda: _network(settings),
        "mcu": lambda: _mcus(settings.meetings),
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
        for finding in results:
            found.append(finding)
            report(finding)

    await asyncio.gather(*(run(name, check) for name, check in checks.items()))
    return sorted(found, key=lambda finding: list(NAMES).index(finding.check))


async def _settings(loaded: settings_store.Loaded) -> Sequence[Finding]:
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


# network, MCU, clock, disk


async def _network(settings: Settings) -> Sequence[Finding]:
    hosts = {urlsplit(meeting.send_url).hostname or "" for meeting in settings.meetings}
    loop = asyncio.get_running_loop()
    unknown = []
    local = True
    for host in sorted(hosts):
        try:
            addresses = await asyncio.wait_for(loop.getaddrinfo(host, None, type=socket.SOCK_STREAM), 5.0)
        except (OSError, TimeoutError):
            unknown.append(host)
            continue
        local = local and all(str(address[4][0]).startswith(("127.", "::1")) for address in addresses)
    routes = _default_routes()
    if not routes and not (local and not unknown):
        cure = ("Cắm lại dây mạng; kiểm tra bộ phát mạng.", "Plug the network cable in; check the router.")
        return [Finding("network", "failed", ("không có đường ra mạng", "no way out of this machine"), cure)]
    if unknown:
        names = ", ".join(unknown)
        found = (f"không tìm thấy địa chỉ của {names}", f"no address is known for {names}")
        cure = (
            "Kiểm tra Internet và tên máy chủ trong cài đặt.",
            "Check the Internet access and the name in the settings.",
        )
        return [Finding("network", "failed", found, cure)]
    text = ", ".join(routes) or "lo"
    return [Finding("network", "ok", (text, text))]


def _default_routes() -> list[str]:
    """Interfaces with a default route (proc(5): /proc/net/route, /proc/net/ipv6_route)."""
    found = set()
    try:
        for line in Path("/proc/net/route").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[1] == "00000000" and fields[7] == "00000000":
                found.add(fields[0])
        for line in Path("/proc/net/ipv6_route").read_text().splitlines():
            fields = line.split()
            if fields[0] == "0" * 32 and fields[1] == "00" and fields[9] != "lo":
                found.add(fields[9])
    except (OSError, IndexError):
        pass
    return sorted(found)


async def _mcus(meetings: Sequence[Meeting]) -> Sequence[Finding]:
    return [await _mcu(meeting) for meeting in meetings]


async def _mcu(meeting: Meeting) -> Finding:
    try:
        await probe(meeting)
    except UplinkError as error:
        row = CATALOGUE[error.problem]
        found = (f"{meeting.name}: {row.cause_vi} ({error})", f"{meeting.name}: {error}")
        return Finding("mcu", "failed", found, (row.cure_vi, row.cure_en))
    return Finding("mcu", "ok", (f"{meeting.name}: trả lời", f"{meeting.name}: answers"))


async def _clock(meetings: Sequence[Meeting]) -> Sequence[Finding]:
    cure = ("Nối mạng để thiết bị tự chỉnh giờ.", "Connect the network: the unit then sets its clock.")
    now = time.time()
    shown = time.strftime("%Y-%m-%d %H:%M", time.localtime(now))
    if time.gmtime(now).tm_year < LEAST_YEAR:
        return [Finding("clock", "failed", (f"sai: {shown}", f"wrong: {shown}"), cure)]
    for meeting in meetings:
        theirs = await _time_of(meeting.send_url)
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
    row = CATALOGUE["storage-failing"]
    cure = (row.cure_vi, row.cure_en)
    scratch = state_dir / f".doctor.{os.getpid()}"
    try:
        state_dir.mkdir(parents=True, exist_ok=True)
        with scratch.open("wb") as file:
            file.write(b"x" * 4096)
            file.flush()
            os.fsync(file.fileno())
        scratch.unlink()
        usage = os.statvfs(state_dir)
    except OSError as error:
        return [Finding("disk", "failed", (f"{row.cause_vi} ({error})", f"{row.cause_en} ({error})"), cure)]
    free_mb = usage.f_bavail * usage.f_frsize // 1_000_000
    text = (f"ghi được, còn {free_mb} MB", f"can be written, {free_mb} MB free")
    if free_mb < LEAST_FREE_MB:
        return [Finding("disk", "warning", text, ("Báo cán bộ kỹ thuật.", "Tell the technician."))]
    return [Finding("disk", "ok", text)]
