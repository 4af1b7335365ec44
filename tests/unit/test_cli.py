"""The `bridgepoint` command as people and scripts use it."""

import base64
import json
import os
import subprocess
import sys
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from appliance.cli import _COMMANDS, main
from appliance.commands import asking, meeting, status
from appliance.commands.terminal import fit, width_of
from appliance.commands.words import status_lines
from appliance.errors import ControlError
from appliance.problems import Problem
from appliance.state import ApplianceState, MeetingState, MeetingStatus, WorkerState, WorkerStatus

STATE = ApplianceState(
    unit_name="Xã Tân Lập",
    meeting=MeetingStatus(
        MeetingState.REJOINING, "a", "Giao ban tháng", 1_790_000_000.0, next_try_unix_s=1_790_000_007.0
    ),
    problems=(Problem("connection-lost", 0.0, "nothing arrives"),),
    workers={"camera": WorkerStatus(WorkerState.RUNNING, 7, 2)},
    numbers={
        "camera": {"width": 1280, "height": 720, "fps": 30, "bitrate_bps": 2_000_000},
        "sound": {"level_dbfs": -31.4, "played": 12},
        "screen": {"shown": 90, "freezes": 1},
        "session": {"video_out_frames_sent": 99, "video_out_rtt_ms": 20.4},
    },
).as_dict()


def run(*arguments: str, folder: Path | None = None) -> Result:
    place = ["--state-dir", str(folder), "--socket", str(folder / "socket")] if folder else []
    return CliRunner().invoke(main, [*place, *arguments])


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """An engine in the place of the socket; what it was asked."""
    found: list[Any] = []

    def answer(path: Path, do: str, **arguments: Any) -> Any:
        found.append((do, arguments))
        return {"jpeg": base64.b64encode(b"picture").decode()} if do == "snapshot" else STATE

    monkeypatch.setattr(asking, "ask", answer)
    return found


def test_help_names_every_command_and_imports_none() -> None:
    result = run("--help")
    assert result.exit_code == 0
    assert all(f"  {name} " in result.output for name in _COMMANDS)


@pytest.mark.parametrize("command", list(_COMMANDS))
def test_every_command_explains_itself(command: str) -> None:
    result = run(command, "--help")
    assert result.exit_code == 0
    assert "Usage:" in result.output


def test_asking_for_the_status_loads_no_media_library() -> None:
    code = (
        "import sys\nfrom appliance.cli import main\n"
        "try:\n    main(['--socket', '/nonexistent', 'status'])\nexcept SystemExit as end:\n    assert end.code == 3\n"
        "print([name for name in ('av', 'aiortc', 'numpy', 'flask', 'pydantic') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "arguments", [("status",), ("join",), ("leave",), ("mute",), ("snapshot",), ("press", "start")]
)
def test_without_a_running_unit_commands_say_so_and_end_with_3(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    plain = run(*arguments, folder=tmp_path)
    assert plain.exit_code == 3
    assert "bridgepoint run" in plain.output
    as_json = run(*arguments, "--json", folder=tmp_path)
    assert as_json.exit_code == 3
    assert json.loads(as_json.output)["error"]["code"] == "not-running"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("join",), ("join", {"meeting": None})),
        (("join", "a"), ("join", {"meeting": "a"})),
        (("leave",), ("leave", {})),
        (("mute",), ("mute", {"on": True})),
        (("unmute",), ("mute", {"on": False})),
        (("camera", "off"), ("camera", {"on": False})),
        (("camera", "on"), ("camera", {"on": True})),
        (("press", "mute"), ("press", {"button": "mute"})),
    ],
)
def test_commands_ask_the_engine(asked: list[Any], arguments: tuple[str, ...], expected: Any) -> None:
    plain = run(*arguments)
    assert plain.exit_code == 0
    assert "Đang kết nối lại: Giao ban tháng" in plain.output
    assert json.loads(run(*arguments, "--json").output) == STATE
    assert asked == [expected, expected]


def test_the_status_says_what_is_wrong_and_what_to_do(asked: list[Any]) -> None:
    vietnamese, english = run("status").output, run("status", "--lang", "en").output
    assert "Mất kết nối với trung tâm." in vietnamese
    assert "thiết bị tự kết nối lại" in vietnamese
    assert "Reconnecting" in english
    assert "restarted 2 times" in english
    assert "1280x720@30" in english
    assert "20 ms" in english
    assert json.loads(run("status", "--json").output) == STATE


def test_the_countdown_to_the_next_try_is_told() -> None:
    lines = status_lines(STATE, "en", colour=False, now=1_790_000_003.2)
    assert "next try in 4 s" in lines[0]
    assert not any("\x1b" in line for line in lines)


def test_a_vietnamese_status_has_no_english_in_it() -> None:
    lines = status_lines({**STATE, "problems": []}, "vi", colour=False)
    assert any("camera đang chạy (khởi động lại 2 lần)" in line for line in lines)
    assert not any(word in "\n".join(lines) for word in ("running", "sound", "screen", "restarted"))


@given(
    st.text(alphabet="aếo\u0302\u0323日 ", max_size=60).map(lambda text: f"  \x1b[2m{text}\x1b[0m"),
    st.integers(8, 30),
)
def test_a_line_fits_into_the_terminal_and_loses_no_letter(line: str, columns: int) -> None:
    rows = fit(line, columns)
    assert all(width_of(row) <= columns for row in rows)
    assert "".join(rows).replace(" ", "") == line.replace(" ", "")


def test_letters_take_the_columns_that_a_terminal_gives_them() -> None:
    assert width_of("Tế") == width_of(unicodedata.normalize("NFD", "Tế")) == 2
    assert width_of("\x1b[31m日本\x1b[0m") == 4


def test_a_long_line_is_broken_between_words_and_its_rest_indented() -> None:
    assert fit("  Kiểm tra dây mạng; thiết bị tự nối lại.", 22) == [
        "  Kiểm tra dây mạng;",
        "    thiết bị tự nối",
        "    lại.",
    ]


def test_a_watched_status_is_drawn_over_itself_whatever_the_terminal_s_size() -> None:
    drawing = status._Drawing()
    small = os.terminal_size((20, 5))
    first = drawing._over(["x" * 50, "y"], small)
    assert first.count("\n") == 4
    assert drawing._over(["z"] * 9, small).startswith("\x1b[4F"), "up by the rows that were drawn, not the lines"
    assert drawing._over(["z"] * 9, small).count("\n") == 4, "no more rows than the terminal has"
    assert drawing._over(["z"], os.terminal_size((40, 9))).startswith("\x1b[2J"), "a new size: begin anew"


def test_waiting_for_a_meeting_that_does_not_come_fails_with_the_reason(
    asked: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(meeting.time, "sleep", lambda _: None)
    result = run("join", "--wait", "0.1")
    assert result.exit_code == 1
    assert "connection to the conference centre is lost" in result.output


def test_a_snapshot_is_written_whole_or_not_at_all(asked: list[Any], tmp_path: Path) -> None:
    target = tmp_path / "picture.jpg"
    result = run("snapshot", "-o", str(target), "--json")
    assert json.loads(result.output) == {"file": str(target), "bytes": 7}
    assert target.read_bytes() == b"picture"
    failed = run("snapshot", "-o", str(tmp_path / "none" / "x.jpg"))
    assert failed.exit_code == 2
    assert "cannot be written" in failed.output
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("target", ["/", "..", "."])
def test_a_snapshot_is_not_written_over_a_folder(asked: list[Any], tmp_path: Path, target: str) -> None:
    failed = run("snapshot", "-o", str(tmp_path / target) if target == "." else target)
    assert failed.exit_code == 2
    assert "directory" in failed.output.lower()


def test_a_state_directory_that_others_may_not_read_blocks_no_unrelated_command(
    asked: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.access", lambda *_, **__: False)
    assert run("status", folder=tmp_path).exit_code == 0


def test_an_engine_s_refusal_is_its_own_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> Any:
        raise ControlError("no meeting 'x' is configured (known: a)", code="unknown-meeting")

    monkeypatch.setattr(asking, "ask", refuse)
    result = run("join", "x")
    assert result.exit_code == 1
    assert "known: a" in result.output


SETTINGS = """
[unit]
name = "Xã Tân Lập"
[video]
fps = 300
sourse = "file"
[[meetings]]
id = "a"
name = "Giao ban"
send_url = "https://mcu.example/whip"
receive_url = "https://mcu.example/whep"
token = "very-secret"
"""


def test_a_settings_file_is_checked_with_all_its_faults(tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_text(SETTINGS, encoding="utf-8")
    plain = run("config", "check", str(file))
    assert plain.exit_code == 2
    assert "video.fps" in plain.output
    assert "did you mean video.source?" in plain.output
    faults = json.loads(run("config", "check", str(file), "--json").output)["faults"]
    assert {fault["key"] for fault in faults} == {"video.fps", "video.sourse"}
    file.write_text(SETTINGS.replace('fps = 300\nsourse = "file"', "fps = 30"), encoding="utf-8")
    assert run("config", "check", str(file)).exit_code == 0
    assert run("config", "check", str(tmp_path / "none.toml")).exit_code == 2


def test_settings_are_shown_without_their_secrets(tmp_path: Path) -> None:
    text = SETTINGS.replace('fps = 300\nsourse = "file"', "fps = 25")
    tmp_path.joinpath("settings.toml").write_text(text, encoding="utf-8")
    for arguments in (("config", "show"), ("config", "show", "--changed"), ("config", "show", "--json")):
        result = run(*arguments, folder=tmp_path)
        assert result.exit_code == 0
        assert "very-secret" not in result.output
        assert "********" in result.output
        assert "25" in result.output
    assert tmp_path.joinpath("settings.toml").read_text(encoding="utf-8") == text, "looking must change nothing"


def test_the_schema_carries_labels_in_both_languages() -> None:
    schema = json.loads(run("config", "schema").output)
    labels = schema["$defs"]["Video"]["properties"]["fps"]["x-label"]
    assert labels == {"vi": "Số hình mỗi giây", "en": "Frame rate"}
