"""The line's return: knocking, names that outlive their name server, and sessions that come back by themselves."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest
from aiohttp.abc import ResolveResult

from appliance.errors import MediaLost
from appliance.media.clock import MediaClock
from appliance.uplink import line as line_module
from appliance.uplink import linger, names, network
from appliance.uplink.line import Line
from appliance.uplink.linger import until_heard
from appliance.uplink.names import Names
from appliance.uplink.network import NetworkWatch, is_ours, source_for
from appliance.uplink.way import MOVED_NS, Way, moved

from .whip_fakes import FakePeer

S = 1_000_000_000


@asynccontextmanager
async def a_server(port: int = 0) -> AsyncIterator[int]:
    server = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", port)
    async with server:
        yield server.sockets[0].getsockname()[1]


def a_free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


async def test_a_server_that_is_there_answers_the_first_knock() -> None:
    async with a_server() as port:
        await asyncio.wait_for(Line().answers([f"http://127.0.0.1:{port}/whip", f"http://127.0.0.1:{port}/whep"]), 2)


async def test_a_server_that_comes_up_is_noticed_at_the_next_knock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line_module, "KNOCK_EVERY_S", 0.05)
    port = a_free_port()
    waiting = asyncio.ensure_future(Line().answers([f"http://127.0.0.1:{port}/"]))
    await asyncio.wait((waiting,), timeout=0.3)
    assert not waiting.done(), "a refusal is no server"
    async with a_server(port):
        await asyncio.wait_for(waiting, 2)


async def test_a_refusal_proves_the_line() -> None:
    await asyncio.wait_for(Line().answers([f"http://127.0.0.1:{a_free_port()}/"], refusal_counts=True), 2)


async def test_a_change_of_the_network_is_reason_to_knock_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line_module, "KNOCK_EVERY_S", 30.0)
    line, port = Line(), a_free_port()
    waiting = asyncio.ensure_future(line.answers([f"http://127.0.0.1:{port}/"]))
    await asyncio.wait((waiting,), timeout=0.2)
    async with a_server(port):
        line.network.announce()
        await asyncio.wait_for(waiting, 5)


async def test_knocking_that_is_given_up_leaves_nothing_behind() -> None:
    before = asyncio.all_tasks()
    # TEST-NET-1 (RFC 5737): nobody answers there.
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await Line().answers(["https://192.0.2.7/whip"])
    assert asyncio.all_tasks() == before


async def test_the_address_of_a_name_is_remembered_when_the_name_server_falls_silent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(names, "PATIENCE_S", 0.05)
    silent = asyncio.Event()
    asked: list[str] = []

    class Server:
        async def resolve(self, host: str, port: int, family: int) -> list[ResolveResult]:
            asked.append(host)
            if silent.is_set():
                await asyncio.sleep(1)
                raise OSError("no answer")
            return [ResolveResult(hostname=host, host="10.1.2.3", port=port, family=family, proto=6, flags=0)]

    monkeypatch.setattr(names, "ThreadedResolver", Server)
    known = Names()
    assert (await known.resolve("mcu.test", 443))[0]["port"] == 443
    silent.set()
    began = time.monotonic()
    found = await asyncio.gather(*(known.resolve("mcu.test", 8443) for _ in range(5)))
    assert time.monotonic() - began < 0.8
    assert {(one["host"], one["port"]) for (one,) in found} == {("10.1.2.3", 8443)}
    assert len(asked) == 2, "one question at a time: each keeps a thread"
    with pytest.raises(OSError, match="no answer"):
        await known.resolve("other.test", 443)


@asynccontextmanager
async def lingering(prepare: Callable[[list[FakePeer]], None], media_ns: list[int]) -> AsyncIterator[Any]:
    peers = [FakePeer("http://mcu/whip"), FakePeer("http://mcu/whep")]
    for peer in peers:
        peer.last_heard_ns = time.monotonic_ns() - 3 * S
        peer.answers = False
    prepare(peers)
    url = f"http://127.0.0.1:{a_free_port()}/"
    work = until_heard(MediaLost("silent"), cast("Any", peers), lambda: media_ns[0], LINE, [url], MediaClock())
    task = asyncio.ensure_future(work)
    try:
        yield task, peers
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


class SilentLine(Line):
    """Nobody answers any knock."""

    async def answers(self, urls: Any, *, refusal_counts: bool = False) -> None:
        await asyncio.Event().wait()


LINE: Line = SilentLine()


async def test_a_session_is_heard_again_and_goes_on() -> None:
    media_ns = [time.monotonic_ns() - 3 * S]
    async with lingering(lambda peers: None, media_ns) as (task, peers):
        await asyncio.wait((task,), timeout=0.3)
        assert not task.done()
        for peer in peers:
            peer.answers = True
        await asyncio.wait((task,), timeout=0.3)
        assert not task.done(), "its media are owed as well"
        media_ns[0] = time.monotonic_ns()
        await asyncio.wait_for(task, 2)


async def test_a_line_that_is_there_without_the_session_ends_it_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.unit.test_uplink_line.LINE", Line())
    began = time.monotonic()
    async with lingering(lambda peers: None, [0]) as (task, _):
        with pytest.raises(MediaLost, match="silent"):
            await asyncio.wait_for(task, 5)
    assert linger.RESUME_S <= time.monotonic() - began < 3


async def test_an_mcu_that_answers_and_sends_nothing_is_not_waited_for() -> None:
    def fresh(peers: list[FakePeer]) -> None:
        for peer in peers:
            peer.last_heard_ns = time.monotonic_ns()

    async with lingering(fresh, [time.monotonic_ns() - 3 * S]) as (task, _):
        with pytest.raises(MediaLost):
            await asyncio.wait_for(task, 0.5)


async def test_nobody_waits_longer_than_the_far_end_would(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linger, "LINGER_S", 0.3)
    async with lingering(lambda peers: None, [0]) as (task, _):
        with pytest.raises(MediaLost):
            await asyncio.wait_for(task, 3)


def test_our_address_on_the_way_to_another_is_found_without_a_packet() -> None:
    assert source_for("127.0.0.1") == "127.0.0.1"
    assert is_ours("127.0.0.1")
    assert not is_ours("192.0.2.1")
    assert moved(None) is None
    assert moved(("127.0.0.1", "127.0.0.1")) is None
    assert "has changed from 192.0.2.1 to 127.0.0.1" in str(moved(("192.0.2.1", "127.0.0.1")))


class MovedPeer(FakePeer):
    """Its sockets have an address that packets to the far end no longer come from."""

    ours = "192.0.2.1"

    @property
    def path(self) -> tuple[str, str]:
        return (self.ours, "127.0.0.1")


async def test_a_vanished_address_ends_the_session_at_once_after_a_change() -> None:
    watch = NetworkWatch()
    way = Way(watch, cast("Any", [MovedPeer("http://mcu/whip")]))
    way.look(S)  # nothing has changed, nothing is asked
    watch.announce()
    with pytest.raises(MediaLost, match="address has changed"):
        way.look(2 * S)


async def test_another_way_ends_the_session_only_when_the_old_one_is_silent() -> None:
    watch, peer = NetworkWatch(), MovedPeer("http://mcu/whip")
    peer.ours = "127.0.0.2"  # ours, and not the one that packets go out by
    peer.answers = False
    way = Way(watch, cast("Any", [peer]))
    watch.announce()
    way.look(10 * S)
    peer.last_heard_ns = 10 * S + 1
    way.look(10 * S + MOVED_NS + 1)  # it lives
    watch.announce()
    way.look(20 * S)
    with pytest.raises(MediaLost):
        way.look(20 * S + MOVED_NS + 1)


async def test_a_unit_that_cannot_watch_its_network_goes_by_time(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise OSError("not supported")

    monkeypatch.setattr(network.socket, "socket", refuse)
    async with NetworkWatch() as watch:
        waiting = asyncio.ensure_future(watch.changed())
        await asyncio.wait((waiting,), timeout=0.1)
        assert not waiting.done()
        waiting.cancel()
