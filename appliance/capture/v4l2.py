"""A USB camera through PyAV's Video4Linux input: MJPEG, uncompressed, or H.264 that the camera encodes itself.

H.264 is passed on as it is while the camera does what a live line needs: constrained baseline, a keyframe within a
second of a request, and the bit rate wanted. A camera that does not is opened again in a raw mode and encoded here.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

import av
from av.video.stream import VideoStream

from appliance.errors import DeviceError
from appliance.media.clock import NS_PER_S, Clock
from appliance.media.values import EncodedFrame

from .annexb import NAL_IDR, NAL_PPS, NAL_SPS, is_constrained_baseline, nal_units
from .fit import Fitter
from .pictures import MAX_WAIT_S, Picture, PictureSource, VideoConfig
from .v4l2_controls import CameraControls
from .v4l2_modes import OpenDevice, lost, open_camera

log = logging.getLogger(__name__)

# A camera that is slow to open (many need a second) is not lost yet; one that stops in the middle is.
_OPENING_LIMIT_NS = 6 * NS_PER_S
_STALL_LIMIT_NS = 2 * NS_PER_S
_KEYFRAME_LIMIT_NS = NS_PER_S
_RATE_WINDOW_NS = 2 * NS_PER_S
_RATE_EXCESS = 1.25
_MOST_ENCODED_WAITING = 8
_MOST_SPOILED_IN_A_ROW = 60
_START_CODE = b"\x00\x00\x00\x01"


class V4l2Source(PictureSource):
    """Reads in a thread of its own, which a driver may block; `read` takes the newest picture."""

    def __init__(
        self,
        config: VideoConfig,
        clock: Clock,
        *,
        open_device: OpenDevice = av.open,
        open_controls: Callable[[str], CameraControls] = CameraControls,
    ) -> None:
        self._config = config
        self._clock = clock
        self._open_device = open_device
        self._open_controls = open_controls
        self._fitter = Fitter(config.width, config.height)
        self._arrived = threading.Condition()
        self._newest: tuple[av.VideoFrame, int] | None = None
        self._encoded: deque[EncodedFrame] = deque()
        self._error: Exception | None = None
        self._pixel_aspect = 1.0
        self._heard_ns = clock.now_ns()
        self._limit_ns = _OPENING_LIMIT_NS
        self._interval_ns = NS_PER_S // config.fps
        self._due_ns = 0
        # The time code is drawn on raw pictures.
        self._may_pass_through = not config.time_code
        self._passing: _PassThrough | None = None
        self._wanted_bps = config.bitrate_kbps * 1000
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="v4l2", daemon=True)
        self._thread.start()

    # called by the camera's thread

    def read(self) -> Picture | EncodedFrame | None:
        with self._arrived:
            if not self._encoded and self._newest is None and self._error is None:
                self._arrived.wait(MAX_WAIT_S)
            if self._encoded:
                return self._encoded.popleft()
            newest, self._newest = self._newest, None
            if newest is None and self._error is not None:
                raise self._error
        if newest is not None:
            try:
                return Picture(self._fitter.fit(newest[0], self._pixel_aspect), newest[1])
            except (av.FFmpegError, OSError, ValueError) as error:
                raise lost(self._config.device, error) from error
        if self._clock.now_ns() - self._heard_ns > self._limit_ns:
            raise DeviceError(
                f"the camera {self._config.device} gives no pictures; check its cable", problem="camera-missing"
            )
        return None

    def set_framerate(self, fps: int) -> None:
        self._interval_ns = NS_PER_S // fps

    def request_keyframe(self) -> None:
        passing = self._passing
        if passing is not None:
            passing.request_keyframe()

    def set_bitrate(self, bps: int) -> None:
        self._wanted_bps = bps
        passing = self._passing
        if passing is not None:
            passing.set_bitrate(bps)

    def close(self) -> None:
        self._stopping.set()
        self._thread.join(MAX_WAIT_S)

    @property
    def is_released(self) -> bool:
        return not self._thread.is_alive()

    # the reading thread

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                self._stream()
        except Exception as error:  # noqa: BLE001  carried to the camera's thread, which raises it
            with self._arrived:
                self._error = error
                self._arrived.notify()

    def _stream(self) -> None:
        """Read until told to stop, or until the camera is to be opened again in another mode."""
        container, stream = open_camera(self._config, h264=self._may_pass_through, open_device=self._open_device)
        try:
            self._pixel_aspect = float(stream.codec_context.sample_aspect_ratio or 1)
            if self._may_pass_through and stream.codec_context.name == "h264":
                controls = self._open_controls(self._config.device)
                try:
                    self._passing = _PassThrough(controls, self._clock, stream.codec_context.extradata)
                    self._passing.set_bitrate(self._wanted_bps)
                    self._read_packets(container, stream, self._pass_on)
                finally:
                    self._passing = None
                    controls.close()
            else:
                self._read_packets(container, stream, _Decoding(self._config.device, self._offer).take)
        finally:
            container.close()

    def _read_packets(
        self, container: Any, stream: VideoStream, take: "Callable[[av.Packet[VideoStream], int], bool]"
    ) -> None:
        """Hand over packets with their capture times, until `take` says that it wants no more."""
        packets = container.demux(stream)
        while not self._stopping.is_set():
            try:
                packet = next(packets, None)
            except BlockingIOError:
                self._stopping.wait(0.005)
                continue
            except (av.FFmpegError, OSError, ValueError) as error:
                raise lost(self._config.device, error) from error
            if packet is None or not packet.size:
                raise DeviceError(
                    f"the camera {self._config.device} ended its stream; check its cable", problem="camera-missing"
                )
            self._heard_ns = self._clock.now_ns()
            self._limit_ns = _STALL_LIMIT_NS
            if not take(packet, self._captured_ns(packet)):
                return

    def _captured_ns(self, packet: "av.Packet[VideoStream]") -> int:
        """Drivers stamp pictures on CLOCK_MONOTONIC; where one does not, the time of arrival serves."""
        now_ns = self._clock.now_ns()
        if packet.pts is not None and packet.time_base is not None:
            captured_ns = round(packet.pts * packet.time_base * NS_PER_S)
            if 0 <= now_ns - captured_ns < NS_PER_S:
                return captured_ns
        return now_ns

    def _offer(self, frame: av.VideoFrame, captured_ns: int) -> None:
        """Put a picture where `read` takes it, unless the camera is faster than wanted."""
        if captured_ns < self._due_ns - self._interval_ns * 3 // 10:
            return
        self._due_ns = max(self._due_ns + self._interval_ns, captured_ns)
        with self._arrived:
            self._newest = (frame, captured_ns)
            self._arrived.notify()

    def _pass_on(self, packet: "av.Packet[VideoStream]", captured_ns: int) -> bool:
        assert self._passing is not None
        frame, refusal = self._passing.take(bytes(packet), captured_ns)
        if refusal is not None:
            log.info("camera %s: %s; its pictures are encoded here", self._config.device, refusal)
            self._may_pass_through = False
            return False
        if frame is None:
            return True
        with self._arrived:
            if len(self._encoded) >= _MOST_ENCODED_WAITING:
                # What follows is useless without these: begin again at a keyframe.
                self._encoded.clear()
                self._passing.begin_anew()
            else:
                self._encoded.append(frame)
            self._arrived.notify()
        return True


class _Decoding:
    """MJPEG, uncompressed or H.264 packets to pictures."""

    def __init__(self, device: str, offer: Callable[[av.VideoFrame, int], None]) -> None:
        self._device = device
        self._offer = offer
        self._spoiled = 0

    def take(self, packet: "av.Packet[VideoStream]", captured_ns: int) -> bool:
        try:
            frames = packet.decode()
        except (av.FFmpegError, OSError, ValueError) as error:
            # A spoiled picture now and then is normal on USB.
            self._spoiled += 1
            if self._spoiled > _MOST_SPOILED_IN_A_ROW:
                raise lost(self._device, error) from error
            return True
        for frame in frames:
            if isinstance(frame, av.VideoFrame):
                self._spoiled = 0
                self._offer(frame, captured_ns)
        return True


class _PassThrough:
    """Watches the camera's own H.264: fit to be sent as it is, or not."""

    def __init__(self, controls: CameraControls, clock: Clock, parameter_sets: bytes | None) -> None:
        self._controls = controls
        self._clock = clock
        self._parameter_sets = {unit[0] & 0x1F: unit for unit in nal_units(parameter_sets or b"")}
        self._begun = False
        self._asked_ns: int | None = None
        self._wanted_bps = 0
        self._window_ns = clock.now_ns()
        self._window_bits = 0
        self.request_keyframe()

    def request_keyframe(self) -> None:
        if self._asked_ns is None:
            self._asked_ns = self._clock.now_ns()
            self._controls.force_keyframe()

    def begin_anew(self) -> None:
        self._begun = False
        self.request_keyframe()

    def set_bitrate(self, bps: int) -> None:
        self._wanted_bps = bps
        self._window_ns, self._window_bits = self._clock.now_ns(), 0
        self._controls.set_bitrate(bps)

    def take(self, data: bytes, captured_ns: int) -> tuple[EncodedFrame | None, str | None]:
        """An access unit to send (none before the first keyframe), or why this camera's H.264 cannot be used."""
        now_ns = self._clock.now_ns()
        units = list(nal_units(data))
        kinds = {unit[0] & 0x1F for unit in units}
        self._parameter_sets |= {unit[0] & 0x1F: unit for unit in units if unit[0] & 0x1F in (NAL_SPS, NAL_PPS)}
        is_keyframe = NAL_IDR in kinds
        if is_keyframe:
            self._asked_ns = None
            if not {NAL_SPS, NAL_PPS} <= self._parameter_sets.keys():
                return None, "its H.264 has no parameter sets"
            if not is_constrained_baseline(self._parameter_sets[NAL_SPS]):
                return None, "its H.264 is not constrained baseline"
            if not {NAL_SPS, NAL_PPS} <= kinds:
                data = b"".join(_START_CODE + self._parameter_sets[kind] for kind in (NAL_SPS, NAL_PPS)) + data
            self._begun = True
        elif self._asked_ns is not None and now_ns - self._asked_ns > _KEYFRAME_LIMIT_NS:
            return None, "it gives no keyframe when one is needed"
        self._window_bits += len(data) * 8
        if now_ns - self._window_ns >= _RATE_WINDOW_NS:
            if self._window_bits * NS_PER_S > self._wanted_bps * _RATE_EXCESS * (now_ns - self._window_ns):
                return None, "it does not keep to the bit rate"
            self._window_ns, self._window_bits = now_ns, 0
        return (EncodedFrame(data, captured_ns, is_keyframe) if self._begun else None), None
