"""The one-time password: made at start, good for one sign-in, guesses slowed down."""

import secrets
import threading
import time
from collections.abc import Callable

from argon2 import PasswordHasher
from argon2.exceptions import VerificationError

# Without letters that look like others: read off a terminal and typed on a phone.
_ALPHABET = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
_GROUPS, _GROUP = 3, 4
FREE_TRIES = 5
_MOST_WAIT_S = 60.0


class TooManyTriesError(Exception):
    """Wait `retry_after_s` before the next try."""

    def __init__(self, retry_after_s: float) -> None:
        super().__init__("too many wrong passwords")
        self.retry_after_s = retry_after_s


class OneTimePassword:
    """Holds only the hash. Each password opens once; then the next one is announced."""

    def __init__(self, announce: Callable[[str], None], *, now: Callable[[], float] = time.monotonic) -> None:
        """`announce(password)` tells the person at the unit's terminal; nothing else ever sees it."""
        self._announce = announce
        self._now = now
        # OWASP's leanest Argon2id setting: the board has little memory.
        self._hasher = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
        self._lock = threading.Lock()
        self._wrong = 0
        self._closed_until = 0.0
        self._hash = ""
        self._renew()

    def _renew(self) -> None:
        groups = ("".join(secrets.choice(_ALPHABET) for _ in range(_GROUP)) for _ in range(_GROUPS))
        password = "-".join(groups)
        self._hash = self._hasher.hash(password)
        self._announce(password)

    def use(self, given: str) -> bool:
        """Whether this is the password; it is then used up. Raises TooManyTriesError while guesses are slowed down."""
        with self._lock:
            wait = self._closed_until - self._now()
            if wait > 0:
                raise TooManyTriesError(wait)
            try:
                self._hasher.verify(self._hash, given.strip().upper()[:64])
            except VerificationError:
                self._wrong += 1
                if self._wrong >= FREE_TRIES:
                    self._closed_until = self._now() + min(_MOST_WAIT_S, 2.0 ** (self._wrong - FREE_TRIES))
                return False
            self._wrong = 0
            self._renew()
            return True
