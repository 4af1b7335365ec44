"""A peer from offer to goodbye: between two of ours, and through everything that can go wrong on the way."""

import asyncio
import os
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.errors import NegotiationFailed, UplinkError
from appliance.rtp import sdp
from appliance.rtp.peer import IceConfig, IceServerConfig, Peer

from .rtp_fakes import picture

MakePeer = Callable[[], Peer]


@pytest.fixture
async def make_peer() -> AsyncIterator[MakePeer]:
    peers: list[Peer] = []

    def make() -> Peer:
        peers.append(Peer(IceConfig(), loopback=True))
        return peers[-1]

    yield make
    for peer in peers:
        await peer.close()


async def connect(
    sender: Peer,
    receiver: Peer,
    *,
    offer: Callable[[str], str] = lambda text: text,
    answer: Callable[[str], str] = lambda text: text,
) -> None:
    sender.add_senders()
    reply = await receiver.answer(offer(await sender.create_offer()), direction="receive")
    await sender.accept_answer(answer(reply))
    await asyncio.gather(sender.wait_connected(5), receiver.wait_connected(5))


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def until(condition: Callable[[], bool], limit_s: float = 3) -> None:
    async with asyncio.timeout(limit_s):
        while not condition():
            await asyncio.sleep(0.005)


async def media_flow(sender: Peer, receiver: Peer) -> None:
    before = receiver.numbers()["packets_received"]
    sender.video_sender.send(picture(5000, time.monotonic_ns(), keyframe=True))
    sender.audio_sender.send(b"\xf8" * 60, time.monotonic_ns())
    await until(lambda: receiver.numbers()["packets_received"] >= before + 6)


async def test_two_peers_connect_within_300_ms(make_peer: MakePeer) -> None:
    started = time.monotonic()
    sender, receiver = make_peer(), make_peer()
    await connect(sender, receiver)
    assert time.monotonic() - started < 0.3
    await media_flow(sender, receiver)
    assert sender.numbers()["path"] == "host"


async def test_an_mcu_sends_to_a_unit_that_offers_to_receive(make_peer: MakePeer) -> None:
    unit, mcu = make_peer(), make_peer()
    unit.add_receivers()
    await unit.accept_answer(await mcu.answer(await unit.create_offer(), direction="send"))
    await asyncio.gather(unit.wait_connected(5), mcu.wait_connected(5))
    await media_flow(mcu, unit)


async def test_the_offer_is_what_whip_asks_for(make_peer: MakePeer) -> None:
    peer = make_peer()
    peer.add_senders()
    text = await peer.create_offer()
    offer = sdp.parse(text)
    assert offer.bundle == tuple(section.mid for section in offer.sections)
    assert [section.direction for section in offer.sections] == ["sendonly", "sendonly"]
    assert [section.setup for section in offer.sections] == ["actpass", "actpass"]
    assert text.count("a=rtcp-mux\r\n") == text.count("a=rtcp-mux-only\r\n") == 2
    assert len({line.split()[0] for line in text.splitlines() if line.startswith("a=msid:")}) == 1
    assert [[codec.name for codec in section.offered_codecs()] for section in offer.sections] == [
        ["opus", "red"],
        ["h264", "rtx"],
    ]
    assert "a=fmtp:63 111/111\r\n" in text
    assert [candidate.host for candidate in offer.candidates()] == ["127.0.0.1"]
    assert "a=end-of-candidates" in text
    assert "ice-lite" not in text


async def test_a_receiver_offers_recvonly_and_no_stream(make_peer: MakePeer) -> None:
    peer = make_peer()
    peer.add_receivers()
    text = await peer.create_offer()
    assert text.count("a=recvonly") == 2
    assert "a=msid:" not in text
    assert "a=ssrc:" not in text


@pytest.mark.parametrize("setup", ["active", "passive"])
async def test_either_end_may_start_dtls(make_peer: MakePeer, setup: str) -> None:
    sender, receiver = make_peer(), make_peer()
    # An offer that fixes its own role makes the answerer take the other one.
    await connect(sender, receiver, offer=lambda text: text.replace("a=setup:actpass", f"a=setup:{setup}"))
    await media_flow(sender, receiver)


async def test_an_ice_lite_answer_is_taken(make_peer: MakePeer) -> None:
    sender, receiver = make_peer(), make_peer()
    await connect(sender, receiver, answer=lambda text: text.replace("t=0 0\r\n", "t=0 0\r\na=ice-lite\r\n"))
    await media_flow(sender, receiver)


async def test_an_ice_lite_offer_makes_the_answerer_control(make_peer: MakePeer) -> None:
    sender, receiver = make_peer(), make_peer()
    await connect(sender, receiver, offer=lambda text: text.replace("t=0 0\r\n", "t=0 0\r\na=ice-lite\r\n"))
    await media_flow(sender, receiver)


async def test_a_far_end_that_leaves_is_noticed_with_the_reason(make_peer: MakePeer) -> None:
    sender, receiver = make_peer(), make_peer()
    await connect(sender, receiver)
    await receiver.close()
    assert "said goodbye" in await asyncio.wait_for(sender.wait_closed(), 2)
    sender.video_sender.send(picture(100))
    assert sender.video_sender.numbers()["not_connected"] == 1
    assert await receiver.wait_closed() == "closed by us"


async def test_a_wrong_certificate_ends_the_connection(make_peer: MakePeer) -> None:
    sender, receiver = make_peer(), make_peer()

    def forge(text: str) -> str:
        forged = ":".join(["00"] * 32)
        return "\r\n".join(
            f"a=fingerprint:sha-256 {forged}" if line.startswith("a=fingerprint") else line
            for line in text.split("\r\n")
        )

    with pytest.raises(UplinkError, match="DTLS"):
        await connect(sender, receiver, answer=forge)


async def test_an_mcu_that_cannot_be_reached_is_said_so_in_time(make_peer: MakePeer) -> None:
    sender, receiver = make_peer(), make_peer()
    with pytest.raises(UplinkError, match=r"firewall"):
        await connect(sender, receiver, answer=lambda text: text.replace("127.0.0.1", "2001:db8::1"))
    late = make_peer()
    late.add_senders()
    await late.create_offer()
    with pytest.raises(UplinkError, match="not there within"):
        await late.wait_connected(0.01)


async def test_garbage_on_the_wire_is_counted_and_media_go_on(make_peer: MakePeer) -> None:
    sender, receiver = make_peer(), make_peer()
    errors: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: errors.append(context))
    await connect(sender, receiver)
    before = receiver.numbers()
    port = receiver._transport.describe("active").candidates[0].port
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as raw:
        for first in range(256):
            for size in (0, 1, 3, 11, 19, 200, 1500, 3000):
                raw.sendto((bytes((first,)) + os.urandom(size))[:size], ("127.0.0.1", port))
                await asyncio.sleep(0)  # lets the loop read it: no more than the socket holds
    await media_flow(sender, receiver)
    after = receiver.numbers()
    assert after["malformed"] > before["malformed"]
    assert after["not_authentic"] > before["not_authentic"]
    assert not receiver.closed.done()
    assert not errors


@settings(max_examples=300)
@given(st.lists(st.tuples(st.integers(0, 255), st.binary(max_size=100)), min_size=1, max_size=20))
def test_what_a_far_end_encrypts_can_be_garbage_too(packets: list[tuple[int, bytes]]) -> None:
    """Authenticated is not well-formed: everything behind SRTP is fed with nonsense as well."""

    async def feed() -> None:
        peer = Peer(IceConfig(), loopback=True)
        transport = peer._transport
        video, audio = peer.add_senders()
        transport.streams._rtcp_handlers += [video, audio]
        for first, rest in packets:
            transport.streams.take_rtcp(bytes((first,)) + rest, 1)
            transport.streams.take_rtcp(bytes((0x80 | first & 0x1F, 200 + first % 8, 0, len(rest) // 4)) + rest, 1)
            transport._datagram(lambda _data, _address: None, bytes((first,)) + rest, ("127.0.0.1", 1))
        await peer.close()

    asyncio.run(feed())


async def offered_only() -> Peer:
    peer = Peer(IceConfig(), loopback=True)
    peer.add_senders()
    await peer.create_offer()
    return peer


async def refused_answer() -> Peer:
    peer = await offered_only()
    with pytest.raises(NegotiationFailed):
        await peer.accept_answer("v=0")
    return peer


async def connecting() -> Peer:
    peer, other = await offered_only(), Peer(IceConfig(), loopback=True)
    other.add_receivers()
    answer = (await other.create_offer()).replace("actpass", "active")
    await other.close()
    await peer.accept_answer(answer)
    await asyncio.sleep(0.05)
    return peer


async def never_used() -> Peer:
    return Peer(IceConfig(), loopback=True)


@pytest.mark.parametrize("prepare", [never_used, offered_only, refused_answer, connecting])
async def test_closing_at_any_point_leaves_no_task_and_no_socket(prepare: Callable[[], Awaitable[Peer]]) -> None:
    await (await never_used()).close()
    files, tasks = open_files(), asyncio.all_tasks()
    peer = await prepare()
    started = time.monotonic()
    await peer.close()
    await peer.close()
    assert time.monotonic() - started < 1
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == tasks
    assert open_files() == files


async def test_closing_a_connected_pair_leaves_no_task_and_no_socket() -> None:
    files, tasks = open_files(), asyncio.all_tasks()
    for _ in range(3):
        sender, receiver = Peer(IceConfig(), loopback=True), Peer(IceConfig(), loopback=True)
        await connect(sender, receiver)
        await media_flow(sender, receiver)
        sender.video_sender.send(picture(100_000, time.monotonic_ns(), keyframe=True))  # waits in the pacer
        await asyncio.gather(sender.close(), receiver.close())
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == tasks
    assert open_files() == files


async def test_a_cancelled_close_still_closes() -> None:
    tasks = asyncio.all_tasks()
    peer = await offered_only()
    closing = asyncio.ensure_future(peer.close())
    await asyncio.sleep(0)
    closing.cancel()
    await asyncio.wait((closing,))
    await peer.close()
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == tasks


@pytest.mark.parametrize(
    ("servers", "relay_only", "words"),
    [
        ((IceServerConfig("turn:"),), False, "malformed"),
        ((IceServerConfig("stuns:stun.example"),), False, "STUN over TLS"),
        ((IceServerConfig("turn:turn.example?transport=sctp", "u", "p"),), False, "transport"),
        ((IceServerConfig("turns:turn.example?transport=udp", "u", "p"),), False, "transport"),
        ((IceServerConfig("turn:turn.example"),), False, "credential"),
        ((IceServerConfig("stun:stun.example"),), True, "no TURN server"),
    ],
)
async def test_network_settings_that_cannot_work_are_said_so(
    servers: tuple[IceServerConfig, ...], relay_only: bool, words: str
) -> None:
    with pytest.raises(UplinkError, match=words):
        Peer(IceConfig(servers, relay_only))


def test_a_credential_is_not_printed() -> None:
    assert "hunter2" not in repr(IceConfig((IceServerConfig("turn:t", "u", "hunter2"),)))


async def test_a_far_end_that_checks_before_its_answer_arrives_is_connected_to(make_peer: MakePeer) -> None:
    sender, receiver = make_peer(), make_peer()
    sender.add_senders()
    offer = await sender.create_offer()
    assert sender._transport._connection.ice_controlling, "the role is known before the first check can arrive"
    reply = await receiver.answer(offer, direction="receive")
    # The receiver's checks reach the sender while its answer is still on the way.
    await asyncio.sleep(0.3)
    await sender.accept_answer(reply)
    await asyncio.gather(sender.wait_connected(3), receiver.wait_connected(3))
    assert sender._transport._connection.ice_controlling
    assert not receiver._transport._connection.ice_controlling


async def test_a_connection_without_media_is_alive_as_long_as_probes_are_answered(make_peer: MakePeer) -> None:
    sender, receiver = make_peer(), make_peer()
    await connect(sender, receiver)
    for _ in range(2):
        before = time.monotonic_ns()
        sender.probe()
        sender.probe()
        await until(lambda before=before: sender.last_heard_ns > before)  # type: ignore[misc]
    receiver._transport._connection._closing = True  # it answers no checks any more
    before = time.monotonic_ns()
    sender.probe()
    await asyncio.sleep(0.4)
    assert sender.last_heard_ns < before


async def test_media_are_a_sign_of_life(make_peer: MakePeer) -> None:
    sender, receiver = make_peer(), make_peer()
    await connect(sender, receiver)
    assert receiver.last_heard_ns == 0
    await media_flow(sender, receiver)
    assert receiver.last_heard_ns > 0


async def test_an_unproven_packet_is_no_sign_of_life(make_peer: MakePeer) -> None:
    sender, receiver = make_peer(), make_peer()
    await connect(sender, receiver)
    receiver._transport._media(b"\x80\x66" + bytes(60))
    assert receiver.last_heard_ns == 0


async def test_a_level_above_3_1_is_offered_for_what_we_send_only(make_peer: MakePeer) -> None:
    def level(offer: str) -> str:
        return next(iter(sdp.parse(offer).sections[1].codecs.values())).fmtp["profile-level-id"]

    for direction, expected in (("send", "42e02a"), ("receive", "42e01f")):
        peer = Peer(IceConfig(), loopback=True, level_idc=42)
        if direction == "send":
            peer.add_senders()
        else:
            peer.add_receivers()
        assert level(await peer.create_offer()) == expected
        await peer.close()
