"""Settings on disk: the image's defaults, and over them what this unit has saved, in two copies.

`settings.toml` is the one that people read and edit, `settings.backup.toml` the same once more; both are replaced
atomically and sealed (settings_seal). Loading takes the first copy that is sound. A hand edit of `settings.toml` is
taken when it has no fault, and then sealed and copied by the unit; one with faults is left where it is, so that it can
be corrected, while the unit runs on the second copy. Damaged bytes are replaced from the sound copy. Whatever could
not be used is kept aside as `settings.spoiled-<time>.toml`, the newest five, and the Problem names it.
"""

import fcntl
import logging
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import tomli_w
from pydantic import SecretStr

from . import settings_file
from .errors import SettingsError
from .problems import Problem, storage_code
from .settings import Settings
from .settings_file import DamagedFileError
from .settings_seal import Seal, inspect, sealed

log = logging.getLogger(__name__)

MAIN = "settings.toml"
BACKUP = "settings.backup.toml"
SPOILED = "settings.spoiled-"
SPOILED_KEPT = 5


@dataclass(frozen=True, slots=True)
class Loaded:
    """The settings to run with, where they came from, and what was wrong. `overrides` holds secrets: do not show it."""

    settings: Settings
    problems: tuple[Problem, ...] = ()
    overrides: Mapping[str, Any] = field(default_factory=dict, repr=False)
    source: Literal["defaults", "main", "backup"] = "defaults"


@dataclass(slots=True)
class _Copy:
    """One of the two copies as found on disk. `settings` is None when it cannot be used, `error` then says why."""

    path: Path
    raw: bytes | None = None
    body: bytes = b""
    seal: Seal | None = None
    generation: int = 0
    overrides: dict[str, Any] = field(default_factory=dict)
    settings: Settings | None = None
    error: SettingsError | None = None

    @property
    def missing(self) -> bool:
        return self.raw is None and self.error is None

    def refuse(self, reason: str) -> None:
        self.settings, self.error = None, settings_file.damaged(self.path.name, reason)


def load(state_dir: Path, defaults: Path | None = None, *, repair: bool = True) -> Loaded:
    """Find the settings to run with; never raises for what the files hold.

    `defaults` may name a file that does not exist. `repair=False` only looks: nothing on disk changes.
    """
    base, problems = _image_defaults(defaults)
    main, backup = (_examine(state_dir / name, base) for name in (MAIN, BACKUP))
    # The commonest damage: a file of no bytes, or cut before its first key. Whoever wants defaults removes both.
    is_emptied = main.settings is not None and not main.overrides and main.seal is not Seal.INTACT
    if is_emptied and backup.settings is not None and backup.overrides:
        main.refuse("is empty, but its second copy is not")
    kept = [name for copy in (main, backup) if repair and (name := _keep_aside(copy, problems))]
    aside = f" (kept as {', '.join(kept)})" if kept else ""
    if main.settings is not None:
        if repair and (main.seal is not Seal.INTACT or main.raw != backup.raw):
            _restore(state_dir, main, backup, problems)
        return Loaded(main.settings, tuple(problems), main.overrides, "main")
    if backup.settings is not None:
        reason = f"{MAIN} is missing" if main.missing else str(main.error)
        log.error("settings: %s%s; using the second copy", reason, aside)
        problems.append(_problem("settings-recovered", reason + aside))
        if repair and (main.missing or isinstance(main.error, DamagedFileError)):
            _restore(state_dir, backup, main, problems)
        return Loaded(backup.settings, tuple(problems), backup.overrides, "backup")
    lost = [str(copy.error) for copy in (main, backup) if copy.error is not None]
    if not lost and (earlier := _spoiled_files(state_dir)):
        lost = [f"the settings were spoiled before; see {earlier[-1].name}"]
    if lost:
        log.error("settings: %s%s; using the defaults", "; ".join(lost), aside)
        problems.append(_problem("settings-spoiled", "; ".join(lost) + aside))
    return Loaded(_settings_of(base), tuple(problems))


def save(state_dir: Path, overrides: Mapping[str, Any], defaults: Path | None = None) -> Settings:
    """Check and save what this unit sets over the image's defaults. Raises SettingsError; then nothing has changed."""
    base, _ = _image_defaults(defaults)
    settings = settings_file.check(_merge(base, overrides), MAIN)
    body = tomli_w.dumps(_chosen(settings.model_dump(exclude_unset=True), overrides)).encode()
    if len(body) > settings_file.MAX_BYTES * 3 // 4:
        raise SettingsError("the settings are too many to be saved; remove meetings that are over")
    try:
        with _locked(state_dir):
            newest = max(_examine(state_dir / name, base).generation for name in (MAIN, BACKUP))
            _write_both(state_dir, body, newest + 1)
    except OSError as error:
        raise SettingsError(
            f"the settings cannot be saved: {error.strerror or error}; see to the memory card"
        ) from error
    log.info("settings: saved, generation %s", newest + 1)
    return settings


def check_file(path: Path, defaults: Path | None = None) -> Settings:
    """Check one file as it would be taken over the image's defaults. Raises SettingsError with all its faults."""
    raw = settings_file.read(path)
    if raw is None:
        raise settings_file.damaged(path.name, "does not exist")
    return settings_file.check(_merge(_image_defaults(defaults)[0], settings_file.parse(raw, path.name)), path.name)


# reading


def _image_defaults(path: Path | None) -> tuple[dict[str, Any], list[Problem]]:
    if path is None:
        return {}, []
    try:
        raw = settings_file.read(path)
        data = settings_file.parse(raw, path.name) if raw is not None else {}
        settings_file.check(data, path.name)
    except SettingsError as error:
        log.error("settings: the image's defaults cannot be used: %s", error)
        return {}, [_problem("settings-spoiled", f"the image's defaults in {path} cannot be used: {error}")]
    return data, []


def _examine(path: Path, base: Mapping[str, Any]) -> _Copy:
    copy = _Copy(path)
    try:
        copy.raw = settings_file.read(path)
        if copy.raw is None:
            return copy
        found = inspect(copy.raw, _modified_ns(path))
        copy.body, copy.seal, copy.generation = found.body, found.seal, found.generation
        copy.overrides = settings_file.parse(copy.raw, path.name)
        copy.settings = settings_file.check(_merge(base, copy.overrides), path.name)
        if copy.seal in (Seal.TORN, Seal.ROTTEN):
            copy.refuse(f"{copy.seal.value}")
    except SettingsError as error:
        copy.error = error
        if copy.seal in (Seal.TORN, Seal.ROTTEN):
            copy.refuse(f"{copy.seal.value}")
    return copy


def _modified_ns(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def _merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Sections are merged key by key; a list replaces the list."""
    merged = dict(base)
    for key, value in over.items():
        old = merged.get(key)
        merged[key] = _merge(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return merged


def _settings_of(base: Mapping[str, Any]) -> Settings:
    return settings_file.check(base, "defaults")


def _chosen(dump: Any, overrides: Any) -> Any:
    """The checked values of just those keys that the overrides name, as TOML can hold them."""
    if isinstance(dump, dict):
        wanted = overrides if isinstance(overrides, Mapping) else dump
        return {key: _chosen(dump[key], wanted[key]) for key in wanted if key in dump}
    if isinstance(dump, list | tuple):
        return [_chosen(item, None) for item in dump]
    if isinstance(dump, SecretStr):
        return dump.get_secret_value()
    return "" if dump is None else dump


def _problem(code: str, detail: str) -> Problem:
    return Problem(code, time.time(), detail)


# writing


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """One writer at a time, whatever process it is in."""
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_both(folder: Path, body: bytes, generation: int) -> None:
    """Both copies are complete on disk before either takes its name: a full disk is noticed while nothing has changed.

    A power cut between the two renames leaves two sound copies of different generations; the main one counts.
    """
    saved = int(time.time())
    content = sealed(body, generation, saved)
    scratches = [folder / f"{name}.new" for name in (MAIN, BACKUP)]
    try:
        for scratch in scratches:
            _write_through(scratch, content, saved)
        for scratch, name in zip(scratches, (MAIN, BACKUP), strict=True):
            scratch.replace(folder / name)
            _sync_folder(folder)
    except OSError:
        for scratch in scratches:
            with suppress(OSError):
                scratch.unlink(missing_ok=True)
        raise


def _write_through(path: Path, content: bytes, modified_s: int | None = None) -> None:
    """Write a file that only its owner may read, down to the medium."""
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        left = memoryview(content)
        while left:
            left = left[os.write(descriptor, left) :]
        if modified_s is not None:
            os.utime(descriptor, (modified_s, modified_s))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _restore(folder: Path, sound: _Copy, other: _Copy, problems: list[Problem]) -> None:
    """Seal what the sound copy holds and write it to both places; a unit that cannot write runs all the same."""
    try:
        with _locked(folder):
            _write_both(folder, sound.body, max(sound.generation, other.generation) + 1)
        log.info("settings: both copies hold what %s held", sound.path.name)
    except OSError as error:
        log.error("settings: cannot be written: %s", error)
        problems.append(_problem(storage_code(error), f"the settings cannot be written: {error}"))


def _spoiled_files(folder: Path) -> list[Path]:
    return sorted(folder.glob(f"{SPOILED}*.toml"))


def _keep_aside(copy: _Copy, problems: list[Problem]) -> str | None:
    """Keep the bytes of a copy that cannot be used; the same bytes are kept once. Returns the name of the file."""
    if copy.error is None or copy.raw is None:
        return None
    folder = copy.path.parent
    try:
        with _locked(folder):
            kept = _spoiled_files(folder)
            for path in kept:
                if path.read_bytes() == copy.raw:
                    return path.name
            stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
            path = folder / f"{SPOILED}{stamp}.toml"
            number = 1
            while path.exists():
                number += 1
                path = folder / f"{SPOILED}{stamp}-{number}.toml"
            _write_through(path, copy.raw)
            # By name, not by the clock of now: a unit without a battery may write with a date long gone.
            for old in kept[: max(0, len(kept) + 1 - SPOILED_KEPT)]:
                old.unlink()
            return path.name
    except OSError as error:
        log.error("settings: %s cannot be kept aside: %s", copy.path.name, error)
        problems.append(_problem(storage_code(error), f"{copy.path.name} cannot be kept aside: {error}"))
        return None
