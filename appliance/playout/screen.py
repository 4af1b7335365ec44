"""What is on the screen: the far end's picture, in time with its sound, or a card that says what goes on."""

import asyncio
import time
from collections.abc import Callable
from typing import Any, Protocol

import av

from appliance.errors import DeviceError
from appliance.media.clock import NS_PER_S, Clock
from appliance.media.values import EncodedFrame

from .freezes import FreezeMeter
from .picture_decoder import DecodedPicture, PictureDecoder
from .schedule import Schedule

# A picture older than this is no meeting any more.
STALE_NS = 2 * NS_PER_S
KEYFRAME_EVERY_NS = NS_PER_S // 2
LOOK_S = 0.1
REOPEN_NS = NS_PER_S
# In these states pictures may come; in the others what still arrives belongs to a meeting that was left.
_WITH_PICTURES = ("joining", "live", "rejoining")


class Display(Protocol):
    """A window, a television, or none. Its calls belong to one thread and raise DeviceError when it is lost."""

    def show(self, frame: av.VideoFrame, pts_ns: int | None) -> None:
        """Put a yuv420p picture on screen. `pts_ns`: the far end's time; None: a card."""

    def pump(self) -> None:
        """Let the window live: called at least each LOOK_S."""

    def close(self) -> None: ...


class ScreenControl:
    """Puts decoder, schedule, card and display together. All calls belong to the loop."""

    def __init__(
        self,
        open_display: Callable[[], Display],
        draw_card: Callable[[dict[str, Any]], av.VideoFrame],
        clock: Clock,
        *,
        on_keyframe_needed: Callable[[], None],
        on_first_shown: Callable[[], None],
        on_problem: Callable[[], None],
    ) -> None:
        """`draw_card(scene)` gives the card for a scene; in the scene "live" it says that a picture is waited for."""
        self._open_display = open_display
        self._draw_card = draw_card
        self._clock = clock
        self._on_keyframe_needed = on_keyframe_needed
        self._on_first_shown = on_first_shown
        self._on_problem = on_problem
        self._display: Display | None = None
        self._reopen_ns = 0
        self._decoder = PictureDecoder(self._decoded, self._ask_for_keyframe)
        self._schedule = Schedule()
        self._freezes = FreezeMeter()
        self._scene: dict[str, Any] = {
            "state": "standby",
            "title": "",
            "problem": None,
            "muted": False,
            "camera_on": True,
        }
        self._asked_ns = -KEYFRAME_EVERY_NS
        self._shown_ns: int | None = None
        self._wakeup = asyncio.Event()
        self._card_key: object = None
        self._on_screen: av.VideoFrame | None = None
        self.card = True
        self.shown = 0
        self.problem: DeviceError | None = None

    # what comes in

    def set_scene(self, scene: dict[str, Any]) -> None:
        """The state of the meeting, and what the card is to say of it."""
        old, self._scene = self._scene["state"], scene
        if scene["state"] != old and scene["state"] != "live":
            # Whatever was of another session, or of none.
            self._forget_pictures()
        self._wakeup.set()

    def set_delay(self, delay_ns: int | None) -> None:
        """Show a picture with time p at p + `delay_ns`; None: as soon as it comes."""
        self._schedule.delay_ns = delay_ns
        self._wakeup.set()

    def take(self, frame: EncodedFrame) -> None:
        """A frame of the far end."""
        if self._scene["state"] not in _WITH_PICTURES:
            return
        if not self._schedule.arrived(frame, self._clock.now_ns()):
            self._decoder.reset()
            self._ask_for_keyframe()
        self._wakeup.set()

    @property
    def on_screen(self) -> av.VideoFrame | None:
        """What a person sees now; None before the first look."""
        return self._on_screen

    def numbers(self) -> dict[str, Any]:
        return {
            "shown": self.shown,
            "late": self._schedule.late,
            "dropped": self._schedule.dropped + self._decoder.dropped,
            "decode_errors": self._decoder.errors,
            "freezes": self._freezes.freezes,
            "freeze_ms": self._freezes.freeze_ms(self._clock.now_ns()),
            "card": self.card,
        }

    # the job

    async def run(self, on_look: Callable[[], None]) -> None:
        """Job: show until cancelled. `on_look` is called at least ten times a second, from the path of the pictures."""
        try:
            while True:
                self._wakeup.clear()
                self._step()
                on_look()
                next_ns = self._schedule.next_ns()
                wait_s = LOOK_S if next_ns is None else (next_ns - self._clock.now_ns()) / NS_PER_S
                try:
                    await asyncio.wait_for(self._wakeup.wait(), min(LOOK_S, max(0.0005, wait_s)))
                except TimeoutError:
                    continue
        finally:
            await self._decoder.close()
            self._lose_display(None)

    def _step(self) -> None:
        now_ns = self._clock.now_ns()
        while (frame := self._schedule.to_decode(now_ns)) is not None:
            self._decoder.put(frame)
        self._decoder.check()
        picture = self._schedule.to_show(now_ns)
        if picture is not None:
            self._show_picture(picture, now_ns)
        if self._shown_ns is None or now_ns - self._shown_ns > STALE_NS:
            self._show_card(now_ns)
        else:
            self._freezes.look(now_ns)
        self._keep_display(now_ns)

    def _decoded(self, picture: DecodedPicture) -> None:
        self._schedule.decoded(picture, self._clock.now_ns())
        self._wakeup.set()

    def _show_picture(self, picture: DecodedPicture, now_ns: int) -> None:
        first = self._shown_ns is None
        self._shown_ns = now_ns
        self._card_key = None
        self.card = False
        self.shown += 1
        self._freezes.picture(now_ns)
        frame = picture.frame
        if frame.format.name != "yuv420p":
            frame = frame.reformat(format="yuv420p")
        self._put(frame, picture.pts_ns)
        if first:
            self._on_first_shown()

    def _show_card(self, now_ns: int) -> None:
        if self._shown_ns is not None:
            self._freezes.end(now_ns)
            self._shown_ns = None
        self.card = True
        # The card shows the time of day.
        key = (int(time.time() // 60), repr(sorted(self._scene.items())))
        if key != self._card_key:
            self._card_key = key
            self._put(self._draw_card(self._scene), None)

    def _forget_pictures(self) -> None:
        self._schedule.clear()
        self._decoder.reset()
        self._freezes.end(self._clock.now_ns())
        self._shown_ns = None

    def _ask_for_keyframe(self) -> None:
        now_ns = self._clock.now_ns()
        if now_ns - self._asked_ns >= KEYFRAME_EVERY_NS:
            self._asked_ns = now_ns
            self._on_keyframe_needed()

    # the display, which may go and come back

    def _put(self, frame: av.VideoFrame, pts_ns: int | None) -> None:
        self._on_screen = frame
        if self._display is not None:
            try:
                self._display.show(frame, pts_ns)
            except DeviceError as error:
                self._lose_display(error)

    def _keep_display(self, now_ns: int) -> None:
        try:
            if self._display is not None:
                self._display.pump()
            elif now_ns >= self._reopen_ns:
                self._display = self._open_display()
                self._set_problem(None)
                if self._on_screen is not None:
                    self._display.show(self._on_screen, None)
        except DeviceError as error:
            self._lose_display(error)

    def _lose_display(self, error: DeviceError | None) -> None:
        if self._display is not None:
            self._display.close()
            self._display = None
        self._reopen_ns = self._clock.now_ns() + REOPEN_NS
        if error is not None:
            self._set_problem(error)

    def _set_problem(self, problem: DeviceError | None) -> None:
        before, self.problem = self.problem, problem
        if str(before) != str(problem):
            self._on_problem()
