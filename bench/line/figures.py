"""A row's figures: from the records of both ends (appliance/demo/measure.py), the counters and the line."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from appliance.demo.measure import (
    NS,
    ShownFrame,
    audio_delays,
    audio_gaps,
    av_offsets,
    gap_figures,
    percentiles,
    read_recording,
    read_shown,
    share_percent,
    video_figures,
)
from appliance.media.values import BLOCK_MS

# Sound that was captured at the end is heard up to so much later.
_LATEST_HEARD_NS = NS


@dataclass(frozen=True, slots=True)
class Sample:
    """The counters of one moment: the sending session's, the unit's, the far end's, the line's."""

    at_ns: int
    sender: dict[str, Any]
    unit: dict[str, Any]
    far: dict[str, Any]
    line: dict[str, Any]


def grown(values: Iterable[Any]) -> float:
    """By how much a counter has grown; a session that begins anew begins at 0."""
    total, last = 0.0, None
    for value in values:
        if not isinstance(value, int | float):
            continue
        if last is not None:
            total += value - last if value >= last else value
        last = value
    return total


def row_of(
    receiver: str,
    sender_taps: Path,
    receiver_taps: Path,
    window: tuple[int, int],
    samples: list[Sample],
    *,
    series: bool = False,
) -> dict[str, Any]:
    """The figures of what the receiver showed and played within the window (MediaClock ns)."""
    began_ns, ended_ns = window
    seconds = (ended_ns - began_ns) / NS
    shown = [frame for frame in read_shown(receiver_taps / "shown.csv") if began_ns <= frame.shown_ns <= ended_ns]
    mic = read_recording(sender_taps, "mic").between(began_ns, ended_ns)
    speaker = read_recording(receiver_taps, "speaker").between(began_ns, ended_ns + _LATEST_HEARD_NS)
    delays = audio_delays(mic, speaker)
    gaps = audio_gaps(mic, speaker)
    offsets = av_offsets(delays, shown)
    concealed_ms = _concealed_ms(receiver, samples)

    def sent(name: str) -> int:
        return round(grown(sample.sender.get(name) for sample in samples))

    up = samples[-1].line["up"]
    video = video_figures(shown, ended_ns, began_ns)
    row: dict[str, Any] = {
        "sender": "ours",
        "receiver": receiver,
        "seconds": round(seconds, 1),
        **video,
        "frames_damaged": sum(frame.captured_ns is None for frame in shown),
        "freeze_percent": share_percent(video["freeze_ms"], seconds),
        **gap_figures(gaps),
        "audio_silence_ms": round(sum(gaps), 1),
        "audio_concealed_ms": concealed_ms,
        "audio_concealed_percent": None if concealed_ms is None else share_percent(concealed_ms, seconds),
        "mouth_to_ear_ms": percentiles([delay for _, delay in delays]),
        "av_offset_ms": percentiles(offsets),
        "av_offset_abs_p95_ms": percentiles([abs(offset) for offset in offsets])["p95"],
        "bitrate_kbps": round(up["delivered_bytes"] * 8 / 1000 / seconds, 1),
        "offered_kbps": round(up["arrived_bytes"] * 8 / 1000 / seconds, 1),
        "frames_captured": round(grown(sample.unit.get("camera_frames") for sample in samples)),
        "frames_sent": sent("video_out_frames_sent"),
        "pli": sent("video_out_keyframe_requests"),
        "nacks": sent("video_out_nacks"),
        "resent": sent("video_out_packets_resent"),
        "unrepairable": sent("video_out_packets_unrepairable"),
        "reconnects": round(grown(sample.unit.get("reconnects") for sample in samples)),
        "queue_ms": up["queue_ms"],
        "line": {way: {**samples[-1].line[way]} for way in ("up", "down")},
        "line_latest_ms": samples[-1].line["latest_ms"],
        "engine_cpu_percent": share_percent(1000 * grown(s.unit.get("engine_cpu_s") for s in samples), seconds),
        "receiver_numbers": _receiver_numbers(samples),
    }
    if series:
        row["series"] = _series(shown, window, samples)
    return row


def _concealed_ms(receiver: str, samples: list[Sample]) -> float | None:
    """Sound that the receiver made up, by its own counter; None where it keeps none."""
    far = [sample.far if receiver != "lab-mcu" else sample.sender for sample in samples]
    if receiver in ("ours", "lab-mcu"):
        return BLOCK_MS * grown(numbers.get("audio_in_concealed") for numbers in far)
    if any("audio_concealed_ms" in numbers for numbers in far):
        return round(grown(numbers.get("audio_concealed_ms") for numbers in far), 1)
    return None


def _receiver_numbers(samples: list[Sample]) -> dict[str, Any]:
    """The receiver's own counters: their growth; what is no counter (a delay, a jitter) as it was at the end."""
    found: dict[str, Any] = {}
    for name, value in samples[-1].far.items():
        if isinstance(value, int) and not isinstance(value, bool):
            found[name] = round(grown(sample.far.get(name) for sample in samples))
        elif isinstance(value, float):
            values = [v for sample in samples if isinstance(v := sample.far.get(name), int | float)]
            found[name] = {"last": value, "mean": round(float(np.mean(values)), 2), "max": max(values)}
    return found


def _series(shown: list[ShownFrame], window: tuple[int, int], samples: list[Sample]) -> list[dict[str, Any]]:
    """Second by second: what was shown and how late, what the line carried, what the controller asked for."""
    rows = []
    for before, after in pairwise(samples):
        part = [frame for frame in shown if before.at_ns <= frame.shown_ns < after.at_ns]
        late = [(f.shown_ns - f.captured_ns) / 1e6 for f in part if f.captured_ns is not None]
        took_s = (after.at_ns - before.at_ns) / NS
        up, was = after.line["up"], before.line["up"]
        rows.append(
            {
                "t": round((before.at_ns - window[0]) / NS, 1),
                "frames_shown": len(part),
                "glass_to_glass_p50_ms": percentiles(late)["p50"],
                "kbps": round((up["delivered_bytes"] - was["delivered_bytes"]) * 8 / 1000 / took_s),
                "dropped": sum(up["dropped"].values()) - sum(was["dropped"].values()),
                "queue_now_ms": up["queue_now_ms"],
                "target_kbps": round((after.unit.get("camera_bitrate_bps") or 0) / 1000),
                "fps": after.unit.get("camera_fps"),
                "remb_kbps": round((after.sender.get("video_out_remb_bps") or 0) / 1000),
                "rtt_ms": after.sender.get("video_out_rtt_ms"),
                "fraction_lost": after.sender.get("video_out_fraction_lost"),
                "state": after.unit.get("state"),
                "audio_buffer_ms": after.far.get("audio_in_buffer_ms"),
            }
        )
    return rows
