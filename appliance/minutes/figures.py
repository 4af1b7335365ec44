"""One minute's figures from the counters of the parts, which start again from zero with each session and worker."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from .chain import MAX_WHOLE

Numbers = Mapping[str, Mapping[str, Any]]


class _Source(NamedTuple):
    part: str
    key: str
    # A count of lost packets may shrink, when late ones arrive; it starts again when this one does.
    with_key: str | None = None


@dataclass(frozen=True, slots=True)
class _Gauge:
    part: str
    key: str
    how: Literal["mean", "most"]
    per: float = 1.0


# Names of the minutes, and the numbers that add up to them. A part that has not told leaves the name out.
COUNTERS: dict[str, tuple[_Source, ...]] = {
    "frames_sent": (_Source("session", "video_out_frames_sent"),),
    "frames_shown": (_Source("screen", "shown"),),
    "frames_dropped": (_Source("screen", "dropped"),),
    "freezes": (_Source("screen", "freezes"),),
    "freeze_ms": (_Source("screen", "freeze_ms"),),
    "decode_errors": (_Source("screen", "decode_errors"),),
    "packets_out": (_Source("session", "video_out_packets_sent"), _Source("session", "audio_out_packets_sent")),
    "packets_out_lost": (
        _Source("session", "video_out_packets_lost", "video_out_packets_sent"),
        _Source("session", "audio_out_packets_lost", "audio_out_packets_sent"),
    ),
    "packets_in": (_Source("session", "video_in_packets_received"), _Source("session", "audio_in_packets_received")),
    "packets_in_lost": (
        _Source("session", "video_in_packets_lost", "video_in_packets_received"),
        _Source("session", "audio_in_packets_lost", "audio_in_packets_received"),
    ),
    "packets_repaired": (_Source("session", "video_in_packets_recovered"),),
    "gaps_given_up": (_Source("session", "video_in_gaps_given_up"),),
    "keyframes_asked": (_Source("session", "video_in_keyframe_requests"),),
    "bytes_out": (_Source("session", "video_out_bytes_sent"), _Source("session", "audio_out_bytes_sent")),
    "bytes_in": (_Source("session", "video_in_bytes"), _Source("session", "audio_in_bytes")),
    "blocks_concealed": (_Source("session", "audio_in_concealed"),),
    "blocks_underrun": (_Source("session", "audio_in_underruns"),),
    "blocks_fec": (_Source("session", "audio_in_fec_used"),),
    "sound_xruns": (_Source("sound", "xruns"),),
}
GAUGES: dict[str, _Gauge] = {
    "rtt_ms": _Gauge("session", "video_out_rtt_ms", "mean"),
    "rtt_max_ms": _Gauge("session", "video_out_rtt_ms", "most"),
    "jitter_ms": _Gauge("session", "video_in_jitter_ms", "most"),
    "sound_buffer_ms": _Gauge("session", "audio_in_buffer_ms", "most"),
    "encoder_kbps": _Gauge("camera", "bitrate_bps", "mean", per=1000),
    "mic_dbfs": _Gauge("sound", "level_dbfs", "most"),
    "speaker_dbfs": _Gauge("sound", "out_level_dbfs", "most"),
}
BLOCK_MS = 20


class Figures:
    """Adds up what was counted since the last `take()`."""

    def __init__(self, numbers: Numbers) -> None:
        """`numbers`: those of now. What was counted before is not of this meeting."""
        self._last: dict[tuple[str, str], int] = {}
        for source in _sources():
            value = _number(numbers, source.part, source.key)
            if value is not None:
                self._last[source.part, source.key] = round(value)
        self._sums: dict[str, int] = {}
        self._samples: dict[str, list[float]] = {}

    def count(self, numbers: Numbers) -> None:
        """Take the counters; as often as one likes."""
        if not numbers.get("session"):
            # The next session counts from zero.
            self._last = {place: value for place, value in self._last.items() if place[0] != "session"}
        now: dict[tuple[str, str], int] = {}
        for name, sources in COUNTERS.items():
            for source in sources:
                value = _number(numbers, source.part, source.key)
                if value is None:
                    continue
                now[source.part, source.key] = round(value)
                self._sums[name] = self._sums.get(name, 0) + self._grown(source, round(value), numbers)
        self._last |= now

    def sample(self, numbers: Numbers) -> None:
        """Take the gauges; once a second."""
        for name, gauge in GAUGES.items():
            value = _number(numbers, gauge.part, gauge.key)
            if value is not None:
                self._samples.setdefault(name, []).append(value / gauge.per)

    def take(self) -> dict[str, int]:
        """The figures since the last time; what no part told is left out."""
        taken = {name: max(0, value) for name, value in self._sums.items()}
        for name, samples in self._samples.items():
            taken[name] = round(max(samples) if GAUGES[name].how == "most" else sum(samples) / len(samples))
        # A counter that was told once is told on, with zero where nothing came.
        self._sums = dict.fromkeys(self._sums, 0)
        self._samples = {}
        return taken

    def _grown(self, source: _Source, value: int, numbers: Numbers) -> int:
        last = self._last.get((source.part, source.key), 0)
        if source.with_key is None:
            return value - last if value >= last else value
        companion = _number(numbers, source.part, source.with_key)
        if companion is not None and companion < self._last.get((source.part, source.with_key), 0):
            return value
        return value - last


def _sources() -> Iterator[_Source]:
    for sources in COUNTERS.values():
        yield from sources


def _number(numbers: Numbers, part: str, key: str) -> float | None:
    """What a part told, when it is a number that can be reckoned with."""
    value = numbers.get(part, {}).get(key)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if math.isfinite(value) and abs(value) <= MAX_WHOLE else None
