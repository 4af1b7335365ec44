"""Where media meet: frames and sound between the three workers and the session, and what the workers report."""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from .errors import ControlError, UplinkError
from .line_watch import LineWatch
from .lipsync import PlayoutDelay
from .media.clock import MediaClock
from .media.pipe import Kind
from .media.values import AudioBlock, EncodedFrame
from .room_sound import RoomSound
from .scene import scene_of
from .settings import Settings
from .state import MeetingState, StateStore, WorkerState, WorkerStatus
from .supervisor import Backoff, Supervisor
from .uplink.session import Session
from .worker_process import WorkerProcess

log = logging.getLogger(__name__)

SNAPSHOT_LIMIT_S = 3.0
# A worker that failed is told of as a Problem from its third failure in a row; before, the room notices nothing else.
FAILURES_TO_TELL = 3
LEAST_VIDEO_BPS = 32_000
_QUICK = Backoff(base_s=0.1, cap_s=5.0)


class MediaRouter:
    """Owns the workers' handles. It is what a session calls (SessionEvents) and what workers report to."""

    def __init__(
        self,
        settings: Settings,
        store: StateStore,
        session: Callable[[], Session | None],
        tap_dir: Path | None,
        *,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """`session` gives the session of now, or None outside a meeting."""
        self._settings = settings
        self._store = store
        self._session = session
        self._tap_dir = str(tap_dir) if tap_dir else None
        self._now = now
        self._running_since: dict[str, float] = {}
        self._connected: Callable[[], None] = lambda: None
        self._lost: Callable[[UplinkError], None] = lambda error: None
        self._delay = PlayoutDelay()
        self._room_sound = RoomSound(self._send_sound, store, settings.audio, MediaClock())
        self._line_watch = LineWatch()
        self._scene: dict[str, Any] = {}
        self._codes: dict[str, str | None] = {}
        self._snapshots: dict[int, asyncio.Future[bytes]] = {}
        self._snapshot_number = 0
        self._bitrate = settings.video.bitrate_kbps * 1000
        self._camera_size: tuple[int, int] | None = None
        self.camera = self._worker("camera", self._camera_setup, self._camera_media, self._camera_report)
        self.sound = self._worker("sound", self._sound_setup, self._sound_media, self._sound_report)
        self.screen = self._worker("screen", self._screen_setup, self._screen_media, self._screen_report)

    def on_session(self, connected: Callable[[], None], lost: Callable[[UplinkError], None]) -> None:
        """Who is told when media flow, and when they have ceased to."""
        self._connected, self._lost = connected, lost

    async def run(self, supervisor: Supervisor) -> None:
        """Keep the three workers and their view of the state until cancelled."""
        async with asyncio.TaskGroup() as jobs:
            for name, worker in (("camera", self.camera), ("sound", self.sound), ("screen", self.screen)):
                failed = self._failure_counter(name)
                jobs.create_task(supervisor.keep(f"{name} worker", worker.run, backoff=_QUICK, failed=failed))
            jobs.create_task(self._follow_state())
            jobs.create_task(self._room_sound.run())

    async def snapshot(self) -> bytes:
        """What the screen shows now, as JPEG."""
        self._snapshot_number += 1
        number = self._snapshot_number
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._snapshots[number] = answer
        try:
            if not self.screen.command({"cmd": "snapshot", "number": number}):
                raise ControlError("the screen worker is not running; try again in a moment", code="not-ready")
            return await asyncio.wait_for(answer, SNAPSHOT_LIMIT_S)
        except TimeoutError as error:
            raise ControlError("the screen worker gave no picture; try again in a moment", code="not-ready") from error
        finally:
            del self._snapshots[number]

    # what the session calls (SessionEvents)

    def connected(self) -> None:
        self._connected()
        self.camera.command({"cmd": "keyframe"})

    def lost(self, error: UplinkError) -> None:
        self._lost(error)

    def far_silent(self, silent: bool) -> None:
        if silent:
            self._store.raise_problem("far-silent")
        else:
            self._store.clear_problem("far-silent")

    def far_video(self, frame: EncodedFrame) -> None:
        if not self.screen.send(Kind.VIDEO, frame.data, frame.pts_ns, is_keyframe=frame.is_keyframe):
            # What follows cannot be shown without what was dropped; the session limits how often it asks.
            session = self._session()
            if session is not None:
                session.request_far_keyframe()

    def keyframe_wanted(self) -> None:
        self.camera.command({"cmd": "keyframe"})

    def bandwidth(self, bps: int) -> None:
        most = self._settings.video.bitrate_kbps * 1000
        self._set_bitrate(max(LEAST_VIDEO_BPS, min(most, bps)))

    def hold_pictures(self, ms: int) -> None:
        self.camera.command({"cmd": "hold", "ms": ms})

    def session_over(self) -> None:
        """A new session starts from the configured bit rate and knows nothing of the old one's delay."""
        self._set_bitrate(self._settings.video.bitrate_kbps * 1000)
        self._delay = PlayoutDelay()
        self.screen.command({"cmd": "sync", "delay_ns": None})

    def _set_bitrate(self, bps: int) -> None:
        # Small steps are not worth a message; the last one up to the configured rate is.
        if abs(bps - self._bitrate) * 25 >= self._bitrate or bps == self._settings.video.bitrate_kbps * 1000:
            self._bitrate = bps
            self.camera.command({"cmd": "bitrate", "bps": bps})

    def smaller_size(self) -> tuple[int, int]:
        """About half the configured picture's width and height: a quarter of the work."""
        video = self._settings.video
        return video.width // 4 * 2, video.height // 4 * 2

    def use_camera_size(self, size: tuple[int, int] | None) -> None:
        """Have the camera worker replaced by one that makes pictures of this size; None: the configured one."""
        if size != self._camera_size:
            self._camera_size = size
            self.camera.replace(f"pictures of {size[0]}x{size[1]} from now on" if size else "whole pictures again")

    # what may leave the room

    def set_muted(self, muted: bool) -> None:
        self._store.update(muted=muted)
        self.sound.command({"cmd": "mute", "on": muted})

    def set_camera(self, on: bool) -> None:
        self._store.update(camera_on=on)
        self.camera.command({"cmd": "camera", "on": on})

    # the camera worker

    def _camera_setup(self) -> dict[str, Any]:
        state = self._store.state
        video = self._settings.video.model_dump(mode="json")
        if self._camera_size is not None:
            # A hardware encoder that gives nothing is out of the question as well.
            video["width"], video["height"] = self._camera_size
        return {
            "cmd": "configure",
            "unit_name": state.unit_name,
            "language": state.language,
            "video": video,
            "video_bps": self._bitrate,
            "camera_on": state.camera_on,
        }

    def _camera_media(self, kind: Kind, payload: bytes, time_ns: int, is_keyframe: bool) -> None:
        session = self._session()
        if session is not None and kind is Kind.VIDEO:
            session.send_video(EncodedFrame(payload, time_ns, is_keyframe))

    def _camera_report(self, message: dict[str, Any]) -> None:
        if message["type"] == "status":
            self._note_problem("camera", message.pop("problem", None))
            self._store.set_numbers("camera", message)

    # the sound worker

    def _sound_setup(self) -> dict[str, Any]:
        return {
            "cmd": "configure",
            "audio": self._settings.audio.model_dump(mode="json"),
            "muted": self._store.state.muted,
            "tap_dir": self._tap_dir,
        }

    def _sound_media(self, kind: Kind, payload: bytes, time_ns: int, is_keyframe: bool) -> None:
        session = self._session()
        if kind is Kind.PULL:
            block = session.pull_audio(time_ns) if session is not None else None
            if block is None:
                self.sound.send(Kind.AUDIO, b"", 0)
                self._follow(self._delay.alone(session.picture_delay_ns() if session is not None else None))
            else:
                self.sound.send(Kind.AUDIO, block.samples, block.pts_ns)
                self._follow(self._delay.played(block.pts_ns, time_ns))
        elif kind is Kind.AUDIO:
            self._room_sound.block(payload, time_ns)

    def _follow(self, delay_ns: int | None) -> None:
        """The picture keeps with the sound. None: as before."""
        if delay_ns is not None:
            self.screen.command({"cmd": "sync", "delay_ns": delay_ns})

    def _send_sound(self, block: AudioBlock) -> None:
        session = self._session()
        if session is not None:
            session.send_audio(block)

    def _sound_report(self, message: dict[str, Any]) -> None:
        match message["type"]:
            case "status":
                self._note_problem("microphone", message.pop("problem", None))
                self._note_problem("speaker", message.pop("sink_problem", None))
                self._room_sound.works()
                self._store.set_numbers("sound", message | {"filled": self._room_sound.filled})

    # the screen worker

    def _screen_setup(self) -> dict[str, Any]:
        state = self._store.state
        return {
            "cmd": "configure",
            "screen": self._settings.screen.model_dump(mode="json"),
            "unit_name": state.unit_name,
            "language": state.language,
            "tap_dir": self._tap_dir,
        }

    def _screen_media(self, kind: Kind, payload: bytes, time_ns: int, is_keyframe: bool) -> None:
        if kind is Kind.BLOB:
            answer = self._snapshots.get(time_ns)
            if answer is not None and not answer.done():
                answer.set_result(payload)

    def _screen_report(self, message: dict[str, Any]) -> None:
        match message["type"]:
            case "status":
                self._note_problem("screen", message.pop("problem", None))
                self._store.set_numbers("screen", message)
            case "keyframe":
                session = self._session()
                if session is not None:
                    session.request_far_keyframe()

    # state

    async def _follow_state(self) -> None:
        was_in_session = False
        async for state in self._store.changes():
            scene = scene_of(state)
            if scene != self._scene and self.screen.command(scene):
                self._scene = scene
            in_session = state.meeting.state is MeetingState.LIVE
            if was_in_session and not in_session:
                self.session_over()
            was_in_session = in_session

    def _worker(
        self,
        name: str,
        setup: Callable[[], dict[str, Any]],
        media: Callable[[Kind, bytes, int, bool], None],
        report: Callable[[dict[str, Any]], None],
    ) -> WorkerProcess:
        def running(pid: int | None) -> None:
            restarts = self._store.state.workers.get(name, WorkerStatus()).restarts
            self._running_since.pop(name, None)
            if pid is None:
                self._store.set_worker(name, WorkerStatus(WorkerState.STOPPED, None, restarts))
                return
            log.info("%s worker: running as %s", name, pid)
            self._running_since[name] = self._now()
            self._store.set_worker(name, WorkerStatus(WorkerState.RUNNING, pid, restarts))
            if name == "screen":
                self._scene = {}
                self.screen.command(scene_of(self._store.state))
                self.screen.command({"cmd": "sync", "delay_ns": self._delay.delay_ns})

        return WorkerProcess(name, setup, media, report, running)

    def _failure_counter(self, name: str) -> Callable[[Exception, int], None]:
        def failed(error: Exception, attempt: int) -> None:
            restarts = self._store.state.workers.get(name, WorkerStatus()).restarts + 1
            self._store.set_worker(name, WorkerStatus(WorkerState.FAILED, None, restarts))
            if name == "sound":
                self._room_sound.failed(error)
            elif attempt + 1 >= FAILURES_TO_TELL:
                self._store.raise_problem("worker-failing", f"{name}: {error}")

        return failed

    def withdraw_worker_problem(self, calm_s: float) -> None:
        """Called now and then: withdraw `worker-failing` when every worker has run for so long."""
        since = self._running_since
        if since.keys() == self._store.state.workers.keys() and max(since.values(), default=0) <= self._now() - calm_s:
            self._store.clear_problem("worker-failing")

    def look_at_line(self, numbers: Mapping[str, Any]) -> None:
        """Called each second with the session's numbers: tell the room of a line that is too slow for a picture."""
        match self._line_watch.look(time.monotonic(), numbers):
            case str(detail):
                self._store.raise_problem("line-slow", detail)
            case False:
                self._store.clear_problem("line-slow")

    @property
    def carried_bps(self) -> int | None:
        """What the line carried of late, for a new session to start with."""
        return self._line_watch.carried_bps(time.monotonic())

    def _note_problem(self, part: str, problem: dict[str, Any] | None) -> None:
        """A part has one Problem at a time; its report replaces the one before."""
        code = problem["code"] if problem else None
        old = self._codes.get(part)
        if old is not None and old != code:
            self._store.clear_problem(old)
        if problem:
            self._store.raise_problem(problem["code"], problem.get("detail", ""))
        self._codes[part] = code
