"""A bridge point for the demonstration: its settings, its folder, its engine, and its panel if one is wanted."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

import tomli_w

from .processes import Program, bridgepoint

ROOM = "giao-ban"


@dataclass(frozen=True, slots=True)
class UnitPlan:
    """How one demonstration unit is set up. Without footage it shows the test card and beeps."""

    name: str
    folder: Path
    send_url: str
    receive_url: str
    video_file: Path | None = None
    audio_file: Path | None = None
    panel: str | None = None
    measured: bool = False
    # A command that runs the unit's programs elsewhere, such as in a network namespace.
    prefix: tuple[str, ...] = ()

    @classmethod
    def at_lab_mcu(cls, name: str, folder: Path, mcu_url: str, **more: Any) -> Self:
        """A unit that meets in the lab MCU's room."""
        who = quote(name, safe="")
        return cls(name, folder, f"{mcu_url}/whip/{ROOM}/{who}", f"{mcu_url}/whep/{ROOM}/{who}", **more)

    @property
    def socket(self) -> Path:
        return self.folder / "control.sock"

    @property
    def taps(self) -> Path:
        return self.folder / "taps"

    def settings(self) -> dict[str, Any]:
        video: dict[str, Any] = {"source": "testcard", "time_code": True}
        if self.video_file is not None:
            video = {"source": "file", "file": str(self.video_file), "time_code": self.measured}
        audio: dict[str, Any] = {"source": "tone", "sink": "null", "join_muted": False, "volume_percent": 100}
        if self.audio_file is not None:
            audio |= {"source": "file", "input_file": str(self.audio_file)}
        return {
            "unit": {"name": self.name},
            "video": video,
            "audio": audio,
            "screen": {"sink": "headless"},
            "panel": {"listen": self.panel} if self.panel else {"enabled": False},
            "meetings": [
                {
                    "id": ROOM,
                    "name": "Giao ban thử",
                    "send_url": self.send_url,
                    "receive_url": self.receive_url,
                    "allow_http": True,
                }
            ],
        }

    def prepare(self) -> None:
        """Write the unit's settings into its folder."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if self.measured:
            self.taps.mkdir(exist_ok=True)
        self.folder.joinpath("settings.toml").write_text(tomli_w.dumps(self.settings()), encoding="utf-8")

    def programs(self) -> Sequence[Program]:
        """The engine, and the panel where one is wanted."""
        where = ("--state-dir", str(self.folder), "--socket", str(self.socket))
        taps = ("--tap-dir", str(self.taps)) if self.measured else ()
        programs = [Program(self.name, [*self.prefix, *bridgepoint(*where, "run", *taps)], self.folder / "engine.log")]
        if self.panel is not None:
            command = [*self.prefix, *bridgepoint(*where, "panel", "--listen", self.panel)]
            programs.append(Program("panel", command, self.folder / "panel.log"))
        return programs
