"""The same pictures and sound through GStreamer's C elements, RTP to itself over UDP: what the codecs cost at least.

No ICE, no encryption, no congestion control and no MCU between: a floor, not a competitor.
"""

import shutil
import socket
import subprocess
import time

import numpy as np

from appliance.demo.processes import cost_of

from .media import BITRATE, FPS, HEIGHT, WIDTH, Latencies, TestCard, in_thread

_FRAME = WIDTH * HEIGHT * 3 // 2


def _udp_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def _pipeline() -> list[str]:
    picture, sound = _udp_port(), _udp_port()
    text = f"""
        fdsrc fd=0 blocksize={_FRAME} ! rawvideoparse width={WIDTH} height={HEIGHT} format=i420 framerate={FPS}/1
          ! x264enc tune=zerolatency speed-preset=ultrafast bitrate={BITRATE // 1000} key-int-max={FPS * 10} threads=1
          ! video/x-h264,profile=constrained-baseline ! rtph264pay mtu=1200 config-interval=-1
          ! udpsink host=127.0.0.1 port={picture} sync=false async=false
        udpsrc address=127.0.0.1 port={picture} buffer-size=1000000
            caps=application/x-rtp,media=video,clock-rate=90000,encoding-name=H264
          ! rtpjitterbuffer latency=20 ! rtph264depay ! avdec_h264 max-threads=1
          ! video/x-raw,format=I420 ! fdsink fd=1 sync=false async=false
        audiotestsrc is-live=true samplesperbuffer=960 ! audio/x-raw,rate=48000,channels=1
          ! opusenc bitrate=32000 inband-fec=true ! rtpopuspay
          ! udpsink host=127.0.0.1 port={sound} sync=false async=false
        udpsrc address=127.0.0.1 port={sound} caps=application/x-rtp,media=audio,clock-rate=48000,encoding-name=OPUS
          ! rtpjitterbuffer latency=40 ! rtpopusdepay ! opusdec ! fakesink sync=true
    """
    return ["gst-launch-1.0", "-q", *text.split()]


def missing() -> str | None:
    """Why this cannot run here, or None."""
    if shutil.which("gst-launch-1.0") is None:
        return "gst-launch-1.0 is not installed"
    for element in ("x264enc", "avdec_h264", "rtph264pay", "opusenc", "rtpopuspay"):
        if subprocess.run(["gst-inspect-1.0", element], capture_output=True, check=False).returncode:
            return f"GStreamer has no {element}"
    return None


def call(seconds: float) -> dict[str, object]:
    latencies, card = Latencies(), TestCard()
    began_ns = time.monotonic_ns()
    process = subprocess.Popen(_pipeline(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
    assert process.stdin is not None
    assert process.stdout is not None
    give, take = process.stdin, process.stdout

    # Drawing and reading back cost the other candidates too, in their own processes.
    ours_s = {"draw": 0.0, "read": 0.0}

    def feed() -> None:
        try:
            while True:
                begun_s = time.thread_time()
                picture = card.read()
                ours_s["draw"] += time.thread_time() - begun_s
                give.write(picture)
        except OSError:
            return

    def read() -> None:
        picture = bytearray()
        while part := take.read(_FRAME - len(picture)):
            picture += part
            if len(picture) == _FRAME:
                luma = np.frombuffer(bytes(picture), np.uint8)[: WIDTH * HEIGHT].reshape(HEIGHT, WIDTH)
                begun_s = time.thread_time()
                latencies.picture(luma)
                ours_s["read"] += time.thread_time() - begun_s
                picture.clear()

    threads = [in_thread(feed), in_thread(read)]
    before = cost_of(process.pid)
    time.sleep(seconds)
    after = cost_of(process.pid)
    process.terminate()
    process.wait()
    for thread in threads:
        thread.join(2)
    assert before is not None
    assert after is not None
    return {
        "cpu_s": after.cpu_s - before.cpu_s + sum(ours_s.values()),
        "pss_mb": after.pss_mb,
        "connect_ms": None if latencies.first_ns is None else round((latencies.first_ns - began_ns) / 1e6, 1),
        "pictures": latencies.pictures,
        "glass_to_glass_ms": latencies.figures(),
    }
