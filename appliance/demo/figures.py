"""The figures of a call: what the unit counted, and what its records show."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from appliance.media.values import SAMPLE_RATE

from .measure import (
    NS,
    Recording,
    audio_delays,
    audio_gaps,
    av_offset,
    percentiles,
    read_recording,
    read_shown,
    video_figures,
)

# How long after the meeting is live its first picture may take. One that takes longer was missed from the beginning.
START_NS = 1_000_000_000
# What is shorter cannot be found again (soundmark looks at two seconds at a time): there is nothing to tell.
LEAST_SOUND_NS = 2_000_000_000
LEAST_HOLE_NS = 10_000_000


def from_records(taps: Path, joined_ns: int, live_ns: int, ended_ns: int, counts: dict[str, int]) -> dict[str, Any]:
    """Everything that was measured of a call; `counts` are the unit's own (Tally)."""
    shown = [frame for frame in read_shown(taps / "shown.csv") if joined_ns <= frame.shown_ns <= ended_ns]
    first_ns = next((frame.shown_ns for frame in shown if frame.captured_ns is not None), None)
    begun_ns = first_ns if first_ns is not None and first_ns <= live_ns + START_NS else live_ns
    whole_mic, whole_speaker = read_recording(taps, "mic"), read_recording(taps, "speaker")
    speaker = whole_speaker.between(joined_ns, ended_ns)
    delays = audio_delays(whole_mic.between(joined_ns, ended_ns), speaker)
    gaps = sound_gaps(whole_mic.between(begun_ns, ended_ns), speaker)
    holes = holes_ms(covered(taps, "mic"), joined_ns, ended_ns)
    return {
        "connect_ms": round((shown[0].shown_ns - joined_ns) / 1e6, 1) if shown else None,
        "video": {
            "frames_captured": counts["frames_captured"],
            "frames_sent": counts["frames_sent"],
            **video_figures(shown, ended_ns, begun_ns),
        },
        "audio": {
            "blocks_sent": counts["blocks_sent"],
            "blocks_played": counts["blocks_played"],
            "capture_gaps": len(holes),
            "capture_gap_ms": round(sum(holes), 1),
            "gaps": None if gaps is None else len(gaps),
            "gap_ms": None if gaps is None else round(sum(gaps), 1),
            "mouth_to_ear_ms": percentiles([delay for _, delay in delays]),
        },
        "av_offset_ms": av_offset(delays, shown),
    }


def sound_gaps(mic: Recording, speaker: Recording) -> list[float] | None:
    """`audio_gaps`, or None for a call too short to tell."""
    if len(mic.samples) * NS // SAMPLE_RATE < LEAST_SOUND_NS:
        return None
    return audio_gaps(mic, speaker)


def covered(folder: Path, name: str) -> list[tuple[int, int]]:
    """From when to when (MediaClock ns) a sound worker's record holds sound; see media/sound_tap.py."""
    raw, index = folder / f"{name}.s16le", folder / f"{name}.idx"
    if not raw.exists() or not index.exists():
        return []
    marks: npt.NDArray[np.int64] = np.fromfile(index, np.int64)
    pairs = marks[: len(marks) // 2 * 2].reshape(-1, 2).tolist()
    ends = [begin for begin, _ in pairs[1:]] + [raw.stat().st_size // 2]
    return [
        (time_ns, time_ns + max(0, end - begin) * NS // SAMPLE_RATE)
        for (begin, time_ns), end in zip(pairs, ends, strict=True)
    ]


def holes_ms(spans: list[tuple[int, int]], since_ns: int, until_ns: int) -> list[float]:
    """What the spans leave uncovered of the time from `since_ns` to `until_ns`, from 10 ms on."""
    holes, reached_ns = [], since_ns
    for begin_ns, end_ns in [*spans, (until_ns, until_ns)]:
        if min(begin_ns, until_ns) - reached_ns >= LEAST_HOLE_NS:
            holes.append((min(begin_ns, until_ns) - reached_ns) / 1e6)
        reached_ns = max(reached_ns, end_ns)
    return holes
