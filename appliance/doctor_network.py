"""The doctor's look at the network: whether a way leads to each server of the settings, and whether the MCU answers."""

import asyncio
import fcntl
import ipaddress
import socket
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from .errors import UplinkError
from .finding import Finding, of_problem
from .settings import Meeting, Settings
from .uplink.http import HttpLimits
from .uplink.probe import probe

NAME_LIMIT_S = 5.0
# Two requests, one after the other, within the time of a check.
PROBE_LIMITS = HttpLimits(connect_s=4.0, total_s=5.0)
# include/uapi/linux: what the kernel says of routes and interfaces.
_RTF_UP, _RTF_REJECT = 0x1, 0x200
_SIOCGIFFLAGS = 0x8913
_IFF_UP, _IFF_RUNNING = 0x1, 0x40

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_PLUG = ("Cắm lại dây mạng; kiểm tra bộ định tuyến/modem.", "Plug the network cable in; check the router.")


@dataclass(frozen=True, slots=True)
class Route:
    """Packets to `network` leave by `interface`."""

    network: _Network
    interface: str
    metric: int


def parse_routes(ipv4: str, ipv6: str) -> list[Route]:
    """The kernel's main tables, from the text of /proc/net/route and /proc/net/ipv6_route (proc(5))."""
    routes = []
    for line in ipv4.splitlines()[1:]:
        name, target, _, flags, _, _, metric, mask, *_ = line.split()
        if int(flags, 16) & _RTF_UP and not int(flags, 16) & _RTF_REJECT:
            address, bits = (ipaddress.IPv4Address(bytes.fromhex(text)[::-1]) for text in (target, mask))
            routes.append(Route(ipaddress.IPv4Network(f"{address}/{bits}"), name, int(metric)))
    for line in ipv6.splitlines():
        target, length, _, _, _, metric, _, _, flags, name = line.split()
        if int(flags, 16) & _RTF_UP and not int(flags, 16) & _RTF_REJECT:
            network = ipaddress.IPv6Network((bytes.fromhex(target), int(length, 16)))
            routes.append(Route(network, name, int(metric, 16)))
    return routes


def interface_to(address: _Address, routes: Sequence[Route]) -> str | None:
    """Where packets to `address` leave: by the longest prefix, then the lowest metric."""
    if address.is_loopback:
        return "lo"
    fitting = [route for route in routes if address in route.network]
    best = min(fitting, key=lambda route: (-route.network.prefixlen, route.metric), default=None)
    return best.interface if best else None


def _routes() -> list[Route]:
    texts = []
    for name in ("route", "ipv6_route"):
        try:
            texts.append(Path("/proc/net", name).read_text())
        except OSError:
            texts.append("")
    return parse_routes(texts[0], texts[1])


def _is_running(interface: str) -> bool:
    """Whether it is up and its cable is plugged in at both ends (netdevice(7))."""
    request = struct.pack("16sH14x", interface.encode()[:15], 0)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        try:
            answer = fcntl.ioctl(any_socket, _SIOCGIFFLAGS, request)
        except OSError:
            return False
    flags: int = struct.unpack_from("16xH", answer)[0]
    return flags & (_IFF_UP | _IFF_RUNNING) == _IFF_UP | _IFF_RUNNING


def _hosts(settings: Settings) -> list[str]:
    """Every server that a meeting needs."""
    urls = [url for meeting in settings.meetings for url in (meeting.send_url, meeting.receive_url)]
    ice = [server.url.partition(":")[2].partition("?")[0].partition(":")[0] for server in settings.network.ice_servers]
    return sorted({*(urlsplit(url).hostname or "" for url in urls), *ice})


async def _addresses(host: str) -> list[_Address]:
    loop = asyncio.get_running_loop()
    try:
        found = await asyncio.wait_for(loop.getaddrinfo(host, None, type=socket.SOCK_STREAM), NAME_LIMIT_S)
    except (OSError, TimeoutError, UnicodeError):
        return []
    return [ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in found]


async def examine_network(settings: Settings) -> Sequence[Finding]:
    """Whether each server has an address, and a way that leads to it by a cable that is plugged in."""
    hosts = _hosts(settings)
    known = dict(zip(hosts, await asyncio.gather(*map(_addresses, hosts)), strict=True))
    routes = _routes()
    running = {name for name in ("lo", *(route.interface for route in routes)) if _is_running(name)}
    ways_out = sorted({r.interface for r in routes if not r.network.prefixlen and r.interface in running})
    used: set[str] = set() if hosts else set(ways_out)
    unreachable = [] if hosts or ways_out else [""]
    for host, addresses in known.items():
        ways = {way for address in addresses if (way := interface_to(address, routes)) and way in running}
        used |= ways
        # A name that is not known is told apart where there is a way to ask for it.
        if not ways and (addresses or not ways_out):
            unreachable.append(host)
    if unreachable:
        names = ", ".join(filter(None, unreachable))
        found = (
            f"không có đường tới {names}" if names else "không có đường ra mạng",
            f"no way leads to {names}" if names else "no way out of this machine",
        )
        return [Finding("network", "failed", found, _PLUG)]
    unknown = [host for host, addresses in known.items() if not addresses]
    if unknown:
        names = ", ".join(unknown)
        cure = (
            "Kiểm tra Internet và tên máy chủ trong cài đặt.",
            "Check the Internet access and the name in the settings.",
        )
        found = (f"không tìm thấy địa chỉ của {names}", f"no address is known for {names}")
        return [Finding("network", "failed", found, cure)]
    text = ", ".join(sorted(used))
    return [Finding("network", "ok", (text, text))]


async def examine_mcus(meetings: Sequence[Meeting]) -> Sequence[Finding]:
    """Whether each meeting's MCU answers, and does not refuse our token or address."""
    if not meetings:
        return [Finding("mcu", "skipped", ("chưa có cuộc họp nào", "no meeting is configured"))]
    return await asyncio.gather(*map(_mcu, meetings))


async def _mcu(meeting: Meeting) -> Finding:
    try:
        answers = await probe(meeting, PROBE_LIMITS)
    except UplinkError as error:
        finding = of_problem("mcu", error.problem, str(error))
        text = (f"{meeting.name}: {finding.found[0]}", f"{meeting.name}: {error}")
        return Finding("mcu", "failed", text, finding.cure)
    for answer in answers:
        if answer.status in (401, 403):
            found = (f"từ chối mã truy cập ({answer.status})", f"refuses the token ({answer.status})")
        elif answer.status in (404, 410):
            found = (f"không có địa chỉ {answer.url} ({answer.status})", f"has no {answer.url} ({answer.status})")
        else:
            continue
        # A warning only: some servers answer so to what is no POST, and take us all the same.
        cure = (
            "Thử vào họp; nếu không được, gọi cho cán bộ kỹ thuật của trung tâm.",
            "Try to join; if that fails, call the technician of the central office.",
        )
        return Finding("mcu", "warning", (f"{meeting.name}: {found[0]}", f"{meeting.name}: {found[1]}"), cure)
    return Finding("mcu", "ok", (f"{meeting.name}: trả lời", f"{meeting.name}: answers"))
