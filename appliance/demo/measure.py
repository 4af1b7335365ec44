"""What a bridge point's own records say of a call: latency from pixels and samples, freezes, gaps, lip sync.

Everything is read off what arrived: the time code in the pictures shown, and the microphone's sound found again in
what the speaker played. Nothing is taken from what was meant to happen.
"""

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from appliance.media import soundmark
from appliance.media.values import SAMPLE_RATE

NS = 1_000_000_000
# A person sees a standing picture from about a tenth of a second on.
FREEZE_NS = 100_000_000
# A person hears a hole in speech from here on; shorter ones are a click at most.
HEARD_GAP_MS = 60.0
# Less is found by a drop-out's margins (soundmark).
STEADY_SAMPLES = SAMPLE_RATE // 100
# Samples up to here are no sound (about -60 dBFS).
QUIET = 30


@dataclass(frozen=True, slots=True)
class ShownFrame:
    """A picture that was on screen, and the capture time that its time code tells (None: no code found)."""

    shown_ns: int
    captured_ns: int | None


@dataclass(frozen=True, slots=True)
class Recording:
    """Sound on a common time line: sample i belongs to MediaClock `start_ns` + i / 48000 s."""

    samples: npt.NDArray[np.int16]
    start_ns: int

    def between(self, begin_ns: int, end_ns: int) -> "Recording":
        """The part of the recording from `begin_ns` to `end_ns`."""
        first = max(0, (begin_ns - self.start_ns) * SAMPLE_RATE // NS)
        last = max(first, (end_ns - self.start_ns) * SAMPLE_RATE // NS)
        return Recording(self.samples[first:last], self.start_ns + first * NS // SAMPLE_RATE)


def read_shown(path: Path) -> list[ShownFrame]:
    """The screen worker's record, one line a picture: shown_ns, time code ns or empty, pts_ns."""
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return [ShownFrame(int(row[0]), int(row[1]) if row[1] else None) for row in csv.reader(file) if len(row) == 3]


def read_recording(folder: Path, name: str) -> Recording:
    """Lay a sound worker's record (`name`.s16le with `name`.idx) on the MediaClock's time line."""
    raw = folder.joinpath(f"{name}.s16le")
    index = folder.joinpath(f"{name}.idx")
    if not raw.exists() or not index.exists():
        return Recording(np.zeros(0, np.int16), 0)
    samples = np.fromfile(raw, np.int16)
    marks: npt.NDArray[np.int64] = np.fromfile(index, np.int64)
    marks = marks[: len(marks) // 2 * 2].reshape(-1, 2)
    if not len(marks):
        return Recording(np.zeros(0, np.int16), 0)
    start_ns = int(marks[0, 1])
    places = (marks[:, 1] - start_ns) * SAMPLE_RATE // NS
    lengths = np.diff(np.append(marks[:, 0], len(samples)))
    line = np.zeros(int(places[-1] + lengths[-1]), np.int16)
    for place, begin, length in zip(places, marks[:, 0], lengths, strict=True):
        part = samples[begin : begin + length]
        line[place : place + len(part)] = part[: max(0, len(line) - place)]
    return Recording(line, start_ns)


def percentiles(values: list[float]) -> dict[str, float | None]:
    """The median and the 95th percentile, or None where nothing was measured."""
    if not values:
        return {"p50": None, "p95": None}
    return {"p50": round(float(np.percentile(values, 50)), 1), "p95": round(float(np.percentile(values, 95)), 1)}


def video_figures(shown: list[ShownFrame], until_ns: int, since_ns: int | None = None) -> dict[str, Any]:
    """Freezes and glass to glass. A picture counts as new when its time code is; the last gap runs to `until_ns`.

    The first gap begins with the first picture, or at `since_ns` where pictures were due from then on.
    """
    latencies = [(frame.shown_ns - frame.captured_ns) / 1e6 for frame in shown if frame.captured_ns is not None]
    news: list[int] = [] if since_ns is None else [since_ns]
    newest = -1
    for frame in shown:
        if frame.captured_ns is None:
            continue
        if frame.captured_ns > newest:
            newest = frame.captured_ns
            news.append(frame.shown_ns)
    ends: npt.NDArray[np.int64] = np.array([*news, max(until_ns, news[-1])] if news else [], np.int64)
    gaps = np.diff(ends)
    freezes = gaps[gaps > FREEZE_NS]
    return {
        "frames_shown": len(shown),
        "freezes": len(freezes),
        "freeze_ms": round(float(freezes.sum()) / 1e6, 1),
        "longest_freeze_ms": round(float(freezes.max()) / 1e6, 1) if len(freezes) else 0.0,
        "glass_to_glass_ms": percentiles(latencies),
    }


def audio_delays(mic: Recording, speaker: Recording) -> list[tuple[int, float]]:
    """(capture time ns, mouth to ear ms) for each stretch of sound found again in what was played."""
    found = soundmark.delay_by_correlation(mic.samples, _heard_on_line_of(mic, speaker), SAMPLE_RATE)
    return [(mic.start_ns + int(place) * NS // SAMPLE_RATE, delay * 1000 / SAMPLE_RATE) for place, delay in found]


def audio_gaps(mic: Recording, speaker: Recording) -> list[float]:
    """Lengths (ms) of the silences that were heard where the microphone had sound.

    A jitter buffer changes the delay now and then: each stretch of one delay is looked at by itself.
    """
    heard = _heard_on_line_of(mic, speaker)
    stretches: list[tuple[int, int]] = []
    for place, delay in soundmark.delay_by_correlation(mic.samples, heard, SAMPLE_RATE):
        if not stretches or abs(delay - stretches[-1][1]) > STEADY_SAMPLES:
            # The first reaches back to the start: what was not found there may not have been heard.
            stretches.append((place if stretches else 0, delay))
    if not stretches:
        if np.abs(heard.astype(np.int32)).max(initial=0) > QUIET:
            return []  # a pure tone or a call of a second: heard, but nowhere found for certain
        # Not a sound was heard: all that the microphone had is missing.
        stretches, heard = [(0, 0)], np.zeros(len(mic.samples), np.int16)
    ends = [place for place, _ in stretches[1:]] + [len(mic.samples)]
    lengths: list[int] = []
    for (begin, delay), end in zip(stretches, ends, strict=True):
        lengths += soundmark.gaps(mic.samples[begin:end], heard[begin : end + delay], delay)
    return [length * 1000 / SAMPLE_RATE for length in lengths]


def gap_figures(gaps: list[float]) -> dict[str, Any]:
    """What a person notices of `audio_gaps`: those longer than HEARD_GAP_MS, their sum and the longest."""
    heard = [gap for gap in gaps if gap > HEARD_GAP_MS]
    return {
        "audio_gaps": len(heard),
        "audio_gap_ms": round(sum(heard), 1),
        "longest_audio_gap_ms": round(max(heard, default=0.0), 1),
    }


def share_percent(part_ms: float, whole_s: float) -> float:
    """A part of the call's time in percent, such as the sound that was concealed."""
    return round(part_ms / (10 * whole_s), 2) if whole_s else 0.0


def _heard_on_line_of(mic: Recording, speaker: Recording) -> npt.NDArray[np.int16]:
    """What was played, from the sample on that was heard when the microphone's record begins."""
    if not len(mic.samples) or not len(speaker.samples):
        return speaker.samples[:0]  # a record without samples has no time, either
    lead = (speaker.start_ns - mic.start_ns) * SAMPLE_RATE // NS
    return speaker.samples[-lead:] if lead < 0 else np.concatenate((np.zeros(lead, np.int16), speaker.samples))


def av_offset(delays: list[tuple[int, float]], shown: list[ShownFrame]) -> dict[str, float | None]:
    """How much later than the picture of the same moment its sound is heard: ms, positive means sound is late."""
    return percentiles(av_offsets(delays, shown))


def av_offsets(delays: list[tuple[int, float]], shown: list[ShownFrame]) -> list[float]:
    """As `av_offset`: one value for each delay that has pictures near it."""
    coded = [(frame.captured_ns, frame.shown_ns) for frame in shown if frame.captured_ns is not None]
    captured = np.array([c for c, _ in coded])
    latency = np.array([(s - c) / 1e6 for c, s in coded])
    offsets = []
    for moment, delay in delays:
        near = latency[np.abs(captured - moment) < NS // 2] if len(captured) else latency
        if len(near):
            offsets.append(delay - float(np.median(near)))
    return offsets
