"""The failures we expect. Each costs one log line and says what to do; anything else is a bug with a traceback."""


class ApplianceError(Exception):
    """Base of every failure that is ours. `str(error)` is a sentence for a person: what failed, what to do."""


class DeviceError(ApplianceError):
    """A camera, sound card, screen or file cannot be used. `problem` names its row in `problems.CATALOGUE`."""

    def __init__(self, message: str, *, problem: str) -> None:
        super().__init__(message)
        self.problem = problem


class WorkerError(ApplianceError):
    """A worker process ended, hung, or sent what it must not send."""


class PipeError(ApplianceError):
    """The bytes on a worker pipe are not a message: the other end is broken and must be replaced."""


class ControlError(ApplianceError):
    """The engine cannot be reached, or refused a command. `code` is stable and for programs."""

    def __init__(self, message: str, *, code: str = "failed") -> None:
        super().__init__(message)
        self.code = code


class UplinkError(ApplianceError):
    """A session to the MCU could not start or has ended badly.

    `retry_after_s` is the least time to wait before the next try, where the MCU or the kind of failure asks for one.
    `problem` names the row in `problems.CATALOGUE` that tells the room what goes on.
    """

    def __init__(self, message: str, *, retry_after_s: float = 0.0, problem: str = "mcu-unreachable") -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s
        self.problem = problem


class Unreachable(UplinkError):  # noqa: N818
    """Nothing of the MCU answers: the line is down, or the MCU is. Asking again soon costs nobody anything."""


class CredentialsRejected(UplinkError):  # noqa: N818  the trade's word
    """The MCU does not accept our token: trying again at once would only lock us out."""

    def __init__(self, message: str) -> None:
        super().__init__(message, retry_after_s=30.0, problem="mcu-credentials")


class NegotiationFailed(UplinkError):  # noqa: N818
    """The MCU's answer cannot carry a meeting: wrong codec, refused media, malformed SDP."""

    def __init__(self, message: str) -> None:
        super().__init__(message, retry_after_s=5.0, problem="mcu-answer")


class MediaLost(UplinkError):  # noqa: N818
    """The session stood, and then nothing arrived for too long, or the MCU closed it."""

    def __init__(self, message: str) -> None:
        super().__init__(message, problem="connection-lost")


class MinutesError(ApplianceError):
    """The minutes of meetings cannot be kept, or what is asked for is not in them."""


class SettingsError(ApplianceError):
    """A settings file has faults. `faults` holds all of them, each with key, value, reason and nearest known key."""

    def __init__(self, message: str, faults: tuple["SettingsFault", ...] = ()) -> None:
        super().__init__(message)
        self.faults = faults


class SettingsFault:
    """One fault of a settings file; `value` is already masked where the key holds a secret."""

    __slots__ = ("key", "nearest", "reason", "value")

    def __init__(self, key: str, value: str, reason: str, nearest: str | None = None) -> None:
        self.key = key
        self.value = value
        self.reason = reason
        self.nearest = nearest

    def as_dict(self) -> dict[str, str | None]:
        return {"key": self.key, "value": self.value, "reason": self.reason, "nearest": self.nearest}

    def __str__(self) -> str:
        hint = f" (did you mean {self.nearest!r}?)" if self.nearest else ""
        return f"{self.key} = {self.value}: {self.reason}{hint}"
