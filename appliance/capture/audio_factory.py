"""Choose the microphone that the settings name."""

from pathlib import Path
from typing import Any

from appliance.media.clock import Clock

from .microphone import CountedSource


def open_microphone(audio: dict[str, Any], clock: Clock) -> CountedSource:
    """A source for `audio`, the audio section of the settings as it travels to the worker."""
    match audio["source"]:
        case "tone":
            from .tone import ToneSource

            return ToneSource(clock)
        case "file":
            from .file_audio import FileAudioSource

            return FileAudioSource(Path(audio["input_file"]), clock)
        case "alsa":
            from .alsa_audio import AlsaSource

            return AlsaSource(audio["input_device"], clock)
        case other:
            raise ValueError(f"unknown sound source {other!r}")
