"""The control protocol: JSON lines over a Unix socket. What a request may be stands here once, for server and clients.

docs/control-protocol.md describes it for programmers of other clients.
"""

import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from appliance.errors import ControlError

from .wire import VERSION

# The longest request is a join with a meeting's id; a status with many problems is some kilobytes.
MAX_REQUEST = 64 * 1024


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Nothing(_Request):
    """A verb that takes no arguments."""


class JoinArguments(_Request):
    meeting: Annotated[str, Field(min_length=1, max_length=64)] | None = None


class SwitchArguments(_Request):
    on: bool


class PressArguments(_Request):
    button: Literal["start", "mute"]


ARGUMENTS: dict[str, type[_Request]] = {
    "status": Nothing,
    "watch": Nothing,
    "join": JoinArguments,
    "leave": Nothing,
    "mute": SwitchArguments,
    "camera": SwitchArguments,
    "press": PressArguments,
    "snapshot": Nothing,
}


class Request(_Request):
    """One line from a client."""

    id: Annotated[int, Field(ge=0, le=2**53)]
    do: Annotated[str, Field(max_length=32)]
    arguments: Annotated[dict[str, Any], Field(alias="with")] = {}


_REQUEST: TypeAdapter[Request] = TypeAdapter(Request)


class BadRequestError(ControlError):
    """A line that is no request; `request_id` where it could be read."""

    def __init__(self, message: str, request_id: int | None = None) -> None:
        super().__init__(message, code="bad-request")
        self.request_id = request_id


def parse_request(line: bytes) -> tuple[Request, BaseModel]:
    """A request and its checked arguments. Raises BadRequestError with what is wrong."""
    try:
        raw = json.loads(line)
    except RecursionError:
        raise BadRequestError("the request is nested too deeply") from None
    except ValueError:
        raise BadRequestError("the request is not a line of JSON") from None
    request_id = raw["id"] if isinstance(raw, dict) and type(raw.get("id")) is int else None
    try:
        request = _REQUEST.validate_python(raw)
    except ValidationError as error:
        raise BadRequestError(f"the request is malformed: {_first(error)}", request_id) from None
    model = ARGUMENTS.get(request.do)
    if model is None:
        raise BadRequestError(f"unknown verb {request.do!r}; known: {', '.join(ARGUMENTS)}", request.id)
    try:
        return request, model.model_validate(request.arguments)
    except ValidationError as error:
        raise BadRequestError(f"{request.do}: {_first(error)}", request.id) from None


def _first(error: ValidationError) -> str:
    detail = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(str(part)[:40] for part in detail["loc"])
    return f"{place}: {detail['msg']}" if place else detail["msg"]


def line(message: dict[str, Any]) -> bytes:
    """A message as it travels."""
    return json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def hello(version: str) -> bytes:
    """What the server says first."""
    return line({"bridgepoint": VERSION, "version": version})
