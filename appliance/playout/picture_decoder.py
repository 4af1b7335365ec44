"""H.264 to pictures in a thread of its own: encoded frames in, pictures out in the loop."""

import asyncio
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import av
from av.error import FFmpegError
from av.video.codeccontext import VideoCodecContext

from appliance.errors import WorkerError
from appliance.media.values import EncodedFrame

# Frames are given when they are nearly due: more than these waiting means that the machine is too slow.
MAX_WAITING = 12
MAX_PIXELS = 4096 * 2304
# A decoder that keeps one frame this long has hung; only a new process gets rid of it.
HANG_S = 3.0


@dataclass(frozen=True, slots=True)
class DecodedPicture:
    """A picture and its time on the far end's clock."""

    frame: av.VideoFrame
    pts_ns: int


class PictureDecoder:
    """Decodes one stream. `on_picture` and `on_trouble` are called in the loop.

    After trouble (an error, a frame dropped) nothing is decoded until the next keyframe: a picture made of what is
    missing would be green or smeared.
    """

    def __init__(self, on_picture: Callable[[DecodedPicture], None], on_trouble: Callable[[], None]) -> None:
        self._on_picture = on_picture
        self._on_trouble = on_trouble
        self._loop = asyncio.get_running_loop()
        # Items carry the generation they belong to: what is left of a stream that was cut off is thrown away.
        self._queue: queue.SimpleQueue[tuple[EncodedFrame, int] | None] = queue.SimpleQueue()
        self._generation = 0
        self._busy_since = 0.0
        self.needs_keyframe = True
        self.errors = 0
        self.dropped = 0
        self._thread = threading.Thread(target=self._run, name="decoder", daemon=True)
        self._thread.start()

    def put(self, frame: EncodedFrame) -> None:
        """Decode a frame soon; or drop and count it when a keyframe must come first, or too many wait."""
        if self._queue.qsize() >= MAX_WAITING and not self.needs_keyframe:
            self._trouble()
        if self.needs_keyframe:
            # A keyframe that still waits behind others is of no use: they all are late.
            if not frame.is_keyframe or self._queue.qsize() >= MAX_WAITING:
                self.dropped += 1
                self._on_trouble()
                return
            self.needs_keyframe = False
        self._queue.put((frame, self._generation))

    def reset(self) -> None:
        """Another stream begins: forget this one."""
        self._generation += 1
        self.needs_keyframe = True

    def check(self) -> None:
        """Raise WorkerError when the codec hangs."""
        since = self._busy_since
        if since and time.monotonic() - since > HANG_S:
            raise WorkerError(f"the decoder has not finished a picture for {HANG_S:g} s")

    async def close(self) -> None:
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join, 1.0)

    def _trouble(self) -> None:
        self.needs_keyframe = True
        self._on_trouble()

    # in the loop, called by the thread

    def _decoded(self, picture: DecodedPicture, generation: int) -> None:
        if generation == self._generation:
            self._on_picture(picture)

    def _failed(self, generation: int) -> None:
        self.errors += 1
        if generation == self._generation:
            # What was put since cannot be decoded either.
            self._generation += 1
            self._trouble()

    # the thread

    def _run(self) -> None:
        codec = _open()
        generation = -1
        while (item := self._queue.get()) is not None:
            frame, its_generation = item
            if its_generation != self._generation:
                continue
            if its_generation != generation:
                # Not a new decoder: some senders give their parameter sets only once.
                codec.flush_buffers()
                generation = its_generation
            self._busy_since = time.monotonic()
            try:
                pictures = _decode(codec, frame)
            except (FFmpegError, ValueError, MemoryError):
                self._post(self._failed, generation)
                codec.flush_buffers()
                continue
            finally:
                self._busy_since = 0.0
            for picture in pictures:
                self._post(self._decoded, picture, generation)

    def _post(self, call: Callable[..., None], *arguments: object) -> None:
        try:
            self._loop.call_soon_threadsafe(call, *arguments)
        except RuntimeError:
            return  # the loop is closed: nobody wants it any more


def _open() -> VideoCodecContext:
    codec = av.CodecContext.create("h264", "r")
    assert isinstance(codec, VideoCodecContext)
    # More threads would hold pictures back.
    codec.thread_count = 1
    codec.flags |= av.codec.context.Flags.low_delay
    codec.options = {"max_pixels": str(MAX_PIXELS)}
    return codec


def _decode(codec: VideoCodecContext, frame: EncodedFrame) -> list[DecodedPicture]:
    packet = av.Packet(frame.data)
    packet.pts = packet.dts = frame.pts_ns
    pictures = [DecodedPicture(picture, picture.pts or 0) for picture in codec.decode(packet)]
    for picture in pictures:
        if picture.frame.width * picture.frame.height > MAX_PIXELS:
            raise ValueError("the picture is too large")
        if picture.frame.is_corrupt:
            raise ValueError("the picture is damaged")
    return pictures
