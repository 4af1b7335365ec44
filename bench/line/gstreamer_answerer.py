"""GStreamer's webrtcbin as the receiver, with its defaults and NACK. Run by the distribution's Python, so it knows no
code of ours: it speaks the lines of far_end.py, and times are CLOCK_MONOTONIC like the MediaClock.

Its sinks wait for the pipeline's clock (webrtcbin's default latency of 200 ms included): what they give is shown then.
"""

import base64
import json
import sys
import threading
import time

import gi

for _name in ("Gst", "GstWebRTC", "GstSdp", "GstApp"):
    gi.require_version(_name, "1.0")
from gi.repository import GLib, Gst, GstSdp, GstWebRTC  # noqa: E402  versions are chosen first

_COLUMNS, _ROWS = 36, 2
_RATE = 48_000
_TELL_MS, _STATS_MS = 250, 1000
_GATHER_S = 5.0
# A clock that jumps by more is another clock: the pipeline's latency has changed.
_STEADY_NS = 30_000_000
# Without the request a picture stays damaged until the next regular keyframe.
_VIDEO = """rtph264depay request-keyframe=true ! h264parse ! avdec_h264 max-threads=1 ! video/x-raw,format=I420
  ! appsink name=pictures emit-signals=true sync=true max-buffers=30"""
_AUDIO = """rtpopusdepay ! opusdec name=opus plc=true use-inband-fec=true ! audioconvert ! audioresample
  ! audio/x-raw,format=S16LE,rate=48000,channels=1 ! appsink name=sound emit-signals=true sync=true max-buffers=50"""


def cells_of(luma: bytes, stride: int, width: int) -> str:
    """The brightness in the middle of each cell of the time code, in hex."""
    height = max(2, width // 80)
    return bytes(
        luma[(row * height + height // 2) * stride + (2 * column + 1) * width // (2 * _COLUMNS)]
        for row in range(_ROWS)
        for column in range(_COLUMNS)
    ).hex()


class Answerer:
    """One pipeline for each offer; callbacks come in GStreamer's threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._shown: list[list[object]] = []
        self._pipeline: Gst.Pipeline | None = None
        self._webrtc: Gst.Element | None = None
        self._anchor_ns: int | None = None

    def say(self, **what: object) -> None:
        with self._lock:
            sys.stdout.write(json.dumps(what) + "\n")
            sys.stdout.flush()

    def answer(self, offer: str) -> str:
        """Our answer with all candidates in it. Blocks; not called from GLib's loop."""
        self.close()
        self._anchor_ns = None
        pipeline = self._pipeline = Gst.Pipeline()
        webrtc = self._webrtc = Gst.ElementFactory.make("webrtcbin")
        webrtc.set_property("bundle-policy", GstWebRTC.WebRTCBundlePolicy.MAX_BUNDLE)
        if agent := webrtc.get_property("ice-agent"):
            agent.get_property("agent").set_property("ice-tcp", False)
        webrtc.connect("on-new-transceiver", lambda _, transceiver: transceiver.set_property("do-nack", True))
        webrtc.connect("pad-added", self._pad_added)
        pipeline.add(webrtc)
        pipeline.set_state(Gst.State.PLAYING)
        _, message = GstSdp.SDPMessage.new_from_text(offer)
        self._emit(
            "set-remote-description", GstWebRTC.WebRTCSessionDescription.new(GstWebRTC.WebRTCSDPType.OFFER, message)
        )
        reply = self._emit("create-answer", None)
        assert reply is not None
        self._emit("set-local-description", reply.get_value("answer"))
        end_s = time.monotonic() + _GATHER_S
        while webrtc.get_property("ice-gathering-state") != GstWebRTC.WebRTCICEGatheringState.COMPLETE:
            if time.monotonic() > end_s:
                raise RuntimeError("webrtcbin found no addresses")
            time.sleep(0.01)
        return str(webrtc.get_property("local-description").sdp.as_text())

    def _emit(self, signal: str, argument: object) -> Gst.Structure | None:
        assert self._webrtc is not None
        promise = Gst.Promise.new()
        self._webrtc.emit(signal, argument, promise)
        if promise.wait() != Gst.PromiseResult.REPLIED:
            raise RuntimeError(f"webrtcbin refuses: {signal}")
        reply = promise.get_reply()
        if reply is not None and reply.has_field("error"):
            raise RuntimeError(f"webrtcbin, {signal}: {reply.get_value('error')}")
        return reply

    def close(self) -> None:
        if self._pipeline is not None:
            self._pipeline.set_state(Gst.State.NULL)
            self._pipeline = self._webrtc = None

    def _pad_added(self, _: Gst.Element, pad: Gst.Pad) -> None:
        if pad.get_direction() != Gst.PadDirection.SRC or self._pipeline is None:
            return
        video = pad.get_current_caps().get_structure(0).get_string("media") == "video"
        chain = Gst.parse_bin_from_description(_VIDEO if video else _AUDIO, True)
        sink = chain.get_by_name("pictures" if video else "sound")
        sink.connect("new-sample", self._picture if video else self._sound)
        self._pipeline.add(chain)
        chain.sync_state_with_parent()
        pad.link(chain.get_static_pad("sink"))

    def _picture(self, sink: Gst.Element) -> Gst.FlowReturn:
        now_ns = time.monotonic_ns()
        sample = sink.emit("pull-sample")
        width = sample.get_caps().get_structure(0).get_value("width")
        # Planes of I420 begin with the luma, whose rows are padded to 4 bytes.
        stride = (width + 3) & ~3
        buffer = sample.get_buffer()
        luma = buffer.extract_dup(0, stride * 2 * max(2, width // 80))
        with self._lock:
            self._shown.append([now_ns, cells_of(luma, stride, width)])
        return Gst.FlowReturn.OK

    def _sound(self, sink: Gst.Element) -> Gst.FlowReturn:
        now_ns = time.monotonic_ns()
        sample = sink.emit("pull-sample")
        buffer = sample.get_buffer()
        running_ns = sample.get_segment().to_running_time(Gst.Format.TIME, buffer.pts)
        # The callback comes a little late and never early; the pipeline's time has no such jitter.
        lag_ns = now_ns - running_ns
        if self._anchor_ns is None or not 0 <= lag_ns - self._anchor_ns < _STEADY_NS:
            self._anchor_ns = lag_ns
        samples = buffer.extract_dup(0, buffer.get_size())
        self.say(heard=base64.b64encode(samples).decode(), at_ns=self._anchor_ns + running_ns)
        return Gst.FlowReturn.OK

    def tell_shown(self) -> bool:
        with self._lock:
            shown, self._shown = self._shown, []
        if shown:
            self.say(shown=shown)
        return True

    def tell_stats(self) -> bool:
        pipeline = self._pipeline
        if pipeline is None:
            return True
        stats: dict[str, object] = {}
        for element in _all(pipeline):
            factory = element.get_factory()
            name = factory.get_name() if factory is not None else ""
            if name == "rtpjitterbuffer":
                found = element.get_property("stats")
                # Both kinds have one; which is whose is told by the packets' clock alone.
                kind = f"buffer{element.get_name().removeprefix('rtpjitterbuffer')}"
                for field in ("num-pushed", "num-lost", "num-late", "rtx-count", "rtx-success-count"):
                    stats[f"{kind}_{field}"] = found.get_value(field)
            elif name == "opusdec":
                found = element.get_property("stats")
                concealed = found.get_value("plc-num-samples")
                stats["audio_concealed_ms"] = concealed / (_RATE // 1000)
        self.say(stats=stats)
        return True


def _all(bin_: Gst.Bin) -> list[Gst.Element]:
    found: list[Gst.Element] = []
    walk = bin_.iterate_recurse()
    while True:
        result, element = walk.next()
        if result != Gst.IteratorResult.OK:
            return found
        found.append(element)


def main() -> None:
    Gst.init(None)
    loop = GLib.MainLoop()
    answerer = Answerer()

    def offers() -> None:
        for line in sys.stdin:
            try:
                answerer.say(answer=answerer.answer(json.loads(line)["offer"]))
            except Exception as error:  # noqa: BLE001  whatever it is, the row tells it
                answerer.say(error=f"{type(error).__name__}: {error}")
        loop.quit()

    GLib.timeout_add(_TELL_MS, answerer.tell_shown)
    GLib.timeout_add(_STATS_MS, answerer.tell_stats)
    threading.Thread(target=offers, daemon=True).start()
    answerer.say(ready=True)
    loop.run()
    answerer.close()


if __name__ == "__main__":
    main()
