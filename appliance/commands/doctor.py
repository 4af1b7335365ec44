"""`bridgepoint doctor`: check everything and say per line what to do."""

import asyncio
import logging
import os
import sys

import click

from appliance.finding import Finding
from appliance.paths import Paths

from .asking import json_option, print_json

_MARKS = {"ok": ("✓", "32"), "warning": ("!", "33"), "failed": ("✗", "31"), "skipped": ("-", "2")}


@click.command()
@click.option("--lang", type=click.Choice(["vi", "en"]), default="vi", show_default=True, help="Language.")
@json_option
@click.pass_obj
def doctor(paths: Paths, lang: str, as_json: bool) -> None:
    """Check camera, encoder, microphone, speaker, network, MCU, clock and disk.

    Exit status 1 when something is so wrong that a meeting would fail.
    """
    from appliance import doctor as checks

    # The lines say what is wrong; a log among them would only hide it.
    logging.getLogger("appliance").addHandler(logging.NullHandler())
    column = 0 if lang == "vi" else 1
    colour = sys.stdout.isatty() and "NO_COLOR" not in os.environ

    def report(finding: Finding) -> None:
        if not as_json and sys.stderr.isatty():
            click.echo(f"\r\x1b[2K… {checks.NAMES[finding.check][column]}", err=True, nl=False)

    findings = asyncio.run(checks.examine(paths, report))
    failed = any(finding.result == "failed" for finding in findings)
    if as_json:
        print_json({"ok": not failed, "checks": [finding.as_dict() for finding in findings]})
        sys.exit(failed)
    if sys.stderr.isatty():
        click.echo("\r\x1b[2K", err=True, nl=False)
    width = max(len(name[column]) for name in checks.NAMES.values())
    for finding in findings:
        mark, sgr = _MARKS[finding.result]
        shown = f"\x1b[{sgr}m{mark}\x1b[0m" if colour else mark
        click.echo(f" {shown} {checks.NAMES[finding.check][column]:<{width}}  {finding.found[column]}")
        if finding.cure and finding.result != "ok":
            click.echo(f"   {'':<{width}}  → {finding.cure[column]}")
    sys.exit(failed)
