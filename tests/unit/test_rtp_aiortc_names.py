"""Every private name of aiortc and aioice that `appliance.rtp.transport` relies on: an upgrade fails here, loudly."""

import asyncio
import inspect
import re
from pathlib import Path

import aioice.ice
import aioice.turn
import aiortc
from aiortc.rtcdtlstransport import SRTP_PROFILES, RTCCertificate, RTCDtlsTransport
from aiortc.rtcicetransport import RTCIceGatherer, RTCIceTransport, parse_stun_turn_uri
from OpenSSL import SSL

import appliance
from appliance.rtp import transport


def test_the_versions_are_those_we_know() -> None:
    assert aiortc.__version__ == "1.16.0"
    assert aioice.__version__ == "0.13.0"


async def test_the_ice_agent_has_what_we_reach_into() -> None:
    gatherer = RTCIceGatherer([])
    connection = gatherer._connection
    assert isinstance(connection, aioice.ice.Connection)
    assert connection._nominated == {}
    assert connection._protocols == []
    assert isinstance(connection._queue, asyncio.Queue)
    assert connection.ice_controlling is False
    signature = inspect.signature(connection.get_component_candidates)
    assert list(signature.parameters) == ["component", "addresses", "timeout"]
    # Our bound method replaces it, so it must be called with exactly these.
    assert "get_component_candidates(component=component, addresses=addresses)" in inspect.getsource(
        aioice.ice.Connection.gather_candidates
    )
    assert RTCIceTransport(gatherer)._connection is connection


async def test_the_dtls_transport_has_what_we_reach_into() -> None:
    dtls = RTCDtlsTransport(RTCIceTransport(RTCIceGatherer([])), [RTCCertificate.generateCertificate()])
    assert dtls._role == "auto"
    dtls._set_role("client")
    assert dtls._role == "client"
    assert dtls._task is None
    assert dtls._ssl is None
    assert dtls._tx_srtp is None
    assert dtls._rx_srtp is None


def test_a_certificate_makes_its_own_context() -> None:
    context = RTCCertificate.generateCertificate()._create_ssl_context(SRTP_PROFILES)
    assert isinstance(context, SSL.Context)


def test_our_certificate_speaks_with_rsa_and_ecdsa_peers() -> None:
    certificate = transport._Certificate.generateCertificate()
    assert type(certificate) is transport._Certificate
    ciphers = SSL.Connection(certificate._create_ssl_context(SRTP_PROFILES)).get_cipher_list()
    assert any(cipher.startswith("ECDHE-RSA-") for cipher in ciphers)
    assert any(cipher.startswith("ECDHE-ECDSA-") for cipher in ciphers)


def test_datagrams_pass_through_the_method_we_replace() -> None:
    assert inspect.iscoroutinefunction(aioice.ice.StunProtocol.datagram_received) is False
    assert "self.receiver.datagram_received(payload, peer_address)" in inspect.getsource(aioice.turn.TurnClientMixin)


def test_turn_has_what_we_reach_into() -> None:
    source = inspect.getsource(aioice.turn.TurnTransport)
    assert "self.__inner_protocol" in source
    assert "self.__close_task" in source
    client = aioice.turn.TurnClientUdpProtocol(("127.0.0.1", 1), "u", "p", 600, 500)
    assert client.peer_to_channel == {}
    assert client.channel_refresh_at == {}
    assert callable(client._send)
    assert parse_stun_turn_uri("turns:t") == {"scheme": "turns", "host": "t", "port": 5349, "transport": "tcp"}


def test_only_one_module_imports_the_inner_parts() -> None:
    root = Path(appliance.__file__).parent
    users = {
        str(path.relative_to(root))
        for path in root.rglob("*.py")
        if re.search(r"^\s*(from|import) (aiortc|aioice|pylibsrtp|OpenSSL)\b", path.read_text(), re.MULTILINE)
    }
    assert users <= {"rtp/ice.py", "rtp/peer.py", "rtp/transport.py"}
