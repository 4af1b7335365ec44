"""What both clients know of the wire, without the libraries that the server needs."""

import errno
import json
from pathlib import Path
from typing import Any

from appliance.errors import ControlError

VERSION = 1
# A snapshot of a full HD screen in base64 is below 2 MB.
MAX_ANSWER = 8 * 1024 * 1024


def unreachable(path: Path, error: OSError | ValueError) -> ControlError:
    """What it means that nobody could be connected to at `path`."""
    if isinstance(error, PermissionError):
        return ControlError(
            f"you may not command this bridge point: you are not in the group that {path} belongs to; "
            "use sudo, or have yourself added to that group",
            code="not-allowed",
        )
    if isinstance(error, OSError) and error.errno == errno.EAGAIN:
        return ControlError("the bridge point takes no more connections; end a program that uses it", code="busy")
    reason = getattr(error, "strerror", None) or error
    return ControlError(
        f"the bridge point is not running (nothing answers at {path}: {reason}); "
        "start it with: systemctl start bridgepoint, or: bridgepoint run",
        code="not-running",
    )


def gone() -> ControlError:
    return ControlError("the bridge point ended before it answered; look at its log", code="gone")


def no_answer(seconds: float) -> ControlError:
    return ControlError(f"the bridge point did not answer within {seconds:g} s; try again", code="no-answer")


def decode(line: bytes) -> dict[str, Any]:
    """One line from the server."""
    try:
        message = json.loads(line)
    except (ValueError, RecursionError):
        message = None
    if not isinstance(message, dict):
        raise ControlError("what answers on the control socket is not a bridge point", code="version")
    return message


def check_hello(line: bytes) -> None:
    """Raises ControlError when the other side speaks another version, or does not take us."""
    message = decode(line)
    if "error" in message:
        raise error_of(message["error"])
    if message.get("bridgepoint") != VERSION:
        raise ControlError(
            f"the bridge point speaks version {message.get('bridgepoint')!r} of the control protocol, not {VERSION}; "
            "use the command of the same installation",
            code="version",
        )


def request(number: int, do: str, arguments: dict[str, Any]) -> bytes:
    return json.dumps({"id": number, "do": do, "with": arguments}, ensure_ascii=False).encode() + b"\n"


def error_of(error: Any) -> ControlError:
    if isinstance(error, dict) and isinstance(error.get("message"), str):
        return ControlError(error["message"], code=str(error.get("code", "failed")))
    return ControlError("the bridge point answered with an error that cannot be read", code="failed")
