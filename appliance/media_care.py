"""The hands of the media watchdog: reads what flows from the state and the session, and takes the rungs."""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

from .errors import MediaLost, UplinkError
from .media.pcm import FLOOR_DBFS
from .media_watch import Action, Flow, MediaWatch, Rung, Trouble
from .routing import MediaRouter
from .state import MeetingState, StateStore, WorkerState
from .uplink.session import Session

log = logging.getLogger(__name__)

LOOK_S = 0.25
# Something else of the far end must have come within this time for a missing picture to be a fault of its own.
_RECENTLY_S = 2.0
# A camera may take its time for the first picture.
_START_S = 8.0


class MediaCare:
    """Part of the engine, beside the router whose workers and session it looks after."""

    def __init__(
        self,
        store: StateStore,
        router: MediaRouter,
        session: Callable[[], Session | None],
        renew: Callable[[UplinkError], None],
        *,
        promises_sound: bool,
        now_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        """`renew` takes a new session in place of the one that is live; `promises_sound`: a real microphone."""
        self._store = store
        self._router = router
        self._session = session
        self._renew = renew
        self._promises_sound = promises_sound
        self._now_ns = now_ns
        self._watch = MediaWatch(now_ns())
        self._told: set[str] = set()
        self._moved: dict[str, tuple[object, int]] = {}
        self._was_in = False

    async def run(self) -> None:
        """Job: until cancelled."""
        while True:
            await asyncio.sleep(LOOK_S)
            self.look()

    def look(self) -> None:
        """One look at everything."""
        now_ns, state = self._now_ns(), self._store.state
        is_in = state.meeting.state is not MeetingState.STANDBY
        if self._was_in and not is_in:
            self._watch.forget()
            self._router.use_camera_size(None)
        self._was_in = is_in
        session = self._session()
        is_live = state.meeting.state is MeetingState.LIVE and session is not None
        numbers = session.numbers() if session is not None else {}
        for action in self._watch.look(now_ns, self._flows(numbers, now_ns, is_live=is_live)):
            log.warning("watchdog: %s: %s", action.trouble, action.detail)
            self._take(action, session)
        self._tell(self._watch.troubles(now_ns))
        self._store.set_numbers("watchdog", self._watch.numbers())

    def _flows(self, numbers: Mapping[str, Any], now_ns: int, *, is_live: bool) -> dict[Trouble, Flow]:
        state = self._store.state
        camera, screen, sound = (state.numbers.get(name, {}) for name in ("camera", "screen", "sound"))
        runs = {name: worker.state is WorkerState.RUNNING for name, worker in state.workers.items()}
        pids = {name: worker.pid for name, worker in state.workers.items()}
        # A new session and a new worker count from the start: their own numbers belong to them alone.
        one = id(self._session())
        sent, taken = numbers.get("video_out_packets_sent", 0), numbers.get("video_out_acknowledged")
        far_frames, far_packets = numbers.get("far_frames", 0), numbers.get("link_in_packets_received", 0)
        sends = self._moves("sent", (one, sent), now_ns)
        far_comes = self._moves("far packets", (one, far_packets), now_ns)
        far_pictures = self._moves("far frames", (one, far_frames), now_ns)
        level = sound.get("level_dbfs")
        starts = self._moves("camera", pids.get("camera"), now_ns, _START_S)
        hears = self._moves("blocks", sound.get("captured"), now_ns)
        return {
            Trouble.CAMERA: Flow(
                runs.get("camera", False) and (bool(camera.get("frames")) or not starts),
                (pids.get("camera"), camera.get("frames")),
            ),
            Trouble.SENDING: Flow(
                is_live and taken is not None and sends and runs.get("camera", False),
                (one, taken),
            ),
            Trouble.FAR_PICTURE: Flow(
                is_live and far_comes,
                (one, far_frames),
                # Nobody has promised a picture that never came: a meeting of voices goes on undisturbed.
                frozenset() if far_frames else frozenset({Rung.SESSION}),
            ),
            Trouble.SCREEN: Flow(
                is_live and runs.get("screen", False) and far_frames > 0 and far_pictures,
                (pids.get("screen"), screen.get("shown")),
            ),
            Trouble.MICROPHONE: Flow(
                self._promises_sound and is_live and not state.muted and hears,
                None if level is None or level <= FLOOR_DBFS else now_ns,
            ),
        }

    def _moves(self, name: str, value: object, now_ns: int, within_s: float = _RECENTLY_S) -> bool:
        """Whether the value has changed of late."""
        before, since_ns = self._moved.get(name, (None, 0))
        if value != before:
            since_ns = now_ns
            self._moved[name] = value, now_ns
        return now_ns - since_ns < within_s * 1e9

    def _take(self, action: Action, session: Session | None) -> None:
        router = self._router
        worker = {Trouble.CAMERA: router.camera, Trouble.SCREEN: router.screen, Trouble.MICROPHONE: router.sound}
        match action.rung:
            case Rung.KEYFRAME:
                router.camera.command({"cmd": "keyframe"})
            case Rung.ENCODER:
                router.camera.command({"cmd": "encoder"})
            case Rung.SMALLER:
                router.use_camera_size(router.smaller_size())
            case Rung.FAR_KEYFRAME if session is not None:
                session.request_far_keyframe()
            case Rung.WORKER if action.trouble in worker:
                worker[action.trouble].replace(action.detail)
            case Rung.SESSION:
                self._renew(MediaLost(f"{action.trouble}: {action.detail}"))
            case _:
                pass

    def _tell(self, troubles: Mapping[str, str]) -> None:
        for code in self._told - troubles.keys():
            self._store.clear_problem(code)
        for code, detail in troubles.items():
            self._store.raise_problem(code, detail)
        self._told = set(troubles)
