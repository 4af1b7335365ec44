"""The doctor's look at the network: names, ways, cables, and what the MCU says to a question."""

import os
import subprocess
import sys
from collections.abc import AsyncIterator
from ipaddress import ip_address

import pytest
from aiohttp import web

from appliance import doctor_network
from appliance.doctor_network import examine_mcus, examine_network, interface_to, parse_routes
from appliance.settings import IceServer, Meeting, Network, Settings

# As the kernel prints them: default routes, a network, and rejected ones.
IPV4 = """Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t00000000\t0101A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0
wlan0\t00000000\t0101A8C0\t0003\t0\t0\t600\t00000000\t0\t0\t0
eth1\t0002000A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
*\t0003000A\t00000000\t0201\t0\t0\t0\t00FFFFFF\t0\t0\t0
"""
NONE = "0" * 32
IPV6 = f"""20010db8{"0" * 24} 40 {NONE} 00 {NONE} 00000100 00000001 00000000 00000001     eth1
{NONE} 00 {NONE} 00 {NONE} ffffffff 00000001 00000000 00200200       lo
"""


def meeting(url: str, receive_url: str | None = None) -> Meeting:
    return Meeting(
        id="a", name="Giao ban", send_url=f"{url}/whip", receive_url=f"{receive_url or url}/whep", allow_http=True
    )


def test_packets_leave_as_the_kernel_s_tables_say() -> None:
    routes = parse_routes(IPV4, IPV6)
    assert interface_to(ip_address("8.8.8.8"), routes) == "eth0", "the lower metric"
    assert interface_to(ip_address("10.0.2.7"), routes) == "eth1", "the longer prefix"
    assert interface_to(ip_address("2001:db8::1"), routes) == "eth1"
    assert interface_to(ip_address("2001:db9::1"), routes) is None, "a rejected way is none"
    assert interface_to(ip_address("127.0.0.1"), []) == "lo"


async def result_of(settings: Settings) -> tuple[str, str]:
    (finding,) = await examine_network(settings)
    return finding.result, finding.found[1]


@pytest.fixture
def plugged(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Interfaces with their cables plugged in; eth0 leads everywhere."""
    interfaces = {"lo", "eth0"}
    monkeypatch.setattr(doctor_network, "_routes", lambda: parse_routes(IPV4.partition("wlan0")[0], ""))
    monkeypatch.setattr(doctor_network, "_is_running", interfaces.__contains__)
    return interfaces


async def test_a_pulled_cable_is_told_also_when_the_mcu_has_a_mere_address(plugged: set[str]) -> None:
    away = Settings(meetings=(meeting("http://192.0.2.1"),))
    assert await result_of(away) == ("ok", "eth0")
    plugged.discard("eth0")
    assert await result_of(away) == ("failed", "no way leads to 192.0.2.1")
    assert await result_of(Settings(meetings=(meeting("http://127.0.0.1:9"),))) == ("ok", "lo")


async def test_a_unit_without_meetings_needs_a_way_out_all_the_same(plugged: set[str]) -> None:
    assert await result_of(Settings()) == ("ok", "eth0")
    plugged.discard("eth0")
    assert (await result_of(Settings()))[0] == "failed"


async def test_each_server_is_looked_at_also_the_one_to_receive_from_and_stun(plugged: set[str]) -> None:
    split = Settings(meetings=(meeting("http://127.0.0.1", "http://receive.invalid"),))
    assert await result_of(split) == ("failed", "no address is known for receive.invalid")
    stun = IceServer(url="stun:stun.invalid:3478")
    helped = Settings(meetings=(meeting("http://127.0.0.1"),), network=Network(ice_servers=(stun,)))
    assert await result_of(helped) == ("failed", "no address is known for stun.invalid")


async def test_without_a_way_to_ask_for_names_the_cable_is_to_blame_not_the_name(plugged: set[str]) -> None:
    plugged.discard("eth0")
    result = await result_of(Settings(meetings=(meeting("http://mcu.invalid"),)))
    assert result == ("failed", "no way leads to mcu.invalid")


@pytest.mark.netns
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root and network namespaces")
def test_a_real_cable_pulled_at_its_far_end_is_seen() -> None:
    look = (
        "import asyncio; from appliance.doctor_network import examine_network as look;"
        "from appliance.settings import Meeting, Settings;"
        "m = Meeting(id='a', name='A', send_url='https://192.0.2.9/w', receive_url='https://192.0.2.9/r');"
        "print([asyncio.run(look(s))[0].result for s in (Settings(meetings=(m,)), Settings())])"
    )
    script = (
        "set -e; ip link add ctlnear type veth peer name ctlfar; ip addr add 192.0.2.1/24 dev ctlnear;"
        f'ip link set ctlnear up; ip link set ctlfar up; "$0" -c "{look}";'
        f'ip link set ctlfar down; "$0" -c "{look}"'
    )
    done = subprocess.run(
        ["unshare", "-n", "sh", "-c", script, sys.executable], capture_output=True, text=True, check=False
    )
    if "not permitted" in done.stderr:
        pytest.skip("network namespaces cannot be made here")
    assert done.stdout.splitlines() == ["['ok', 'failed']", "['failed', 'failed']"], done.stderr


@pytest.fixture
async def mcu() -> AsyncIterator[tuple[str, list[int]]]:
    """A server that answers anything with the status of now."""
    status = [204]

    async def answer(request: web.Request) -> web.Response:
        return web.Response(status=status[0])

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}", status
    await runner.cleanup()


@pytest.mark.parametrize(
    ("status", "result"),
    [(s, "ok") for s in (204, 405, 501)] + [(s, "warning") for s in (401, 403, 404, 410)],
)
async def test_an_mcu_that_answers_is_well_unless_it_refuses_us(
    mcu: tuple[str, list[int]], status: int, result: str
) -> None:
    mcu[1][0] = status
    (finding,) = await examine_mcus([meeting(mcu[0])])
    assert finding.result == result
    assert (finding.cure is not None) == (result == "warning")


async def test_an_mcu_that_does_not_answer_has_failed_and_without_meetings_none_is_asked() -> None:
    (finding,) = await examine_mcus([meeting("http://127.0.0.1:9")])
    assert finding.result == "failed"
    assert finding.cure is not None
    (skipped,) = await examine_mcus([])
    assert skipped.result == "skipped"
