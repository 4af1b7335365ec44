"""Janus' VideoRoom as the MCU: H.264 and Opus out and back."""

import sys
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from appliance.demo.processes import Program, free_port, wait_for
from tests.call import a_unit, plan_for, settled
from tests.namespaces import Place

pytestmark = [pytest.mark.peer, pytest.mark.timeout(120)]

BRIDGE = Path(__file__).with_name("janus_bridge.py")
LIBRARIES = "/usr/lib/x86_64-linux-gnu/janus"
CONFIG = {
    "janus.jcfg": """
general: {{ configs_folder = "{folder}" plugins_folder = "{libraries}/plugins"
  transports_folder = "{libraries}/transports" events_folder = "{libraries}/events"
  loggers_folder = "{libraries}/loggers" debug_level = 4 }}
nat: {{ ice_enforce_list = "{device}" }}
media: {{ }}
plugins: {{ disable = "{other_plugins}" }}
transports: {{ disable = "{other_transports}" }}
events: {{ broadcast = false }}
""",
    "janus.transport.http.jcfg": """
general: {{ json = "compact" base_path = "/janus" http = true port = {port} ip = "127.0.0.1" }}
""",
    "janus.plugin.videoroom.jcfg": """
room-1234: {{ description = "Giao ban" publishers = 6 bitrate = 3000000 audiocodec = "opus" videocodec = "h264" }}
""",
}


def write_config(folder: Path, device: str, port: int) -> None:
    libraries = next(Path("/usr/lib").glob("*/janus"), Path(LIBRARIES))

    def others(kind: str, kept: str) -> str:
        return ",".join(sorted(p.name for p in libraries.joinpath(kind).glob("*.so") if kept not in p.name))

    folder.mkdir()
    for name, text in CONFIG.items():
        filled = text.format(
            folder=folder,
            device=device,
            port=port,
            libraries=libraries,
            other_plugins=others("plugins", "videoroom"),
            other_transports=others("transports", "_http"),
        )
        folder.joinpath(name).write_text(filled)


async def test_a_call_through_janus(janus: str, place: Place, programs: AsyncExitStack, tmp_path: Path) -> None:
    inside, port, bridge_port = place.prefix, free_port(), free_port()
    write_config(tmp_path / "janus", place.device, port)
    server = Program("Janus", [*inside, janus, "-F", str(tmp_path / "janus")], tmp_path / "janus.log")
    await programs.enter_async_context(server)
    command = [*inside, sys.executable, str(BRIDGE), str(bridge_port), f"http://127.0.0.1:{port}/janus"]
    bridge = Program("bridge", command, tmp_path / "bridge.log")
    await programs.enter_async_context(bridge)

    async def listening() -> bool | None:
        return "HTTP webserver started" in server.last_words() or None

    await wait_for("Janus", listening, [server, bridge], 15)
    # The engine addresses the bridge by an address that Janus has too: it has no loopback candidates.
    url = f"http://{place.address}:{bridge_port}"
    plan = plan_for(tmp_path / "unit", f"{url}/whip", f"{url}/whep", prefix=inside)
    async with a_unit(plan) as unit:
        await unit.joined()
        await settled(6)
        coded = [frame for frame in unit.shown() if frame.captured_ns is not None]
        assert len(coded) > 100
        assert (await unit.state())["numbers"]["screen"]["decode_errors"] == 0
        assert len(unit.heard_delays_ms()) >= 1
        await unit.leave()
