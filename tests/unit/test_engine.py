"""The engine's own care: what a press means, what is kept on disk, and that two engines do not share one place."""

import errno
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from appliance.cli import main
from appliance.engine import Engine, EngineOptions
from appliance.errors import ControlError
from appliance.intent import Intent, IntentFile
from appliance.settings import Meeting, Settings
from appliance.state import ApplianceState, MeetingState, StateStore
from appliance.state_folder import StateFolderError, held
from appliance.supervisor import TooManyBugsError


def meeting(meeting_id: str) -> Meeting:
    return Meeting(id=meeting_id, name="Giao ban", send_url="https://mcu.test/w", receive_url="https://mcu.test/r")


class Unit:
    """An engine that is not running, its state, and its clock."""

    def __init__(self, folder: Path, *meetings: str) -> None:
        self.store = StateStore(ApplianceState())
        self.now = 100.0
        settings = Settings(meetings=tuple(meeting(name) for name in meetings))
        options = EngineOptions(folder, folder / "control.sock")
        self.engine = Engine(options, settings, self.store, now=lambda: self.now)

    async def press(self, button: str, after_s: float = 1.0) -> None:
        self.now += after_s
        await self.engine.press(button)

    @property
    def problems(self) -> list[str]:
        return [problem.code for problem in self.store.state.problems]


@pytest.fixture
def unit(tmp_path: Path) -> Unit:
    return Unit(tmp_path, "a")


async def test_a_double_press_is_one_press(unit: Unit) -> None:
    await unit.press("mute")
    await unit.press("mute", after_s=0.25)
    assert unit.store.state.muted is False
    await unit.press("start")
    await unit.press("start", after_s=0.25)
    assert unit.store.state.meeting.state is MeetingState.JOINING
    await unit.engine.saved()


async def test_start_means_the_opposite_of_what_is_wanted_whatever_is_still_going_on(unit: Unit) -> None:
    for expected in (MeetingState.JOINING, MeetingState.STANDBY, MeetingState.JOINING):
        # No session is opened or ended in between: the goodbye of a leave may last.
        await unit.press("start")
        assert unit.store.state.meeting.state is expected
    await unit.engine.saved()


async def test_a_kept_meeting_that_the_settings_no_longer_know_is_told_until_another_is_joined(tmp_path: Path) -> None:
    await IntentFile(tmp_path / "intent.json").save(Intent("gone"))
    unit = Unit(tmp_path, "a")
    unit.engine._resume()
    assert unit.problems == ["meeting-gone"]
    assert unit.store.state.meeting.state is MeetingState.STANDBY
    await unit.press("start")
    assert unit.problems == []
    await unit.engine.saved()


async def test_a_card_that_cannot_be_written_is_told_and_forgiven_when_it_can(
    unit: Unit, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, code in ((errno.ENOSPC, "storage-full"), (errno.EIO, "storage-failing")):

        def fail(*_: Any, number: int = number) -> None:
            raise OSError(number, "no")

        with monkeypatch.context() as patch:
            patch.setattr("appliance.intent.os.fsync", fail)
            await unit.engine._save(Intent("a"))
        assert unit.problems == [code]
        await unit.engine._save(Intent("a"))
        assert unit.problems == []


async def test_a_failed_save_leaves_no_scraps_on_a_full_card(
    unit: Unit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("appliance.intent.os.fsync", full)
    await unit.engine._save(Intent("a"))
    assert list(tmp_path.iterdir()) == []


async def test_what_could_not_be_saved_is_saved_later(
    unit: Unit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tmp_path.joinpath("intent.new").mkdir()
    unit.engine.join("a")
    await unit.engine.saved()
    assert unit.problems == ["storage-failing"]
    tmp_path.joinpath("intent.new").rmdir()

    class EndOfTestError(Exception):
        pass

    naps = iter([None])

    async def nap(_: float) -> None:
        if next(naps, "over") == "over":
            raise EndOfTestError

    monkeypatch.setattr("appliance.engine.asyncio.sleep", nap)
    with pytest.raises(EndOfTestError):
        await unit.engine._keep_saved()
    assert IntentFile(tmp_path / "intent.json").load().meeting_id == "a"
    assert unit.problems == []


def test_two_engines_do_not_share_a_state_directory(tmp_path: Path) -> None:
    with held(tmp_path):
        with pytest.raises(StateFolderError, match="another bridge point"), held(tmp_path):
            pass
        second = CliRunner().invoke(main, ["--state-dir", str(tmp_path), "--socket", str(tmp_path / "2.sock"), "run"])
        assert second.exit_code == 1
        assert "another bridge point" in second.output
        assert not tmp_path.joinpath("2.sock").exists()
    with held(tmp_path):
        pass


def test_a_card_that_takes_no_new_file_does_not_stop_the_unit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def read_only(*_: Any) -> int:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr("appliance.state_folder.os.open", read_only)
    with held(tmp_path):
        pass


@pytest.fixture
def place(tmp_path: Path) -> list[str]:
    tmp_path.joinpath("file").touch()
    return ["--state-dir", str(tmp_path / "state"), "--socket", str(tmp_path / "s.sock")]


@pytest.mark.parametrize("option", ["--state-dir", "--socket"])
def test_a_place_that_cannot_be_made_is_told_in_one_line(tmp_path: Path, place: list[str], option: str) -> None:
    found = CliRunner().invoke(main, [*place, option, str(tmp_path / "file" / "deeper" / "x"), "run"])
    assert found.exit_code == 1
    assert option in found.output.splitlines()[-1]
    assert "Traceback" not in found.output


def test_too_many_bugs_are_told_plainly_however_deep_they_arise(
    place: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: Any) -> None:
        raise ExceptionGroup("", [ExceptionGroup("", [TooManyBugsError("5 bugs within 60 s"), ControlError("second")])])

    monkeypatch.setattr("appliance.engine.serve", fail)
    found = CliRunner().invoke(main, [*place, "run"])
    assert found.exit_code == 1
    assert found.output.splitlines() == [
        "bridgepoint: 5 bugs within 60 s; ending, to be started afresh",
        "bridgepoint: second",
    ]


def test_a_bug_among_expected_failures_keeps_its_traceback(place: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*_: Any) -> None:
        raise ExceptionGroup("", [ControlError("expected"), ZeroDivisionError()])

    monkeypatch.setattr("appliance.engine.serve", fail)
    found = CliRunner().invoke(main, [*place, "run"])
    assert isinstance(found.exception, ExceptionGroup)
