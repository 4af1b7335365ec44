"""The panel, with an engine that the test plays: who gets in, what each button asks, and what goes wrong."""

import base64
import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from babel.messages.pofile import read_po
from click.testing import CliRunner
from flask.testing import FlaskClient
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.cli import main
from appliance.control.words import WORDS
from appliance.errors import ControlError
from appliance.panel.app import PanelOptions, make_app, own_names
from appliance.panel.password import FREE_TRIES, OneTimePassword, TooManyTriesError
from appliance.panel.unit_line import ANSWER_S, SILENCE_S, UnitLine
from appliance.problems import Problem
from appliance.state import ApplianceState

PICTURE = b"\xff\xd8 a picture"


class PlayedEngine:
    """Answers as told and keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.error: ControlError | None = None
        self.snapshot: Any = {"jpeg": base64.b64encode(PICTURE).decode()}
        self.state: Any = ApplianceState(unit_name="Xã Tân Lập").as_dict()

    def ask(self, do: str, **arguments: Any) -> Any:
        self.asked.append((do, arguments))
        if self.error is not None:
            raise self.error
        return self.snapshot if do == "snapshot" else self.state


class Panel:
    """A browser at the panel."""

    def __init__(self) -> None:
        self.engine = PlayedEngine()
        self.passwords: list[str] = []
        password = OneTimePassword(self.passwords.append)
        options = PanelOptions("Xã Tân Lập", "vi", (("giao-ban", "Giao ban tháng"),), ("localhost",))
        self.app = make_app(options, self.engine.ask, password)
        self.browser: FlaskClient = self.app.test_client()

    def token(self, page: str = "/") -> str:
        found = re.search(r'name="csrf_token" value="([^"]+)"', self.browser.get(page).text)
        assert found is not None
        return found[1]

    def sign_in(self, password: str | None = None) -> int:
        form = {"csrf_token": self.token("/login"), "password": password or self.passwords[-1]}
        return self.browser.post("/login", data=form).status_code


@pytest.fixture
def panel() -> Panel:
    return Panel()


@pytest.fixture
def inside(panel: Panel) -> Panel:
    assert panel.sign_in() == 302
    return panel


def test_nobody_gets_in_without_the_password(panel: Panel) -> None:
    assert panel.browser.get("/").headers["Location"] == "/login"
    assert panel.browser.get("/api/state").status_code == 401
    assert panel.browser.get("/api/snapshot.jpg").status_code == 401
    assert panel.sign_in("AAAA-BBBB-CCCC") == 403
    assert panel.engine.asked == []


def test_a_password_opens_once_and_the_next_one_is_announced(panel: Panel) -> None:
    first = panel.passwords[0]
    assert panel.sign_in(first.lower()) == 302
    assert panel.browser.get("/").status_code == 200
    assert len(panel.passwords) == 2
    panel.browser.post("/logout", data={"csrf_token": panel.token()})
    assert panel.sign_in(first) == 403
    assert panel.sign_in(panel.passwords[1]) == 302


def test_guessing_is_slowed_down_and_opens_again() -> None:
    now = [0.0]
    announced: list[str] = []
    password = OneTimePassword(announced.append, now=lambda: now[0])
    for _ in range(FREE_TRIES):
        assert not password.use("wrong")
    with pytest.raises(TooManyTriesError):
        password.use(announced[-1])
    now[0] = 61.0
    assert password.use(announced[-1])


def test_a_guesser_is_told_how_long_to_wait(panel: Panel) -> None:
    statuses = [panel.sign_in("wrong") for _ in range(FREE_TRIES + 1)]
    assert statuses == [403] * FREE_TRIES + [429]


@pytest.mark.parametrize(
    ("what", "form", "asked"),
    [
        ("join", {"meeting": "giao-ban"}, ("join", {"meeting": "giao-ban"})),
        ("join", {}, ("join", {"meeting": None})),
        ("leave", {}, ("leave", {})),
        ("mute", {"on": "1"}, ("mute", {"on": True})),
        ("mute", {"on": "0"}, ("mute", {"on": False})),
        ("camera", {"on": "0"}, ("camera", {"on": False})),
    ],
)
@pytest.mark.parametrize("way", ["/do/", "/api/"])
def test_each_button_asks_the_engine(
    inside: Panel, way: str, what: str, form: dict[str, str], asked: tuple[str, dict[str, Any]]
) -> None:
    token = inside.token()
    inside.engine.asked.clear()
    answer = inside.browser.post(way + what, data={"csrf_token": token, **form})
    assert answer.status_code == (302 if way == "/do/" else 200)
    assert inside.engine.asked == [asked]


def test_a_forged_request_changes_nothing(inside: Panel) -> None:
    for path in ("/do/leave", "/api/leave", "/logout"):
        answer = inside.browser.post(path)
        assert answer.status_code == 400
        assert "quá hạn" in (answer.get_json()["error"] if answer.is_json else answer.text)
    assert inside.engine.asked == []


def test_a_name_that_is_not_the_unit_s_is_refused(panel: Panel) -> None:
    for host, status in (("evil.example", 400), ("localhost:8088", 200), ("192.168.1.7:8088", 200), ("[::1]:80", 200)):
        assert panel.browser.get("/login", headers={"Host": host}).status_code == status


def test_pages_carry_the_headers_that_keep_strangers_out(panel: Panel) -> None:
    headers = panel.browser.get("/login").headers
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cache-Control"] == "no-store"
    cookie = headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie


def test_a_unit_that_does_not_run_is_told_in_words(inside: Panel) -> None:
    inside.engine.error = ControlError("x", code="not-running")
    page = inside.browser.get("/")
    assert page.status_code == 503
    assert "Hãy tắt rồi bật nguồn" in page.text
    state = inside.browser.get("/api/state")
    assert state.status_code == 503
    assert "Hãy tắt rồi bật nguồn" in state.get_json()["error"]


@pytest.mark.parametrize(("code", "status"), [("no-answer", 503), ("gone", 503), ("unknown-meeting", 409), ("x", 409)])
def test_the_engine_s_refusals_are_told_in_the_reader_s_language(inside: Panel, code: str, status: int) -> None:
    token = inside.token()
    inside.engine.error = ControlError("raw English for technicians", code=code)
    answer = inside.browser.post("/api/join", data={"csrf_token": token, "meeting": "x"})
    assert answer.status_code == status
    assert answer.get_json()["error"] == WORDS.get(code, WORDS["failed"])[0]
    inside.browser.set_cookie("language", "en")
    english = inside.browser.post("/do/join", data={"csrf_token": token, "meeting": "x"})
    assert "raw English" not in english.text


def test_a_page_asked_for_while_the_engine_is_away_comes_back_by_itself(inside: Panel) -> None:
    inside.engine.error = ControlError("x", code="gone")
    assert 'http-equiv="refresh"' in inside.browser.get("/").text
    inside.engine.error = ControlError("x", code="internal")
    assert 'http-equiv="refresh"' not in inside.browser.get("/").text


def test_no_english_stands_in_the_vietnamese_panel_s_refusals(inside: Panel) -> None:
    token = inside.token()
    answers = [
        inside.browser.get("/nope"),
        inside.browser.get("/do/leave"),
        inside.browser.post("/language/xx", data={"csrf_token": token}),
        inside.browser.post("/do/leave", data={"csrf_token": token, "x": "y" * 20_000}),
    ]
    assert [answer.status_code for answer in answers] == [404, 405, 404, 413]
    for answer in answers:
        assert not re.search(r"\b(the|URL|method|data)\b", answer.text.partition("<main>")[2])


def test_a_machine_is_known_by_its_name_and_over_mdns() -> None:
    assert own_names("diemcau") == ("localhost", "diemcau", "diemcau.local")
    assert own_names("diemcau.xa.vn")[1:] == ("diemcau.xa.vn", "diemcau.local")


def test_pages_do_not_all_wait_for_an_engine_that_does_not_answer() -> None:
    now = 0.0
    asked: list[tuple[str, float]] = []
    error: ControlError | None = ControlError("x", code="no-answer")

    def ask(do: str, *, timeout_s: float, **_: Any) -> str:
        asked.append((do, timeout_s))
        if error is not None:
            raise error
        return "state"

    line = UnitLine(ask, now=lambda: now)
    for _ in range(4):
        with pytest.raises(ControlError) as caught:
            line("status")
        assert caught.value.code == "no-answer"
    assert asked == [("status", ANSWER_S)], "one has waited, the others are told at once"
    with pytest.raises(ControlError):
        line("leave")
    assert len(asked) == 2, "what a person wants is tried all the same"
    now, error = SILENCE_S + 0.1, None
    assert line("status") == line("status") == "state"


def test_a_panel_that_is_switched_off_says_so_and_ends(tmp_path: Path) -> None:
    tmp_path.joinpath("settings.toml").write_text("[panel]\nenabled = false\n")
    found = CliRunner().invoke(main, ["--state-dir", str(tmp_path), "panel", "--listen", "127.0.0.1:0"])
    assert found.exit_code == 1
    assert "panel.enabled" in found.output


@pytest.mark.parametrize("listen", ["no-such-host.invalid:80", "192.0.2.1:0"])
def test_a_place_where_the_panel_cannot_listen_is_told_in_one_line(tmp_path: Path, listen: str) -> None:
    command = [sys.executable, "-m", "appliance", "--state-dir", str(tmp_path), "panel", "--listen", listen]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert found.returncode == 1
    assert len(found.stderr.splitlines()) == 1
    assert "choose another --listen" in found.stderr


def test_the_snapshot_is_a_picture_or_a_sentence(inside: Panel) -> None:
    answer = inside.browser.get("/api/snapshot.jpg")
    assert (answer.mimetype, answer.data) == ("image/jpeg", PICTURE)
    for spoiled in ({}, {"jpeg": "ä"}, {"jpeg": 7}, None):
        inside.engine.snapshot = spoiled
        assert inside.browser.get("/api/snapshot.jpg").status_code == 409


def test_problems_say_cause_and_cure_in_the_chosen_language(inside: Panel) -> None:
    inside.engine.state["problems"] = [Problem("camera-missing", 0.0).as_dict()]
    assert "Kiểm tra dây cắm của camera." in inside.browser.get("/").text
    token = inside.token()
    assert inside.browser.post("/language/en", data={"csrf_token": token}).status_code == 302
    page = inside.browser.get("/").text
    assert "Check the camera&#39;s cable." in page
    assert "Microphone is off" in page
    assert inside.browser.post("/language/xx", data={"csrf_token": token}).status_code == 404


def test_too_large_a_form_is_refused(panel: Panel) -> None:
    answer = panel.browser.post("/login", data={"password": "x" * 20_000})
    assert answer.status_code in (400, 413)


@settings(max_examples=60)
@given(path=st.text(max_size=30), form=st.dictionaries(st.text(max_size=8), st.text(max_size=40), max_size=4))
def test_no_form_brings_a_traceback(inside: Panel, path: str, form: dict[str, str]) -> None:
    form["csrf_token"] = inside.token()
    for way in ("/do/", "/api/", "/"):
        assert inside.browser.post(way + quote(path, safe=""), data=form).status_code < 500


def test_every_sentence_is_translated_and_the_catalogue_is_compiled(tmp_path: Path) -> None:
    from babel.messages.extract import extract_from_dir
    from babel.messages.mofile import read_mo

    import appliance.panel as package

    root = Path(package.__file__).parent
    methods = [("**.py", "python"), ("**/templates/**.html", "jinja2.ext.babel_extract")]
    used = {found[2] for found in extract_from_dir(root, methods)}
    folder = root / "translations/vi/LC_MESSAGES"
    with folder.joinpath("messages.po").open("rb") as file:
        written = {message.id: message.string for message in read_po(file) if message.id}
    with folder.joinpath("messages.mo").open("rb") as file:
        compiled = {message.id: message.string for message in read_mo(file) if message.id}
    assert used == set(written)
    assert all(written.values())
    assert compiled == written, "run: pybabel compile -d appliance/panel/translations"
