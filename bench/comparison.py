"""The benchmark's figures side by side: ratios of one run, and whether the aims of docs/performance.md were reached."""

from dataclasses import asdict, dataclass
from typing import Any

Figures = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Line:
    """One figure of every candidate, None where it has none; `aim` is the most that ours may be."""

    name: str
    ours: float | None
    aiortc: float | None = None
    gstreamer: float | None = None
    aim: float | None = None

    @property
    def reached(self) -> bool | None:
        """Whether ours is within the aim; None without an aim. What was not measured was not reached."""
        return None if self.aim is None else self.ours is not None and self.ours <= self.aim

    def as_dict(self) -> Figures:
        return asdict(self) | {
            "ours_per_aiortc": ratio(self.ours, self.aiortc),
            "ours_per_gstreamer": ratio(self.ours, self.gstreamer),
            "reached": self.reached,
        }


def ratio(ours: float | None, other: float | None) -> float | None:
    return round(ours / other, 2) if ours is not None and other else None


@dataclass(frozen=True, slots=True)
class Comparison:
    """Three calls of `seconds`: our demo's figures, plain aiortc's, and GStreamer's (empty where it is missing)."""

    seconds: float
    ours: Figures
    aiortc: Figures
    gst: Figures

    def lines(self) -> list[Line]:
        """CPU-seconds are scaled to 60 s of call, of each candidate's own length."""
        cpu, pss, video, audio = (self.ours[name] for name in ("cpu_s", "pss_mb", "video", "audio"))
        scale = 60 / self.ours["seconds"]
        other_scale = 60 / self.seconds
        glass = [figures.get("glass_to_glass_ms", {}) for figures in (video, self.aiortc, self.gst)]

        def rate(pictures: float | None, seconds: float) -> float | None:
            return None if pictures is None else pictures / seconds

        def cost(figures: Figures) -> float | None:
            return figures["cpu_s"] * other_scale if figures else None

        return [
            *(Line(f"  {name} CPU-s / 60 s", value * scale) for name, value in cpu.items() if name != "engine"),
            Line("  engine CPU-s / 60 s", cpu["engine"] * scale, aim=6.5),
            Line("CPU-s / 60 s, all", sum(cpu.values()) * scale, cost(self.aiortc), cost(self.gst)),
            *(Line(f"  {name} PSS MB", value) for name, value in pss.items()),
            Line("PSS MB, all", sum(pss.values()), self.aiortc["pss_mb"], self.gst.get("pss_mb"), aim=220),
            Line(
                *("connect ms", self.ours["connect_ms"], self.aiortc["connect_ms"], self.gst.get("connect_ms")),
                aim=600,
            ),
            Line("glass to glass p50 ms", *(found.get("p50") for found in glass), aim=100),
            Line("glass to glass p95 ms", *(found.get("p95") for found in glass)),
            Line("mouth to ear p50 ms", audio["mouth_to_ear_ms"]["p50"]),
            Line("picture/sound offset ms", self.ours["av_offset_ms"]["p50"]),
            Line(
                "pictures a second",
                rate(video["frames_shown"], self.ours["seconds"]),
                rate(self.aiortc["pictures"], self.seconds),
                rate(self.gst.get("pictures"), self.seconds),
            ),
        ]

    def as_dict(self) -> Figures:
        return {
            "seconds": self.seconds,
            "lines": [line.as_dict() | {"name": line.name.strip()} for line in self.lines()],
            "bridgepoint": self.ours,
            "aiortc": self.aiortc,
            "gstreamer": self.gst or None,
        }

    def table(self) -> str:
        names = ("bridgepoint", "aiortc", "ours/aiortc", "GStreamer", "ours/GStr.", "aim", "reached")
        return "\n".join((_row("", *names), *(_shown(line) for line in self.lines())))


def _number(value: float | None, digits: int = 1) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def _shown(line: Line) -> str:
    return _row(
        line.name,
        *(_number(line.ours) or "-", _number(line.aiortc), _number(ratio(line.ours, line.aiortc), 2)),
        *(_number(line.gstreamer), _number(ratio(line.ours, line.gstreamer), 2), _number(line.aim)),
        {None: "", True: "yes", False: "no"}[line.reached],
    )


def _row(name: str, *cells: str) -> str:
    return f"{name:<24}" + "".join(f"{cell:>12}" for cell in cells)


def notes(gstreamer_missing: str | None) -> list[str]:
    """What must be known to compare fairly."""
    return [
        "Ours and aiortc call the same lab MCU, whose own encoding and decoding is in both latencies and in no cost.",
        "Ours shows pictures in time with their sound, which delays them; the others show them as they come.",
        "Drawing the test card and reading its time code back is in every candidate's CPU-seconds.",
        f"GStreamer: {gstreamer_missing or 'sends to itself: no MCU, ICE, encryption or rate control; a floor'}.",
    ]
