"""`bridgepoint demo` on the command line: its last line is JSON whatever happens, and fits the terminal otherwise."""

import io
import json
import os
from pathlib import Path
from typing import Any, NoReturn

import pytest
from click.testing import CliRunner, Result

from appliance.cli import main
from appliance.demo import measured
from appliance.demo.command import LiveLines, cut
from appliance.demo.processes import DemoError, Program, last_words_of
from appliance.errors import ControlError


def _demo(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["demo", *arguments])


def _last(result: Result) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(result.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("--json",), "--seconds"),
        (("--json", "--seconds", "0"), "--seconds"),
        (("--seconds", "nan", "--json"), "--seconds"),
        (("--seconds", "5", "--json", "--video", "/no/such.mp4"), "--video"),
        (("--seconds", "5", "--json", "--colour"), "--colour"),
    ],
)
def test_wrong_usage_is_told_as_json_too(arguments: tuple[str, ...], named: str) -> None:
    result = _demo(*arguments)
    assert result.exit_code == 2
    assert _last(result)["state"] == "failed"
    assert named in _last(result)["error"]
    assert named in result.stderr


def test_wrong_usage_without_json_prints_none() -> None:
    result = _demo("--seconds", "nan")
    assert result.exit_code == 2
    assert result.stdout == ""


def _figures(latency: float | None) -> dict[str, Any]:
    return {"state": "live", "video": {"glass_to_glass_ms": {"p50": latency, "p95": latency}}}


@pytest.mark.parametrize(("latency", "status"), [(80.0, 0), (None, 1)])
def test_a_call_without_a_picture_is_no_success(
    monkeypatch: pytest.MonkeyPatch, latency: float | None, status: int
) -> None:
    async def held(*_: Any, **__: Any) -> dict[str, Any]:
        return _figures(latency)

    monkeypatch.setattr(measured, "measured", held)
    result = _demo("--seconds", "5", "--json")
    assert result.exit_code == status
    assert _last(result) == _figures(latency)


def test_a_bug_is_told_as_json_and_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    async def held(*_: Any, **__: Any) -> NoReturn:
        raise ValueError("zip() is shorter")

    monkeypatch.setattr(measured, "measured", held)
    result = _demo("--seconds", "5", "--json")
    assert isinstance(result.exception, ValueError)
    assert _last(result) == {"state": "failed", "error": "ValueError: zip() is shorter"}


def test_figures_that_are_no_numbers_are_told_as_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    async def held(*_: Any, **__: Any) -> dict[str, Any]:
        return _figures(float("nan"))

    monkeypatch.setattr(measured, "measured", held)
    result = _demo("--seconds", "5", "--json")
    assert result.exit_code == 1
    assert _last(result)["state"] == "failed"


def test_a_unit_that_no_longer_answers_is_quoted(tmp_path: Path) -> None:
    log = tmp_path / "engine.log"
    log.write_text("ERROR out of memory\n")
    with pytest.raises(DemoError, match="out of memory"), last_words_of([Program("unit", ["true"], log)]):
        raise ControlError("the bridge point ended before it answered; look at its log", code="gone")


def test_live_lines_never_wrap(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    screen = Terminal()
    monkeypatch.setattr("sys.stdout", screen)
    monkeypatch.setattr("shutil.get_terminal_size", lambda: os.terminal_size((80, 24)))
    draw = LiveLines()
    for _ in range(2):
        draw(["  Phường Bến Nghé " + "đang kết nối lại " * 10, "ngắn"])
    lines = screen.getvalue().replace("\x1b[2K", "").replace("\x1b[2F", "").splitlines()
    assert [len(line) for line in lines] == [79, 4, 79, 4]


def test_letters_with_marks_apart_are_counted_as_one() -> None:
    assert cut("Đo\u0302\u0301ng", 4) == "Đống"
