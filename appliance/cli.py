"""The `bridgepoint` command. Each sub-command is imported when it is given: asking for the status must be quick."""

import importlib
from pathlib import Path

import click

from . import __version__
from .paths import DEFAULTS, SOCKET, STATE_DIR, Paths

_COMMANDS = {
    "run": ("appliance.commands.run:run", "Run this bridge point until it is stopped."),
    "status": ("appliance.commands.status:status", "Show what the unit does now."),
    "join": ("appliance.commands.meeting:join", "Join a meeting."),
    "leave": ("appliance.commands.meeting:leave", "Leave the meeting."),
    "mute": ("appliance.commands.meeting:mute", "Switch the microphone off."),
    "unmute": ("appliance.commands.meeting:unmute", "Switch the microphone on."),
    "camera": ("appliance.commands.meeting:camera", "Switch the camera on or off."),
    "press": ("appliance.commands.meeting:press", "Press a button of the unit."),
    "snapshot": ("appliance.commands.meeting:snapshot", "Save what the screen shows as JPEG."),
    "config": ("appliance.commands.config:config", "Check and show the settings."),
    "minutes": ("appliance.commands.minutes:minutes", "List, show, export and verify the minutes of meetings."),
    "doctor": ("appliance.commands.doctor:doctor", "Check everything and say what to do."),
    "panel": ("appliance.panel.command:panel", "Run the web panel."),
    "lab-mcu": ("appliance.labmcu.command:lab_mcu", "Run a small MCU for demonstrations and tests."),
    "demo": ("appliance.demo.command:demo", "Hold a meeting on this machine."),
}


class LazyGroup(click.Group):
    """A group whose commands are imported when they are used; its help needs none of them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module, _, attribute = _COMMANDS[cmd_name][0].partition(":")
        command = getattr(importlib.import_module(module), attribute)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in _COMMANDS.items()])


@click.command(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="bridgepoint")
# readable=False: whether the state directory may be read matters to the commands that do, not to `status`.
@click.option(
    "--state-dir",
    type=click.Path(path_type=Path, file_okay=False, readable=False),
    envvar="BRIDGEPOINT_STATE_DIR",
    default=STATE_DIR,
    show_default=True,
    help="Where the unit keeps its settings.",
)
@click.option(
    "--socket",
    type=click.Path(path_type=Path, dir_okay=False, readable=False),
    envvar="BRIDGEPOINT_SOCKET",
    default=SOCKET,
    show_default=True,
    help="The unit's control socket.",
)
@click.option(
    "--defaults",
    type=click.Path(path_type=Path, dir_okay=False, readable=False),
    default=DEFAULTS,
    show_default=True,
    help="The image's settings, under those of the unit; need not exist.",
)
@click.pass_context
def main(ctx: click.Context, state_dir: Path, socket: Path, defaults: Path) -> None:
    """A bridge point (điểm cầu): camera, microphone and screen of one room, in a meeting with a central MCU.

    Exit status: 0 fine, 1 refused or failed, 2 wrong usage or faulty input, 3 the bridge point is not running.
    """
    ctx.obj = Paths(state_dir, socket, defaults)
