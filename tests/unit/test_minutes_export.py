"""What people get of the minutes: the page to sign, tables for Excel, JSON, the verdict, and the command line."""

import csv
import io
import json
import random
import re
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from appliance.cli import main
from appliance.minutes.export import as_csv, safe_cell
from appliance.minutes.figures import COUNTERS, GAUGES
from appliance.minutes.record import Record
from appliance.minutes.segments import segments
from appliance.minutes.sheet import MAX_ROWS, as_html
from appliance.minutes.verdict import Grade, judge
from appliance.minutes.words import count, lasted, share
from appliance.state import MeetingState

from .minutes_makers import FakeUnit

NASTY = '=HYPERLINK("http://x","y")<script>alert(1)</script>&"\'\x00\u202e\n\ttên'


@pytest.fixture
def unit(tmp_path: Path) -> FakeUnit:
    return FakeUnit(tmp_path / "minutes")


def run(folder: Path, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["--state-dir", str(folder), "minutes", *arguments])


def grade(unit: FakeUnit) -> Grade:
    return judge(unit.record()).grade


# the verdict


def test_a_quiet_meeting_is_good(unit: FakeUnit) -> None:
    unit.join()
    unit.run(1800)
    unit.leave()
    assert grade(unit) is Grade.GOOD
    assert judge(unit.record()).words.vi == "Hình và tiếng ổn định suốt cuộc họp."


def test_short_cuts_are_fair_and_long_ones_poor(unit: FakeUnit) -> None:
    unit.join()
    unit.run(1800)
    unit.lose(8)
    unit.run(600)
    assert grade(unit) is Grade.FAIR
    assert "Gián đoạn 1 lần, tổng cộng 8 giây" in judge(unit.record()).words.vi
    unit.lose(90)
    unit.run(60)
    assert grade(unit) is Grade.POOR


def test_a_stuttering_picture_is_told_with_its_likely_cause(unit: FakeUnit) -> None:
    unit.join()
    unit.bad_line(0.06, freeze_ms=80, concealed=1)
    unit.run(1200)
    unit.leave()
    verdict = judge(unit.record())
    assert verdict.grade is Grade.POOR
    assert "The line lost up to 4.7 % of the packets of a minute" in verdict.words.en
    assert "Hình đứng" in verdict.words.vi
    assert "Tiếng bị ngắt quãng" in verdict.words.vi


def test_a_meeting_that_never_came_about_is_not_called_good(unit: FakeUnit) -> None:
    unit.problem("mcu-unreachable")
    unit.meeting(MeetingState.JOINING)
    unit.run(300)
    unit.leave()
    assert grade(unit) is Grade.FAILED


def test_a_meeting_of_a_moment_is_not_judged(unit: FakeUnit) -> None:
    unit.join()
    unit.leave()
    assert grade(unit) is Grade.SHORT


@pytest.mark.parametrize(
    ("ms", "vi", "en"),
    [
        (0, "0 giây", "0 s"),
        (400, "0,4 giây", "0.4 s"),
        (2000, "2 giây", "2 s"),
        (9_960, "10 giây", "10 s"),
        (59_600, "1 phút 00 giây", "1 min 00 s"),
        (200_000, "3 phút 20 giây", "3 min 20 s"),
        (3_900_000, "1 giờ 05 phút", "1 h 05 min"),
    ],
)
def test_lengths_are_said_as_people_say_them(ms: int, vi: str, en: str) -> None:
    assert lasted(ms) == (vi, en)


def test_shares_and_counts_are_said_as_people_say_them() -> None:
    assert [share(part).vi for part in (0, 0.0002, 0.012, 0.5)] == ["0 %", "<0,1 %", "1,2 %", "50 %"]
    assert [count(times).en for times in (1, 2)] == ["once", "2 times"]


# the page


class Page(HTMLParser):
    """The tags and texts of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.text += data


def stormy(folder: Path) -> Record:
    """Three hours of everything at once, with names as long as settings allow and longer."""
    unit = FakeUnit(folder)
    unit.state = replace(unit.state, unit_name="Ủy ban nhân dân phường Nguyễn Thị Minh Khai – Điểm cầu số 2 tầng")
    name = "Hội nghị trực tuyến toàn tỉnh về triển khai Nghị quyết số 57 và sơ kết công tác quý IV " * 3
    dice = random.Random(1)
    unit.join("x" * 64, name)
    for minute in range(180):
        unit.good_line()
        if dice.random() < 0.3:
            unit.bad_line(dice.random() * 0.12, dice.random() * 120, dice.random() * 4)
        unit.run(60, step_s=5)
        if dice.random() < 0.3:
            unit.lose(dice.random() * 20 + 1)
        code = dice.choice(["microphone-missing", "camera-missing", "speaker-missing", "screen-missing"])
        if dice.random() < 0.3:
            unit.problem(code)
            unit.run(5)
            unit.no_problem(code)
        if dice.random() < 0.1:
            unit.worker_dies(dice.choice(["camera", "sound", "screen"]))
        if minute == 90:
            unit.killed()
            unit.power_returns(70)
            unit.join("x" * 64, name)
    unit.wall_ns += 3600 * 10**9
    unit.run(5)
    for code in ("storage-failing", "settings-recovered", "board-missing", "sound-file", "video-file", "mcu-busy"):
        unit.problem(code)
    unit.leave()
    unit.killed()
    return unit.record()


def test_the_page_says_what_happened(unit: FakeUnit) -> None:
    unit.join()
    unit.run(600)
    unit.lose(14)
    unit.worker_dies("camera")
    unit.run(600)
    unit.leave()
    record = unit.record()
    page = Page(as_html(record))
    for words in (
        "BIÊN BẢN KỸ THUẬT",
        "Xã Tân Lập",
        "Giao ban tháng 11",
        "20 phút",
        "Mất kết nối với trung tâm.",
        "14 giây",
        "Tự kết nối lại.",
        "Bộ phận camera bị dừng.",
        "NGƯỜI LẬP BIÊN BẢN",
        record.hash,
    ):
        assert words in page.text
    assert "svg" in page.tags


def test_the_page_needs_nothing_from_outside_and_runs_nothing(unit: FakeUnit) -> None:
    unit.join()
    unit.run(120)
    unit.leave()
    page = Page(as_html(unit.record()))
    assert not {"script", "link", "img", "iframe", "object", "form", "a"} & set(page.tags)
    assert not [name for name, _ in page.attributes if name in ("src", "href") or name.startswith("on")]
    assert "url(" not in as_html(unit.record())
    assert "@import" not in as_html(unit.record())


def test_every_text_is_escaped(tmp_path: Path) -> None:
    unit = FakeUnit(tmp_path)
    unit.state = replace(unit.state, unit_name=NASTY)
    unit.problem("camera-missing", NASTY)
    unit.problem(NASTY)
    unit.join("a", NASTY)
    unit.worker_dies("camera")
    unit.leave()
    page = Page(as_html(unit.record()))
    assert "script" not in page.tags
    assert page.text.count("<script>alert(1)</script>") == 4, "title, unit, meeting, fault"


def test_many_faults_are_put_together(tmp_path: Path) -> None:
    record = stormy(tmp_path)
    page = Page(as_html(record))
    assert len(record.faults) > 50
    assert page.tags.count("tr") == MAX_ROWS + 1
    assert re.search(r"\d\d lần, \d+ phút", page.text)
    assert "sự cố khác; xem bản xuất CSV hoặc JSON" in page.text


def test_a_drawing_has_as_many_bars_as_paper_can_show(tmp_path: Path) -> None:
    unit = FakeUnit(tmp_path)
    unit.join()
    unit.run(12 * 3600, step_s=30)
    unit.leave()
    html = as_html(unit.record())
    assert html.count('<rect class="good"') <= 2 * 180
    assert re.search(r"Mỗi cột [45] phút", html)


def pages_of(html: Path) -> int:
    pdf = html.with_suffix(".pdf")
    command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    command += [f"--user-data-dir={html.parent}/profile", "--no-pdf-header-footer", f"--print-to-pdf={pdf}"]
    subprocess.run([*command, html.as_uri()], check=True, capture_output=True, timeout=50)
    return len(re.findall(rb"/Type\s*/Page\b", pdf.read_bytes()))


@pytest.mark.skipif(shutil.which("chromium") is None, reason="Chromium prints the page")
def test_even_the_worst_meeting_is_one_page(tmp_path: Path) -> None:
    html = tmp_path / "page.html"
    html.write_text(as_html(stormy(tmp_path / "minutes")), encoding="utf-8")
    assert pages_of(html) == 1


# tables


def rows(raw: bytes, separator: str = ",") -> list[list[str]]:
    assert raw.startswith(b"\xef\xbb\xbf"), "Excel takes a file without the mark for Windows-1258"
    return list(csv.reader(io.StringIO(raw.decode("utf-8-sig"), newline=""), delimiter=separator))


def test_a_table_has_a_line_a_minute_and_whole_numbers_only(unit: FakeUnit) -> None:
    unit.join()
    unit.run(300)
    unit.leave()
    head, *minutes = rows(as_csv([unit.record()], "quality", "vi"))
    assert head[:3] == ["Số", "Bắt đầu", "Độ dài (ms)"]
    assert len(minutes) == 6
    assert {len(minute) for minute in minutes} == {len(head)}
    assert all(re.fullmatch(r"-?\d*", cell) for minute in minutes for cell in minute[2:])
    assert head[head.index("Hình gửi")] == "Hình gửi"
    assert minutes[1][head.index("Hình gửi")] == "1800"


def test_every_figure_has_a_column(unit: FakeUnit) -> None:
    unit.join()
    head, *_ = rows(as_csv([unit.record()], "quality", "en"))
    assert len(head) == 2 + 6 + len(COUNTERS) + len(GAUGES)


def test_no_cell_is_a_formula(tmp_path: Path) -> None:
    unit = FakeUnit(tmp_path)
    unit.problem("camera-missing", "-2+3+cmd|' /C calc'!A0")
    unit.join("a", '=1+1;"x",y')
    unit.leave()
    unit.state = replace(unit.state, unit_name="@SUM(A1)")
    unit.join("b", "+1")
    unit.leave()
    for table in ("meetings", "faults"):
        for row in rows(as_csv(unit.records(), table, "vi", ";"), ";"):
            assert not [cell for cell in row if cell[:1] in ("=", "+", "-", "@")]
    assert rows(as_csv(unit.records(), "meetings", "vi"))[1][2] == '\'=1+1;"x",y'


@given(st.text(max_size=20))
def test_a_safe_cell_begins_no_formula_and_keeps_its_text(text: str) -> None:
    cell = safe_cell(text)
    assert cell.removeprefix("'") == text.removeprefix("'")
    assert cell[:1] not in ("=", "+", "-", "@", "\t", "\r")


# the command


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A state directory with two meetings."""
    unit = FakeUnit(tmp_path / "minutes")
    unit.join("a", "Giao ban tuần")
    unit.run(125)
    unit.lose(6)
    unit.leave()
    unit.join("b", "Họp đột xuất")
    unit.run(65)
    unit.leave()
    unit.killed()
    return tmp_path


def test_the_list_has_a_line_a_meeting(folder: Path) -> None:
    plain = run(folder, "list")
    assert plain.exit_code == 0
    assert len(plain.output.splitlines()) == 3
    assert "Giao ban tuần" in plain.output
    found = json.loads(run(folder, "list", "--json").output)
    assert [meeting["number"] for meeting in found["meetings"]] == [1, 2]
    assert found["chain"]["intact"]
    assert [m["number"] for m in json.loads(run(folder, "list", "--last", "1", "--json").output)["meetings"]] == [2]
    assert "Duration" in run(folder, "list", "--lang", "en").output


def test_one_meeting_is_shown_with_its_faults_and_events(folder: Path) -> None:
    plain = run(folder, "show", "1")
    assert "Mất kết nối với trung tâm." in plain.output
    assert "Rời cuộc họp" in plain.output
    shown: dict[str, Any] = json.loads(run(folder, "show", "1", "--json").output)
    assert (shown["reconnects"], shown["interruptions"], shown["status"]) == (1, 0, "ended")
    assert [(fault["code"], fault["lasted_ms"]) for fault in shown["faults"]] == [("connection-lost", 6000)]
    assert [event["kind"] for event in shown["events"]] == [
        "start",
        "state",
        "problem",
        "state",
        "state",
        "problem-end",
        "end",
    ]
    assert sum(minute["live_ms"] for minute in shown["quality"]) == 125_000
    assert json.loads(run(folder, "show", "--json").output)["number"] == 2, "the newest where none is named"


def test_exports_are_files_of_the_asked_form(folder: Path) -> None:
    for form, begin in (("html", b"<!doctype html>"), ("csv", b"\xef\xbb\xbf"), ("json", b"{")):
        target = folder / f"x.{form}"
        result = run(folder, "export", "1", "--format", form, "-o", str(target))
        assert result.exit_code == 0
        assert target.read_bytes().startswith(begin)
    everything = run(folder, "export", "all", "--format", "csv", "--table", "meetings", "-o", "-")
    assert len(rows(everything.stdout_bytes)) == 3
    assert json.loads(run(folder, "export", "all", "--format", "json", "-o", "-").stdout)["meetings"][1]["number"] == 2
    told = json.loads(run(folder, "export", "2", "-o", str(folder / "y.html"), "--json").output)
    assert told["bytes"] == (folder / "y.html").stat().st_size


def test_verifying_tells_and_ends_with_0_or_1(folder: Path) -> None:
    fine = run(folder, "verify")
    assert fine.exit_code == 0
    assert "NGUYÊN VẸN" in fine.output
    signed = json.loads(run(folder, "show", "1", "--json").output)["lines"]["hash"]
    assert json.loads(run(folder, "verify", "--json", "--hash", signed.upper()).output)["hash_found"] is not None
    assert run(folder, "verify", "--hash", "0" * 64).exit_code == 1
    (path,) = segments(folder / "minutes")
    path.write_bytes(path.read_bytes().replace(b'"reason":"left"', b'"reason":"lost"', 1))
    broken = run(folder, "verify")
    assert broken.exit_code == 1
    assert "BỊ HỎNG" in broken.output
    told = json.loads(run(folder, "verify", "--json").output)
    assert told["broken"]["fault"] == "changed"
    assert "minutes verify" in run(folder, "list").output, "the list warns as well"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("show", "99"), "there is no meeting 99"),
        (("show", "one"), "is not a number"),
        (("show", "-1"), "No such option"),
        (("export", "all"), "a page is of one meeting"),
        (("export", "1", "-o", "/nonexistent/x.html"), "cannot be written"),
        (("export", "1", "-o", "-", "--json"), "leave it out"),
        (("verify", "--hash", "xyz"), "64 digits"),
    ],
)
def test_wrong_wishes_get_one_clear_sentence(folder: Path, arguments: tuple[str, ...], words: str) -> None:
    result = run(folder, *arguments)
    assert result.exit_code == 2
    assert words in result.output


def test_without_minutes_every_command_says_so(tmp_path: Path) -> None:
    assert "Chưa có cuộc họp nào" in run(tmp_path, "list").output
    assert json.loads(run(tmp_path, "list", "--json").output)["meetings"] == []
    assert run(tmp_path, "verify").exit_code == 0
    assert run(tmp_path, "show").exit_code == 2
    assert json.loads(run(tmp_path, "show", "--json").output)["error"]["code"] == "no-such-meeting"


def test_a_folder_that_is_none_is_one_clear_error(tmp_path: Path) -> None:
    tmp_path.joinpath("minutes").write_text("a file")
    for command in ("list", "show", "verify"):
        result = run(tmp_path, command)
        assert result.exit_code == 2
        assert "cannot be read" in result.output


def test_looking_writes_nothing(folder: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    for arguments in (("list",), ("show",), ("verify",), ("export", "-o", "-")):
        assert run(folder, *arguments).exit_code == 0
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


@pytest.mark.parametrize("command", ["list", "show", "export", "verify"])
def test_every_command_explains_itself(command: str) -> None:
    result = CliRunner().invoke(main, ["minutes", command, "--help"])
    assert result.exit_code == 0
    assert "--json" in result.output
