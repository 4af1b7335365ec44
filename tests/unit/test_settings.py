"""Settings on disk: all faults at once, two copies, nothing lost, no secret told."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance import settings_file
from appliance.errors import SettingsError
from appliance.settings_seal import FIRST_LINE
from appliance.settings_store import BACKUP, MAIN, SPOILED, check_file, load, save

SECRET = "very-secret-token"
MEETING = {
    "id": "giao-ban",
    "name": "Giao ban",
    "send_url": "https://mcu.example/whip",
    "receive_url": "https://mcu.example/whep",
    "token": SECRET,
}
OLD: dict[str, Any] = {"unit": {"name": "Xã Tân Lập"}, "meetings": [MEETING]}
NEW: dict[str, Any] = {"unit": {"name": "Phường Bến Nghé"}, "meetings": [MEETING]}


def codes(folder: Path) -> list[str]:
    return [problem.code for problem in load(folder).problems]


def name(folder: Path) -> str:
    return load(folder).settings.unit.name


def test_a_new_unit_runs_on_defaults_without_a_problem(tmp_path: Path) -> None:
    loaded = load(tmp_path)
    assert loaded.source == "defaults"
    assert loaded.problems == ()
    assert list(tmp_path.iterdir()) == []


def test_what_is_saved_is_loaded_and_readable_by_nobody_else(tmp_path: Path) -> None:
    save(tmp_path, OLD)
    assert name(tmp_path) == "Xã Tân Lập"
    for copy in (MAIN, BACKUP):
        assert tmp_path.joinpath(copy).stat().st_mode & 0o077 == 0
    assert tmp_path.joinpath(MAIN).read_bytes() == tmp_path.joinpath(BACKUP).read_bytes()


def test_all_faults_are_told_at_once_each_with_key_value_reason_and_nearest_key(tmp_path: Path) -> None:
    file = tmp_path / "x.toml"
    file.write_text(
        '[video]\nfps = 300\nwidth = "wide"\nsourse = "file"\n[unit]\nlanguage = "fr"\n'
        f'[[meetings]]\nid = "A B"\nname = "x"\nsend_url = "ftp://x"\nreceive_url = "https://x/"\ntokn = "{SECRET}"\n',
        encoding="utf-8",
    )
    with pytest.raises(SettingsError) as caught:
        check_file(file)
    faults = {fault.key: fault for fault in caught.value.faults}
    assert set(faults) == {
        "video.fps",
        "video.width",
        "video.sourse",
        "unit.language",
        "meetings[0].id",
        "meetings[0].send_url",
        "meetings[0].tokn",
    }
    assert faults["video.fps"].value == "300"
    assert faults["video.fps"].reason == "must be at most 60"
    assert faults["video.sourse"].nearest == "video.source"
    assert faults["meetings[0].tokn"].nearest == "meetings[0].token"
    assert SECRET not in "".join((str(caught.value), repr(caught.value), *map(str, faults.values())))


def test_a_refused_save_changes_nothing(tmp_path: Path) -> None:
    save(tmp_path, OLD)
    before = tmp_path.joinpath(MAIN).read_bytes()
    with pytest.raises(SettingsError):
        save(tmp_path, {"unit": {"name": ""}})
    assert tmp_path.joinpath(MAIN).read_bytes() == before


def test_a_spoiled_file_starts_on_defaults_with_a_problem_and_is_kept(tmp_path: Path) -> None:
    tmp_path.joinpath(MAIN).write_bytes(b"\0\xff not settings")
    loaded = load(tmp_path)
    assert loaded.settings.unit.name == "Điểm cầu"
    assert [problem.code for problem in loaded.problems] == ["settings-spoiled"]
    (kept,) = tmp_path.glob(f"{SPOILED}*")
    assert kept.read_bytes() == b"\0\xff not settings"
    assert kept.name in loaded.problems[0].detail


def test_a_lost_or_damaged_copy_is_made_again_from_the_other(tmp_path: Path) -> None:
    for damage in (Path.unlink, lambda path: path.write_bytes(b""), lambda path: path.write_bytes(b"\0" * 100)):
        for which in (MAIN, BACKUP):
            save(tmp_path, OLD)
            damage(tmp_path / which)
            assert name(tmp_path) == "Xã Tân Lập"
            assert name(tmp_path) == "Xã Tân Lập"
            assert tmp_path.joinpath(MAIN).read_bytes() == tmp_path.joinpath(BACKUP).read_bytes()
            assert codes(tmp_path) == []


def test_a_hand_edit_is_taken_and_one_with_faults_is_left_to_be_corrected(tmp_path: Path) -> None:
    save(tmp_path, OLD)
    main = tmp_path / MAIN
    text = main.read_text(encoding="utf-8")
    main.write_text(text.replace("Xã Tân Lập", "Xã Tân Hội"), encoding="utf-8")
    os.utime(main, (1, 1))
    assert name(tmp_path) == "Xã Tân Hội"
    faulty = main.read_text(encoding="utf-8").replace("[unit]", "[unti]")
    main.write_text(faulty, encoding="utf-8")
    os.utime(main, (1, 1))
    assert name(tmp_path) == "Xã Tân Hội"
    assert codes(tmp_path) == ["settings-recovered"]
    assert main.read_text(encoding="utf-8") == faulty


def test_an_edit_made_on_windows_is_taken(tmp_path: Path) -> None:
    save(tmp_path, OLD)
    main = tmp_path / MAIN
    text = main.read_text(encoding="utf-8").replace("Xã Tân Lập", "Xã Tân Hội")
    main.write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    assert name(tmp_path) == "Xã Tân Hội"
    assert codes(tmp_path) == []


def test_a_person_s_file_may_begin_with_the_words_of_the_unit_s(tmp_path: Path) -> None:
    words = FIRST_LINE.partition(",")[0]
    tmp_path.joinpath(MAIN).write_text(f'{words} of Tân Hội\n[unit]\nname = "Xã Tân Hội"\n', encoding="utf-8")
    assert name(tmp_path) == "Xã Tân Hội"
    assert codes(tmp_path) == []


def test_a_unit_s_settings_stand_over_the_image_s(tmp_path: Path) -> None:
    defaults = tmp_path / "defaults.toml"
    defaults.write_text('[video]\nfps = 25\nheight = 480\n[unit]\nname = "Image"\n', encoding="utf-8")
    save(tmp_path, {"video": {"height": 360}}, defaults)
    video = load(tmp_path, defaults).settings.video
    assert (video.fps, video.height) == (25, 360)


class PowerCutError(BaseException):
    """The end of everything, in the middle of a call."""


@pytest.mark.parametrize("call", ["os.write", "os.fsync", "os.open", "pathlib.Path.replace", "os.utime"])
def test_a_power_cut_at_any_moment_of_saving_leaves_the_old_or_the_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    owner, _, attribute = call.rpartition(".")
    place: Any = os if owner == "os" else Path
    real: Callable[..., Any] = getattr(place, attribute)
    for last in range(1, 12):
        save(tmp_path, OLD)
        calls = 0

        def cut(*arguments: Any, last: int = last, **more: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == last:
                raise PowerCutError
            return real(*arguments, **more)

        monkeypatch.setattr(place, attribute, cut)
        try:
            save(tmp_path, NEW)
            whole = True
        except PowerCutError:
            whole = False
        monkeypatch.undo()
        assert name(tmp_path) in ({"Phường Bến Nghé"} if whole else {"Xã Tân Lập", "Phường Bến Nghé"})
        if whole:
            break
    else:
        pytest.fail("saving never came to its end")


def test_a_full_card_is_told_and_the_old_settings_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(tmp_path, OLD)

    def full(*_: Any) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(SettingsError, match="memory card"):
        save(tmp_path, NEW)
    monkeypatch.undo()
    assert name(tmp_path) == "Xã Tân Lập"
    assert not list(tmp_path.glob("*.new"))


@settings(max_examples=150)
@given(st.binary(max_size=400) | st.text(max_size=200).map(str.encode))
def test_whatever_stands_in_the_file_the_unit_starts(tmp_path: Path, content: bytes) -> None:
    for old in tmp_path.iterdir():
        old.unlink()
    tmp_path.joinpath(MAIN).write_bytes(content)
    assert load(tmp_path).settings.unit.name


@settings(max_examples=100)
@given(st.integers(0, 10_000), st.integers(0, 7))
def test_a_flipped_bit_never_costs_the_settings(tmp_path: Path, at: int, bit: int) -> None:
    save(tmp_path, OLD)
    main = tmp_path / MAIN
    status = main.stat()
    content = bytearray(main.read_bytes())
    content[at % len(content)] ^= 1 << bit
    main.write_bytes(content)
    os.utime(main, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert name(tmp_path) == "Xã Tân Lập"


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(st.sampled_from(["unit", "video", "audio", "meetings", "network", "board", "x"]), _VALUES))
def test_whatever_is_to_be_checked_it_is_fine_or_one_error(data: dict[str, Any]) -> None:
    try:
        settings_file.check(data, "x.toml")
    except SettingsError as error:
        assert error.faults  # noqa: PT017  any other exception must fail the test


def test_odd_things_in_the_place_of_the_file_do_not_hold_up_the_start(tmp_path: Path) -> None:
    main = tmp_path / MAIN
    os.mkfifo(main)
    assert load(tmp_path).settings
    main.unlink()
    main.mkdir()
    assert load(tmp_path).settings
    main.rmdir()
    main.write_bytes(b"#" * (settings_file.MAX_BYTES + 1))
    assert codes(tmp_path) == ["settings-spoiled"]


def test_looking_repairs_nothing(tmp_path: Path) -> None:
    tmp_path.joinpath(MAIN).write_bytes(b"\0")
    before = {path.name for path in tmp_path.iterdir()}
    assert load(tmp_path, repair=False).problems
    assert {path.name for path in tmp_path.iterdir()} == before
