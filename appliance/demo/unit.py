"""A bridge point for the demonstration: its settings, its folder, its engine, and its panel if one is wanted."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import tomli_w

from .processes import Program

ROOM = "giao-ban"


@dataclass(frozen=True, slots=True)
class UnitPlan:
    """How one demonstration unit is set up. Without footage it shows the test card and beeps."""

    name: str
    folder: Path
    mcu_url: str
    video_file: Path | None = None
    audio_file: Path | None = None
    panel: str | None = None
    measured: bool = False

    @property
    def socket(self) -> Path:
        return self.folder / "control.sock"

    @property
    def taps(self) -> Path:
        return self.folder / "taps"

    def settings(self) -> dict[str, Any]:
        who = quote(self.name, safe="")
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
                    "send_url": f"{self.mcu_url}/whip/{ROOM}/{who}",
                    "receive_url": f"{self.mcu_url}/whep/{ROOM}/{who}",
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
        where = ["--state-dir", str(self.folder), "--socket", str(self.socket)]
        run = [*where, "run", *(["--tap-dir", str(self.taps)] if self.measured else [])]
        programs = [Program(self.name, run, self.folder / "engine.log")]
        if self.panel is not None:
            programs.append(Program("panel", [*where, "panel", "--listen", self.panel], self.folder / "panel.log"))
        return programs
