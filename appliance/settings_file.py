"""Read one settings file and say everything that is wrong with it, in plain words and without telling a secret."""

import os
import re
import stat
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tomli_w
from pydantic import ValidationError

from .errors import SettingsError, SettingsFault
from .settings import Settings
from .settings_keys import WHOLE_FILE, Location, dotted, form_of, is_secret, nearest_key, shorten, show, value_at

# 32 meetings with long tokens fit; what is larger is not a settings file.
MAX_BYTES = 256 * 1024
# The deepest key is network.ice_servers[0].url. tomllib takes time in the square of the dots of one key.
MAX_DEPTH = 8
MAX_DOTS_PER_LINE = 64
MAX_FAULTS = 100


class DamagedFileError(SettingsError):
    """The bytes are not those of a settings file at all: no slip of a person, but a failing card or a wrong file."""


def _error(name: str, *faults: SettingsFault, damaged: bool = False) -> SettingsError:
    shown = "; ".join(fault.reason if fault.key == WHOLE_FILE else str(fault) for fault in faults[:3])
    more = f"; and {len(faults) - 3} more" if len(faults) > 3 else ""
    kind = DamagedFileError if damaged else SettingsError
    return kind(f"{name}: {shown}{more}", faults)


def damaged(name: str, reason: str) -> SettingsError:
    return _error(name, SettingsFault(WHOLE_FILE, name, reason), damaged=True)


def read(path: Path) -> bytes | None:
    """The file's bytes; None when there is no file. Raises DamagedFileError when it cannot be a settings file."""
    try:
        # O_NONBLOCK: a FIFO in its place must not hold up the start.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise damaged(path.name, f"cannot be opened: {getattr(error, 'strerror', None) or error}") from error
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise damaged(path.name, "is not a regular file")
        raw = _read_at_most(descriptor, MAX_BYTES + 1)
    except OSError as error:
        raise damaged(path.name, f"cannot be read: {error.strerror}") from error
    finally:
        os.close(descriptor)
    if len(raw) > MAX_BYTES:
        raise damaged(path.name, f"is larger than {MAX_BYTES // 1024} KiB; it cannot be a settings file")
    return raw


def _read_at_most(descriptor: int, limit: int) -> bytes:
    raw = b""
    while len(raw) < limit and (part := os.read(descriptor, limit - len(raw))):
        raw += part
    return raw


def parse(raw: bytes, name: str) -> dict[str, Any]:
    """TOML to a dictionary; its keys are not looked at yet. Raises SettingsError."""
    if b"\0" in raw:
        raise damaged(name, "is not text; save it as UTF-8 text")
    try:
        # Editors on Windows put a byte order mark in front.
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise damaged(name, f"is not UTF-8 text (line {line}); save it as UTF-8") from None
    lines = text.split("\n")
    for index, text_line in enumerate(lines, 1):
        if text_line.count(".") > MAX_DOTS_PER_LINE:
            raise _error(name, SettingsFault(f"line {index}", "…", f"has more than {MAX_DOTS_PER_LINE} dots"))
    try:
        data = tomllib.loads(text)
    except RecursionError:
        raise _error(name, SettingsFault(WHOLE_FILE, name, "is nested too deeply")) from None
    except ValueError as error:
        raise _error(name, _syntax_fault(str(error), lines)) from None
    if _depth(data) > MAX_DEPTH:
        raise _error(name, SettingsFault(WHOLE_FILE, name, "is nested too deeply"))
    return data


def _syntax_fault(message: str, lines: list[str]) -> SettingsFault:
    reason, _, place = message.partition(" (at ")
    found = re.match(r"line (\d+), column (\d+)", place)
    number = int(found[1]) if found else len(lines)
    # What follows the equals sign may be a secret with a forgotten quote.
    line = lines[min(number, len(lines)) - 1]
    shown = shorten(line.partition("=")[0].strip()) + " = …" if "=" in line else "…"
    if re.match(r"Cannot (overwrite|declare|mutate)", reason):
        reason = "is given twice"
    elif not place:
        reason = "is not valid TOML"
    else:
        reason = f"is not valid TOML: {reason[0].lower()}{reason[1:]}"
    return SettingsFault(f"line {number}" + (f", column {found[2]}" if found else ""), shown, reason)


def _depth(data: dict[str, Any]) -> int:
    deepest = 0
    waiting: list[tuple[Any, int]] = [(data, 0)]
    while waiting:
        value, depth = waiting.pop()
        deepest = max(deepest, depth)
        if isinstance(value, dict):
            waiting.extend((item, depth + 1) for item in value.values())
        elif isinstance(value, list):
            waiting.extend((item, depth + 1) for item in value)
    return deepest


def check(data: Mapping[str, Any], name: str) -> Settings:
    """Validate; raises one SettingsError with all faults."""
    faults: dict[str, SettingsFault] = {}
    rest: Any = data
    while True:
        try:
            settings = Settings.model_validate(rest)
        except ValidationError as error:
            # Not chained: pydantic's own message would repeat the values.
            details = error.errors(include_url=False)[: MAX_FAULTS + 1]
        else:
            break
        new = {dotted(detail["loc"]): detail for detail in details}
        if not new.keys() - faults.keys() or len(faults) > MAX_FAULTS:
            break
        for key, detail in new.items():
            if key not in faults:
                faults[key] = _fault(detail["loc"], key, detail["type"], detail["msg"], detail.get("ctx", {}), data)
        # Rules about several keys are only looked at when each key is right: look again without the wrong ones.
        rest = _without(rest, [detail["loc"] for detail in details])
    if not faults:
        return settings
    if len(faults) > MAX_FAULTS:
        kept = list(faults.values())[:MAX_FAULTS]
        raise _error(name, *kept, SettingsFault(WHOLE_FILE, name, f"has more than {MAX_FAULTS} faults"))
    raise _error(name, *faults.values())


def _fault(
    loc: Location, key: str, kind: str, message: str, context: Mapping[str, Any], data: Mapping[str, Any]
) -> SettingsFault:
    nearest = nearest_key(loc) if kind == "extra_forbidden" else None
    value, found = value_at(data, loc)
    if kind == "missing" or not found:
        shown = "(nothing)"
    elif kind == "extra_forbidden" and isinstance(value, dict | list):
        # Under a section that nobody knows, nobody knows which keys hold secrets.
        shown = "[…]" if isinstance(value, list) else "{…}"
    else:
        shown = show(value, loc, secret=is_secret(loc, nearest))
    return SettingsFault(key, shown, _reason(loc, kind, message, context), nearest)


def _reason(loc: Location, kind: str, message: str, context: Mapping[str, Any]) -> str:
    match kind:
        case "missing":
            return "must be given"
        case "extra_forbidden":
            return "is not a known setting"
        case "int_type" | "int_from_float" | "int_parsing":
            return "must be a whole number"
        case "bool_type":
            return "must be true or false"
        case "string_type":
            return "must be a text in quotes"
        case "literal_error":
            return f"must be one of {context['expected']}"
        case "greater_than_equal":
            return f"must be at least {context['ge']}"
        case "less_than_equal":
            return f"must be at most {context['le']}"
        case "multiple_of":
            return f"must be a multiple of {context['multiple_of']}"
        case "string_too_short":
            return "must not be empty"
        case "string_too_long":
            return f"must have at most {context['max_length']} characters"
        case "string_pattern_mismatch":
            return f"must look like {form_of(loc)}"
        case "too_long":
            return f"must have at most {context['max_length']} entries"
        case "tuple_type" | "list_type":
            return f"must be a list ([[{dotted(loc)}]])"
        case "model_type" | "dict_type":
            return f"must be a section ([{dotted(loc)}])"
        case "value_error":
            return str(context["error"])
    return message[0].lower() + message[1:]


def _without(data: Any, locs: list[Location]) -> Any:
    """A copy that lacks the values at `locs`; a wrong entry of a list goes as a whole."""
    here = {loc[0] for loc in locs if len(loc) == 1}
    deeper: dict[int | str, list[Location]] = {}
    for loc in locs:
        if len(loc) > 1:
            deeper.setdefault(loc[0], []).append(loc[1:])
    if isinstance(data, Mapping):
        return {k: _without(v, deeper[k]) if k in deeper else v for k, v in data.items() if k not in here}
    if isinstance(data, list | tuple):
        return [_without(v, deeper[i]) if i in deeper else v for i, v in enumerate(data) if i not in here]
    return data


def as_text(values: Mapping[str, Any]) -> str:
    """Settings as TOML for people to read; what is not set is left out."""
    return tomli_w.dumps(_set_values(values))


def _set_values(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _set_values(item) for key, item in value.items() if item is not None}
    if isinstance(value, list | tuple):
        return [_set_values(item) for item in value]
    return value
