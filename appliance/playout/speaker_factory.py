"""Choose the speaker that the settings name."""

from pathlib import Path
from typing import Any

from appliance.media.clock import Clock

from .speaker import CountedSink


def open_speaker(audio: dict[str, Any], clock: Clock) -> CountedSink:
    """A sink for `audio`, the audio section of the settings as it travels to the worker."""
    match audio["sink"]:
        case "null":
            from .speaker_null import NullSink

            return NullSink(clock)
        case "file":
            from .speaker_file import FileSink

            return FileSink(Path(audio["output_file"]), clock)
        case "alsa":
            from .speaker_alsa import AlsaSink

            return AlsaSink(audio["output_device"], clock)
        case other:
            raise ValueError(f"unknown sound output {other!r}")
