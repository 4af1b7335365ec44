"""A window through SDL 2 (the only importer of sdl2). All calls belong to the process's main thread."""

import ctypes
import os
from typing import Any

import av

from appliance.errors import DeviceError

try:
    import sdl2
except ImportError as error:
    raise DeviceError(
        f"SDL cannot be loaded ({error}); install the package libsdl2-2.0-0", problem="screen-missing"
    ) from error

_START = (1280, 720)
# Where there is no display SDL falls back to these without a word, and shows every picture to nobody.
_UNSEEN_DRIVERS = ("offscreen", "dummy", "evdev")


class SdlDisplay:
    """Shows pictures as large as the window allows, with their own shape; F11 or a double click: full screen."""

    def __init__(self, title: str, *, fullscreen: bool) -> None:
        """Raises DeviceError when there is no display to open a window on."""
        self._window: Any = None
        self._renderer: Any = None
        self._texture: Any = None
        self._size = (0, 0)
        self._is_fullscreen = fullscreen
        # SDL would make SIGTERM a closed window, and a worker that is told to end would stay.
        sdl2.SDL_SetHint(sdl2.SDL_HINT_NO_SIGNAL_HANDLERS, b"1")
        if sdl2.SDL_InitSubSystem(sdl2.SDL_INIT_VIDEO) != 0:
            raise _error("the screen cannot be used")
        driver = (sdl2.SDL_GetCurrentVideoDriver() or b"").decode()
        if driver in _UNSEEN_DRIVERS and driver not in os.environ.get("SDL_VIDEODRIVER", "").split(","):
            sdl2.SDL_QuitSubSystem(sdl2.SDL_INIT_VIDEO)
            raise DeviceError(
                "the screen cannot be used: there is no display; check the cable and that somebody is logged in",
                problem="screen-missing",
            )
        flags = sdl2.SDL_WINDOW_RESIZABLE | (sdl2.SDL_WINDOW_FULLSCREEN_DESKTOP if fullscreen else 0)
        self._window = sdl2.SDL_CreateWindow(title.encode(), *_place(fullscreen), flags)
        if not self._window:
            self.close()
            raise _error("no window can be opened")
        # No waiting for the beam: whoever waits here shows the next picture late.
        self._renderer = sdl2.SDL_CreateRenderer(self._window, -1, 0)
        if not self._renderer:
            self.close()
            raise _error("nothing can be drawn in the window")
        sdl2.SDL_SetHint(sdl2.SDL_HINT_RENDER_SCALE_QUALITY, b"linear")
        sdl2.SDL_ShowCursor(sdl2.SDL_DISABLE if fullscreen else sdl2.SDL_ENABLE)

    def show(self, frame: av.VideoFrame, pts_ns: int | None) -> None:
        size = (frame.width, frame.height)
        if size != self._size:
            self._new_texture(size)
        luma, cb, cr = frame.planes
        uploaded = sdl2.SDL_UpdateYUVTexture(self._texture, None, *_plane(luma), *_plane(cb), *_plane(cr))
        if uploaded != 0:
            raise _error("the picture cannot be handed to the screen")
        self._draw()

    def pump(self) -> None:
        """Take the window's events. A closed window is a lost screen, and is opened again."""
        event = sdl2.SDL_Event()
        while sdl2.SDL_PollEvent(ctypes.byref(event)):
            if event.type == sdl2.SDL_QUIT:
                raise DeviceError("the window was closed; it opens again", problem="screen-missing")
            is_key = event.type == sdl2.SDL_KEYDOWN and event.key.keysym.sym == sdl2.SDLK_F11
            if is_key or (event.type == sdl2.SDL_MOUSEBUTTONDOWN and event.button.clicks == 2):
                self._toggle_fullscreen()
            elif event.type == sdl2.SDL_WINDOWEVENT and self._texture:
                self._draw()

    def close(self) -> None:
        if self._texture:
            sdl2.SDL_DestroyTexture(self._texture)
        if self._renderer:
            sdl2.SDL_DestroyRenderer(self._renderer)
        if self._window:
            sdl2.SDL_DestroyWindow(self._window)
        self._texture = self._renderer = self._window = None
        sdl2.SDL_QuitSubSystem(sdl2.SDL_INIT_VIDEO)

    def _new_texture(self, size: tuple[int, int]) -> None:
        if self._texture:
            sdl2.SDL_DestroyTexture(self._texture)
        # IYUV is I420: three planes, as decoders give them.
        self._texture = sdl2.SDL_CreateTexture(
            self._renderer, sdl2.SDL_PIXELFORMAT_IYUV, sdl2.SDL_TEXTUREACCESS_STREAMING, *size
        )
        if not self._texture:
            self._size = (0, 0)
            raise _error(f"the screen takes no picture of {size[0]}x{size[1]}")
        self._size = size
        # SDL then keeps the picture's shape in any window.
        sdl2.SDL_RenderSetLogicalSize(self._renderer, *size)

    def _draw(self) -> None:
        sdl2.SDL_SetRenderDrawColor(self._renderer, 0, 0, 0, 255)
        sdl2.SDL_RenderClear(self._renderer)
        sdl2.SDL_RenderCopy(self._renderer, self._texture, None, None)
        sdl2.SDL_RenderPresent(self._renderer)

    def _toggle_fullscreen(self) -> None:
        self._is_fullscreen = not self._is_fullscreen
        flags = sdl2.SDL_WINDOW_FULLSCREEN_DESKTOP if self._is_fullscreen else 0
        sdl2.SDL_SetWindowFullscreen(self._window, flags)
        x, y, width, height = _place(self._is_fullscreen)
        sdl2.SDL_SetWindowSize(self._window, width, height)
        sdl2.SDL_SetWindowPosition(self._window, x, y)
        sdl2.SDL_ShowCursor(sdl2.SDL_DISABLE if self._is_fullscreen else sdl2.SDL_ENABLE)


def _place(fullscreen: bool) -> tuple[int, int, int, int]:
    """Where the window stands, and its size. Full screen is a window manager's work: for where there is none, too."""
    bounds = sdl2.SDL_Rect()
    if fullscreen and sdl2.SDL_GetDisplayBounds(0, ctypes.byref(bounds)) == 0:
        return bounds.x, bounds.y, bounds.w, bounds.h
    return sdl2.SDL_WINDOWPOS_CENTERED, sdl2.SDL_WINDOWPOS_CENTERED, *_START


def _plane(plane: Any) -> tuple[Any, int]:
    """A plane's bytes where they are, and its bytes a row."""
    return ctypes.cast(plane.buffer_ptr, ctypes.POINTER(ctypes.c_uint8)), plane.line_size


def _error(what: str) -> DeviceError:
    reason = sdl2.SDL_GetError().decode(errors="replace") or "no reason is given"
    return DeviceError(f"{what}: {reason}; check the cable and that somebody is logged in", problem="screen-missing")
