"""The receivers of others: which there are, what each needs, and how the rig's programs are started."""

import shutil
import subprocess
import sys
from pathlib import Path

# The distribution's Python: GStreamer's bindings are no package of PyPI's.
SYSTEM_PYTHON = "/usr/bin/python3"
_GST_ELEMENTS = ("webrtcbin", "nicesrc", "dtlsdec", "srtpdec", "rtph264depay", "avdec_h264", "rtpopusdepay", "opusdec")
_GST_PROBE = (
    "import gi\n"
    "for name in ('Gst', 'GstWebRTC', 'GstSdp', 'GstApp'): gi.require_version(name, '1.0')\n"
    "from gi.repository import Gst, GstWebRTC, GstSdp, GstApp\n"
    "Gst.init(None)\n"
    f"lost = [name for name in {_GST_ELEMENTS} if Gst.ElementFactory.find(name) is None]\n"
    "raise SystemExit('GStreamer has no ' + ', '.join(lost) if lost else 0)\n"
)


def command(module: str, *arguments: str) -> list[str]:
    """The command line of one of the rig's programs."""
    return [sys.executable, "-m", f"bench.line.{module}", *arguments]


def answerer(receiver: str) -> list[str]:
    """The command line of a receiver that answers offers on stdin (far_end.py)."""
    if receiver == "gstreamer":
        return [SYSTEM_PYTHON, str(Path(__file__).with_name("gstreamer_answerer.py"))]
    return command(f"{receiver}_answerer")


def missing(receiver: str) -> str | None:
    """Why this receiver cannot run here, or None."""
    match receiver:
        case "chromium":
            return None if shutil.which("chromium") else "chromium is not installed (tools/setup bench)"
        case "gstreamer":
            if not Path(SYSTEM_PYTHON).exists():
                return "the distribution's python3 is not installed"
            done = subprocess.run([SYSTEM_PYTHON, "-c", _GST_PROBE], capture_output=True, text=True, check=False)
            words = done.stderr.strip().splitlines()
            return f"{words[-1] if words else 'GStreamer fails'} (tools/setup bench)" if done.returncode else None
        case _:
            return None
