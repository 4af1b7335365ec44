"""Keep one picture source open: open it, notice that it is lost, give it back, and open it again each second."""

import logging
from collections.abc import Callable

from appliance.errors import DeviceError, WorkerError
from appliance.media.clock import NS_PER_S, Clock
from appliance.media.values import EncodedFrame

from .pictures import Picture, PictureSource

log = logging.getLogger(__name__)

_RETRY_NS = NS_PER_S
# A driver that keeps the device longer than this after its closing hangs; only a new process gets rid of it.
_RELEASE_LIMIT_NS = 4 * NS_PER_S


class Device:
    """One thread calls it, again and again. `problem` says what is wrong until pictures flow."""

    def __init__(self, open_source: Callable[[], PictureSource], clock: Clock) -> None:
        self._open_source = open_source
        self._clock = clock
        self._source: PictureSource | None = None
        self._given_ns = 0
        self._retry_ns = 0
        self._leaving: tuple[PictureSource, int] | None = None
        self._has_given = False
        self.problem: DeviceError | None = None

    @property
    def has_given(self) -> bool:
        """Whether the open device has given a picture."""
        return self._has_given

    @property
    def waiting_ns(self) -> int:
        """For how long the open device has owed a picture."""
        return self._clock.now_ns() - self._given_ns

    def open(self, prepare: Callable[[PictureSource], None]) -> bool:
        """Open the device when it is time to try; `prepare` sets a new source up. True when it is open."""
        now_ns = self._clock.now_ns()
        if self._source is not None:
            return True
        if not self._is_released(now_ns) or now_ns < self._retry_ns:
            return False
        self._retry_ns = now_ns + _RETRY_NS
        try:
            self._source = self._open_source()
        except DeviceError as error:
            self._note(error)
            return False
        self._given_ns = self._clock.now_ns()
        self._has_given = False
        prepare(self._source)
        return True

    def read(self) -> Picture | EncodedFrame | None:
        """What the open device has. A lost device is closed, and None."""
        assert self._source is not None
        try:
            shot = self._source.read()
        except DeviceError as error:
            self._note(error)
            self.close()
            self._retry_ns = self._clock.now_ns() + _RETRY_NS
            return None
        if shot is not None:
            self._given_ns = self._clock.now_ns()
            self._has_given = True
            if self.problem is not None:
                log.info("camera: pictures again")
                self.problem = None
        return shot

    def apply(self, change: Callable[[PictureSource], None]) -> None:
        if self._source is not None:
            change(self._source)

    def close(self) -> None:
        """Give the device back; it may be opened again at once when somebody wants it."""
        self._retry_ns = 0
        if self._source is not None:
            self._source.close()
            self._leaving = (self._source, self._clock.now_ns())
            self._source = None

    def _is_released(self, now_ns: int) -> bool:
        if self._leaving is not None:
            source, since_ns = self._leaving
            if source.is_released:
                self._leaving = None
            elif now_ns - since_ns > _RELEASE_LIMIT_NS:
                raise WorkerError("the camera's driver does not give the device back; the worker has to be replaced")
        return self._leaving is None

    def _note(self, error: DeviceError) -> None:
        if self.problem is None or str(self.problem) != str(error):
            log.warning("camera: %s", error)
        self.problem = error
