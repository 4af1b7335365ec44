"""Through a real TURN server (coturn) over UDP, TCP and TLS, with nothing but the relay allowed."""

import asyncio
import datetime as dt
import ipaddress
import random
import shutil
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from pydantic import SecretStr

from appliance.errors import UplinkError
from appliance.rtp import sdp
from appliance.rtp.peer import IceConfig, IceServerConfig, Peer
from appliance.settings import IceServer, Network, Settings
from appliance.uplink.factory import ice_config, open_session

from .rtp_fakes import picture
from .whip_endpoint import Reply, ScriptedEndpoint, meeting
from .whip_fakes import Heard

pytestmark = pytest.mark.skipif(shutil.which("turnserver") is None, reason="coturn is not installed (tools/setup test)")


def certificate(folder: Path) -> Path:
    """A certificate for 127.0.0.1 that is its own authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "turn")])
    now = dt.datetime.now(tz=dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return folder / "cert.pem"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@asynccontextmanager
async def coturn(folder: Path) -> AsyncIterator[tuple[int, int, asyncio.subprocess.Process]]:
    """(plain port, TLS port, process) of a server with the user u, password p."""
    cert = certificate(folder)
    plain, tls, low = free_port(), free_port(), random.randrange(40_000, 60_000, 50)
    options = {
        "listening-ip": "127.0.0.1",
        "relay-ip": "127.0.0.1",
        "listening-port": plain,
        "tls-listening-port": tls,
        "min-port": low,
        "max-port": low + 49,
        "user": "u:p",
        "realm": "r",
        "cert": cert,
        "pkey": folder / "key.pem",
        "pidfile": folder / "pid",
        "userdb": folder / "db",
        "log-file": "stdout",
    }
    flags = ("-n", "--lt-cred-mech", "--allow-loopback-peers", "--no-dtls", "--no-cli")
    process = await asyncio.create_subprocess_exec(
        "turnserver",
        *flags,
        *(f"--{key}={value}" for key, value in options.items()),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        for port in (plain, tls):
            async with asyncio.timeout(10):
                while True:
                    try:
                        _, writer = await asyncio.open_connection("127.0.0.1", port)
                        break
                    except OSError:
                        await asyncio.sleep(0.05)
            writer.close()
            await writer.wait_closed()
        yield plain, tls, process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def relay_only(url: str) -> Peer:
    return Peer(IceConfig((IceServerConfig(url, "u", "p"),), relay_only=True), loopback=True)


@pytest.mark.parametrize(
    "url", ["turn:127.0.0.1:{plain}", "turn:127.0.0.1:{plain}?transport=tcp", "turns:127.0.0.1:{tls}"]
)
async def test_media_flow_through_the_relay_alone(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))
    async with coturn(tmp_path) as (plain, tls, _):
        sender, receiver = relay_only(url.format(plain=plain, tls=tls)), Peer(IceConfig(), loopback=True)
        try:
            sender.add_senders()
            offer = await sender.create_offer()
            assert {candidate.kind for candidate in sdp.parse(offer).candidates()} == {"relay"}
            await sender.accept_answer(await receiver.answer(offer, direction="receive"))
            await asyncio.gather(sender.wait_connected(5), receiver.wait_connected(5))
            for number in range(30):
                sender.video_sender.send(picture(1000, time.monotonic_ns(), keyframe=number == 0))
                await asyncio.sleep(0.01)
            async with asyncio.timeout(2):
                while receiver.numbers()["packets_received"] < 30:
                    await asyncio.sleep(0.01)
            assert sender.numbers()["path"] == "relay"
        finally:
            await asyncio.gather(sender.close(), receiver.close())


async def test_any_turn_server_that_answers_will_do(tmp_path: Path) -> None:
    async with coturn(tmp_path) as (plain, _, _):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
            silent.bind(("127.0.0.1", 0))
            urls = (f"turn:127.0.0.1:{silent.getsockname()[1]}", f"turn:127.0.0.1:{plain}?transport=tcp")
            servers = tuple(IceServerConfig(url, "u", "p") for url in urls)
            sender, receiver = (
                Peer(IceConfig(servers, relay_only=True), loopback=True),
                Peer(IceConfig(), loopback=True),
            )
            try:
                sender.add_senders()
                await sender.accept_answer(await receiver.answer(await sender.create_offer(), direction="receive"))
                await asyncio.gather(sender.wait_connected(5), receiver.wait_connected(5))
                assert sender.numbers()["path"] == "relay"
            finally:
                await asyncio.gather(sender.close(), receiver.close())


async def test_of_two_turn_servers_that_answer_the_first_is_preferred(tmp_path: Path) -> None:
    async with coturn(tmp_path) as (plain, _, _):
        urls = (f"turn:127.0.0.1:{plain}?transport=tcp", f"turn:127.0.0.1:{plain}")
        peer = Peer(IceConfig(tuple(IceServerConfig(url, "u", "p") for url in urls), relay_only=True), loopback=True)
        try:
            peer.add_senders()
            first, second = sdp.parse(await peer.create_offer()).candidates()
            assert first.priority > second.priority > 0
        finally:
            await peer.close()


async def test_relay_only_of_the_settings_holds_in_a_whole_session(tmp_path: Path) -> None:
    async with coturn(tmp_path) as (plain, _, _):
        network = Network(
            ice_servers=(IceServer(url=f"turn:127.0.0.1:{plain}", username="u", credential=SecretStr("p")),),
            relay_only=True,
        )
        async with ScriptedEndpoint() as server:
            for path in ("/whip", "/whep"):
                server.on("POST", path, Reply(503))
            session = open_session(
                meeting(server.url("/whip"), server.url("/whep")), Settings(network=network), Heard()
            )
            with pytest.raises(UplinkError):
                await session.run()
            offers = [request.body for request in server.seen("POST")]
            assert offers, "the first refusal ends both legs"
            for offer in offers:
                assert {candidate.kind for candidate in sdp.parse(offer).candidates()} == {"relay"}


def test_all_servers_of_the_settings_are_used_and_no_others() -> None:
    urls = ("stun:stun.example", "turn:turn.example?transport=udp", "turns:turn.example?transport=tcp")
    servers = tuple(
        IceServer(url=url) if url.startswith("stun") else IceServer(url=url, username="u", credential=SecretStr("p"))
        for url in urls
    )
    config = ice_config(Network(ice_servers=servers, relay_only=True))
    assert config.relay_only
    assert [(server.url, server.username, server.credential) for server in config.servers] == [
        (urls[0], None, None),
        (urls[1], "u", "p"),
        (urls[2], "u", "p"),
    ]
    assert not ice_config(Network(ice_servers=servers)).relay_only
    assert ice_config(Network()).servers == ()


async def test_a_wrong_password_is_said_so(tmp_path: Path) -> None:
    async with coturn(tmp_path) as (plain, _, _):
        config = IceConfig((IceServerConfig(f"turn:127.0.0.1:{plain}", "u", "wrong"),), relay_only=True)
        peer = Peer(config, loopback=True)
        peer.add_senders()
        with pytest.raises(UplinkError, match="user name and credential"):
            await peer.create_offer()
        await peer.close()


async def test_a_relay_that_is_gone_does_not_hold_up_the_leaving(tmp_path: Path) -> None:
    tasks = asyncio.all_tasks()
    async with coturn(tmp_path) as (plain, _, process):
        peer = relay_only(f"turn:127.0.0.1:{plain}")
        peer.add_senders()
        await peer.create_offer()
        process.kill()
        await process.wait()
        started = time.monotonic()
        await peer.close()
        assert time.monotonic() - started < 2
    async with asyncio.timeout(1):
        while asyncio.all_tasks() != tasks:
            await asyncio.sleep(0.01)
