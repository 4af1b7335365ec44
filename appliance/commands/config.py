"""`bridgepoint config`: check and show the settings, without a running unit."""

import json
import sys
from pathlib import Path
from typing import Any

import click

from appliance import settings_file, settings_store
from appliance.errors import SettingsError
from appliance.paths import Paths
from appliance.settings import Settings
from appliance.settings_keys import masked

from .asking import BAD_INPUT, json_option, print_json


@click.group()
def config() -> None:
    """Check and show the settings."""


@config.command()
@click.argument("file", required=False, type=click.Path(path_type=Path))
@json_option
@click.pass_obj
def check(paths: Paths, file: Path | None, as_json: bool) -> None:
    """Say everything that is wrong in FILE (default: the unit's own settings); nothing is changed.

    Example: bridgepoint config check ./settings.toml
    """
    path = file or paths.state_dir / settings_store.MAIN
    try:
        settings_store.check_file(path, paths.defaults)
    except SettingsError as error:
        if as_json:
            print_json({"ok": False, "file": str(path), "faults": [fault.as_dict() for fault in error.faults]})
        else:
            _print_faults(path, error)
        sys.exit(BAD_INPUT)
    if as_json:
        print_json({"ok": True, "file": str(path), "faults": []})
    else:
        click.echo(f"{path} is fine")


def _print_faults(path: Path, error: SettingsError) -> None:
    count = len(error.faults)
    click.echo(f"{path} has {count} fault{'s' if count != 1 else ''}:", err=True)
    width = max((len(fault.key) for fault in error.faults), default=0)
    for fault in error.faults:
        hint = f"; did you mean {fault.nearest}?" if fault.nearest else ""
        click.echo(f"  {fault.key:<{width}}  {fault.value}: {fault.reason}{hint}", err=True)


@config.command()
@click.option("--changed", is_flag=True, help="Only what this unit sets over the image's defaults.")
@json_option
@click.pass_obj
def show(paths: Paths, changed: bool, as_json: bool) -> None:
    """Show the settings that the unit would run with; secrets are masked."""
    loaded = settings_store.load(paths.state_dir, paths.defaults, repair=False)
    values: dict[str, Any] = masked(dict(loaded.overrides) if changed else loaded.settings.model_dump())
    if as_json:
        print_json(
            {
                "from": loaded.source,
                "problems": [problem.as_dict() for problem in loaded.problems],
                "settings": json.loads(json.dumps(values, default=str)),
            }
        )
        return
    for problem in loaded.problems:
        click.echo(f"! {problem.text.cause_en} {problem.detail}", err=True)
    click.echo(settings_file.as_text(values), nl=False)


@config.command()
def schema() -> None:
    """Print the JSON schema of the settings, with labels in both languages."""
    click.echo(json.dumps(Settings.model_json_schema(), ensure_ascii=False, indent=2))
