"""What the declaration of the settings knows of a key, and how its value may be shown without telling a secret."""

import difflib
import json
import re
from collections.abc import Iterator, Mapping
from types import UnionType
from typing import Annotated, Any, TypeAlias, Union, get_args, get_origin
from urllib.parse import urlsplit, urlunsplit

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from .settings import MASK, Settings

Location: TypeAlias = tuple[int | str, ...]

WHOLE_FILE = "(file)"
_LONGEST_SHOWN = 60
_LONGEST_KEY = 12
_SECRET_NAME = re.compile(r"token|secret|pass|pwd|bearer|credential|auth|key$|^pw$|mat.?khau|ma.?truy", re.IGNORECASE)
_SECRET_PARAMETER = re.compile(r"([^&=]*(?:token|secret|pass|pwd|bearer|auth|key|sig)[^&=]*=)[^&]*", re.IGNORECASE)
# The user's part of an address, with or without //: turn:bob:password@turn.vn
_USER_PART = re.compile(r"^((?:[a-z][a-z0-9+.-]*:(?://)?)?)[^@\s/]*:[^@\s]*@", re.IGNORECASE)


def fields(loc: Location) -> Mapping[str, FieldInfo]:
    """The keys that may stand in the table at `loc`; empty when no table is declared there."""
    model: type[BaseModel] | None = Settings
    for part in loc:
        if isinstance(part, str):
            field = model.model_fields.get(part) if model else None
            model = _model_of(field.annotation) if field else None
    return model.model_fields if model else {}


def _model_of(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((model for part in get_args(annotation) if (model := _model_of(part))), None)


def _field(loc: Location) -> FieldInfo | None:
    names = [part for part in loc if isinstance(part, str)]
    return fields(tuple(names[:-1])).get(names[-1]) if names else None


def _holds_secret(annotation: Any) -> bool:
    if get_origin(annotation) in (Union, UnionType, Annotated):
        return any(_holds_secret(part) for part in get_args(annotation))
    return annotation is SecretStr


def is_secret(loc: Location, nearest: str | None = None) -> bool:
    field = _field(loc)
    if field is not None:
        return _holds_secret(field.annotation)
    if any(_holds_secret(known.annotation) for known in fields(loc[:-1]).values()):
        # Whatever stands beside a secret under a name that nobody knows may be the secret.
        return True
    names = [part for part in loc if isinstance(part, str)]
    # A misspelt name of a secret still holds the secret.
    return any(_SECRET_NAME.search(name) for name in (*names[-1:], (nearest or "").rpartition(".")[2]))


def form_of(loc: Location) -> str:
    field = _field(loc)
    extra = field.json_schema_extra if field else None
    return str(extra.get("x-form", "")) if isinstance(extra, dict) else ""


def _every_key(loc: tuple[str, ...] = ()) -> Iterator[str]:
    for name, field in fields(loc).items():
        yield ".".join((*loc, name))
        if _model_of(field.annotation):
            yield from _every_key((*loc, name))


def nearest_key(loc: Location) -> str | None:
    """The known key that was probably meant: of the same table, or of that name elsewhere."""
    name = str(loc[-1]).lower()
    known = list(fields(loc[:-1]))
    begun = [key for key in known if len(name) > 2 and key.startswith(name)]
    for match in difflib.get_close_matches(name, known, 1) or begun:
        return dotted((*loc[:-1], match))
    for key in _every_key():
        if key.rpartition(".")[2] == name:
            return key
    return None


# showing values


def masked(data: Mapping[str, Any]) -> dict[str, Any]:
    """A copy for people to see: every secret, and every password within an address, masked."""
    return {key: _masked(value, (key,)) for key, value in data.items()}


def _masked(value: Any, loc: Location) -> Any:
    if isinstance(value, SecretStr) or (value not in (None, "") and is_secret(loc)):
        return MASK
    if isinstance(value, Mapping):
        return {key: _masked(item, (*loc, str(key))) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_masked(item, (*loc, index)) for index, item in enumerate(value)]
    return _masked_address(value) if isinstance(value, str) else value


def _masked_address(text: str) -> str:
    """Hide the user's part of an address, and what its query says of tokens and keys."""
    if "://" not in text:
        return _USER_PART.sub(rf"\1{MASK}@", text)
    try:
        parts = urlsplit(text)
    except ValueError:
        return MASK
    host = f"{MASK}@{parts.netloc.rpartition('@')[2]}" if "@" in parts.netloc else parts.netloc
    query, fragment = (_SECRET_PARAMETER.sub(rf"\1{MASK}", part) for part in (parts.query, parts.fragment))
    return urlunsplit((parts.scheme, host, parts.path, query, fragment))


def show(value: Any, loc: Location, *, secret: bool) -> str:
    if secret:
        return MASK
    return shorten(json.dumps(_plain(_masked(value, loc)), ensure_ascii=False))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, int) and value.bit_length() > 256:
        return "(a huge number)"
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def shorten(text: str) -> str:
    """Bounded, and without anything that a terminal or a log would obey."""
    cut = text if len(text) <= _LONGEST_SHOWN else text[: _LONGEST_SHOWN - 1] + "…"
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in cut)


def dotted(loc: Location) -> str:
    """The key as a person writes it, such as meetings[1].send_url."""
    text = ""
    for part in loc[:_LONGEST_KEY]:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            name = part if re.fullmatch(r"[A-Za-z0-9_-]{1,60}", part) else shorten(json.dumps(part, ensure_ascii=False))
            text += f".{name}" if text else name
    return text or WHOLE_FILE


def value_at(data: Any, loc: Location) -> tuple[Any, bool]:
    """The value there, and whether there is one."""
    for part in loc:
        try:
            data = data[part]
        except (KeyError, IndexError, TypeError):
            return None, False
    return data, True
