"""Where a unit keeps its things, as the command line's options say."""

from dataclasses import dataclass
from pathlib import Path

STATE_DIR = Path("/var/lib/bridgepoint")
SOCKET = Path("/run/bridgepoint/control.sock")
DEFAULTS = Path("/usr/share/bridgepoint/defaults.toml")


@dataclass(frozen=True, slots=True)
class Paths:
    """`state_dir`: what the unit saves; `socket`: its control socket; `defaults`: the image's settings."""

    state_dir: Path = STATE_DIR
    socket: Path = SOCKET
    defaults: Path = DEFAULTS
