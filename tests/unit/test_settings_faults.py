"""What the settings refuse and why: no secret in the telling, no address with which a join could never work."""

from pathlib import Path

import pytest
from pydantic import SecretStr

from appliance.errors import SettingsError, SettingsFault
from appliance.rtp.ice import IceConfig, IceServerConfig, chosen_servers
from appliance.settings import IceServer
from appliance.settings_store import check_file

SECRET = "very-secret-token"


def faults_of(file: Path, text: str) -> dict[str, SettingsFault]:
    file.write_text(text, encoding="utf-8")
    with pytest.raises(SettingsError) as caught:
        check_file(file)
    return {fault.key: fault for fault in caught.value.faults}


@pytest.mark.parametrize(
    "text",
    [
        f'[[meetings]]\nid = "a"\npass = "{SECRET}"\n',
        f'[[meetings]]\nid = "a"\nmat_khau = "{SECRET}"\n',
        f'[[meetings]]\nid = "a"\nwhatever = "{SECRET}"\n',
        f'[[network.ice_servers]]\nurl = "turn:bob:{SECRET}@turn.vn"\n',
        f'[[network.ice_servers]]\nurl = "stun:x"\npwd = "{SECRET}"\n',
        f'[[meting]]\nkhoa = "{SECRET}"\n',
        f'bearer = "{SECRET}"\n',
        f'[unit]\nma_truy_cap = "{SECRET}"\n',
        f'[video]\nfps = "https://x/?pwd={SECRET}#token={SECRET}"\n',
        f'[video]\nfps = "bob:{SECRET}@host"\n',
    ],
)
def test_no_fault_tells_a_secret_whatever_its_key_is_called(tmp_path: Path, text: str) -> None:
    faults = faults_of(tmp_path / "x.toml", text)
    assert faults
    assert SECRET not in "".join(map(str, faults.values()))


def test_what_is_no_secret_is_shown_as_it_was_written(tmp_path: Path) -> None:
    faults = faults_of(tmp_path / "x.toml", '[unit]\nlanguage = "vi:en"\n[video]\nfps = "a@b"\nsourse = "file"\n')
    assert [faults[key].value for key in ("unit.language", "video.fps", "video.sourse")] == [
        '"vi:en"',
        '"a@b"',
        '"file"',
    ]


@pytest.mark.parametrize("host", ["mcu..example.vn", "a" * 64 + ".vn", ".vn"])
def test_a_host_name_that_no_resolver_takes_is_refused(tmp_path: Path, host: str) -> None:
    meeting = f'[[meetings]]\nid = "a"\nname = "A"\nsend_url = "https://{host}/w"\nreceive_url = "https://điểm.vn/r"\n'
    faults = faults_of(tmp_path / "x.toml", meeting)
    assert list(faults) == ["meetings[0].send_url"]
    assert "host name" in faults["meetings[0].send_url"].reason


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("stun:[::1]:5", "IPv6"),
        ("stuns:stun.vn", "stun: or turns:"),
        ("stun:stun.vn?transport=udp", "transport"),
        ("turns:turn.vn?transport=udp", "tcp"),
        ("turn:turn.vn:99999", "65535"),
        ("turn:turn.vn:0", "65535"),
        ("stun:stun..vn", "host name"),
        ("http://turn.vn", "must look like"),
    ],
)
def test_an_ice_address_with_which_no_join_could_work_is_refused(tmp_path: Path, address: str, reason: str) -> None:
    server = f'[[network.ice_servers]]\nurl = "{address}"\nusername = "u"\ncredential = "{SECRET}"\n'
    fault = faults_of(tmp_path / "x.toml", server)["network.ice_servers[0].url"]
    assert reason in fault.reason


def test_a_turn_server_without_credentials_is_refused(tmp_path: Path) -> None:
    server = '[[network.ice_servers]]\nurl = "turn:turn.vn"\nusername = "u"\n'
    assert "credential" in faults_of(tmp_path / "x.toml", server)["network.ice_servers[0]"].reason


@pytest.mark.parametrize(
    "address",
    ["stun:stun.vn", "stun:192.0.2.1:3478", "turn:turn.vn?transport=tcp", "turns:turn.vn", "turn:turn.vn:443"],
)
def test_what_the_settings_accept_the_ice_agent_takes(address: str) -> None:
    server = IceServer(url=address, username="u", credential=SecretStr("c"))
    assert chosen_servers(IceConfig((IceServerConfig(server.url, "u", "c"),)))
