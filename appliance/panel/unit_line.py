"""The panel's line to the engine: short waits, and few of them when the engine does not answer."""

import threading
import time
from collections.abc import Callable
from typing import Any

from appliance.control.wire import no_answer
from appliance.errors import ControlError

Ask = Callable[..., Any]

ANSWER_S = 2.0
# The engine itself waits for the screen worker up to 3 s.
SNAPSHOT_S = 4.0
# After a question without an answer, looks are refused at once for so long; then one page asks again for all.
SILENCE_S = 5.0
_LOOKS = ("status", "snapshot")


class UnitLine:
    """Asks the engine. Pages look each second: while it is frozen they must not hold every thread of the panel."""

    def __init__(self, ask: Ask, *, now: Callable[[], float] = time.monotonic) -> None:
        """`ask(do, timeout_s=…, **arguments)` asks the engine and raises ControlError."""
        self._ask = ask
        self._now = now
        self._lock = threading.Lock()
        self._silent_until: float | None = None

    def __call__(self, do: str, /, **arguments: Any) -> Any:
        limit_s = SNAPSHOT_S if do == "snapshot" else ANSWER_S
        if do in _LOOKS and self._is_silent():
            raise no_answer(limit_s)
        try:
            answer = self._ask(do, timeout_s=limit_s, **arguments)
        except ControlError as error:
            with self._lock:
                self._silent_until = self._now() + SILENCE_S if error.code == "no-answer" else None
            raise
        with self._lock:
            self._silent_until = None
        return answer

    def _is_silent(self) -> bool:
        with self._lock:
            if self._silent_until is None:
                return False
            if self._now() < self._silent_until:
                return True
            # Whoever comes first now tries for all.
            self._silent_until = self._now() + SILENCE_S
            return False
