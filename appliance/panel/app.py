"""The panel's Flask application: pages for people, the same actions as JSON for its script."""

import base64
import ipaddress
import secrets
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from flask import Flask, Response, abort, jsonify, redirect, render_template, request, session, url_for
from flask_babel import Babel, gettext
from flask_wtf.csrf import CSRFError, CSRFProtect
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response as BaseResponse

from appliance.control.words import said
from appliance.errors import ControlError

from .password import OneTimePassword, TooManyTriesError
from .unit_line import Ask

LANGUAGES = ("vi", "en")
_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; "
    "form-action 'self'; object-src 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
_OPEN = ("login", "static", "language")
# The engine is not there to answer; soon it may be.
_AWAY = ("not-running", "gone", "no-answer", "busy")


@dataclass(frozen=True, slots=True)
class PanelOptions:
    """`meetings`: (id, name) of those that may be joined; `hosts`: names besides addresses it may be called by."""

    unit_name: str
    language: str = "vi"
    meetings: tuple[tuple[str, str], ...] = ()
    hosts: tuple[str, ...] = field(default_factory=lambda: own_names(socket.gethostname()))


def own_names(name: str) -> tuple[str, ...]:
    """What a machine of this name is called: by itself, by its domain, and over mDNS (RFC 6762)."""
    return ("localhost", name, f"{name.partition('.')[0]}.local")


def make_app(options: PanelOptions, ask: Ask, password: OneTimePassword) -> Flask:
    """`ask(do, **arguments)` asks the engine and raises ControlError."""
    app = Flask(__name__)
    app.config.update(
        SECRET_KEY=secrets.token_bytes(32),
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Strict",
        SESSION_COOKIE_NAME="bridgepoint",
        PERMANENT_SESSION_LIFETIME=timedelta(hours=8),
        MAX_CONTENT_LENGTH=16 * 1024,
        WTF_CSRF_TIME_LIMIT=None,
        WTF_CSRF_SSL_STRICT=False,
        BABEL_DEFAULT_LOCALE="en",
    )
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    CSRFProtect(app)

    def language() -> str:
        chosen = request.cookies.get("language")
        return chosen if chosen in LANGUAGES else options.language

    Babel(app, locale_selector=language)

    @app.context_processor
    def common() -> dict[str, Any]:
        return {"lang": language(), "unit_name": options.unit_name, "meetings": options.meetings}

    @app.before_request
    def guard() -> BaseResponse | None:
        if not _is_ours(request.host, options.hosts):
            abort(400, gettext("This address does not belong to the unit."))
        if request.endpoint in _OPEN or session.get("signed_in"):
            return None
        if request.path.startswith("/api/"):
            abort(401, gettext("Sign in first."))
        return redirect(url_for("login"))

    @app.after_request
    def harden(response: Response) -> Response:
        response.headers.extend(_HEADERS)
        return response

    _add_errors(app, language)
    _add_pages(app, options, ask, password)
    _add_api(app, ask)
    return app


def _is_ours(host: str, names: tuple[str, ...]) -> bool:
    """Whether the Host header names this unit: a page elsewhere must not reach it through a name of its own."""
    name = host.rpartition(":")[0] if host.count(":") == 1 or (host.startswith("[") and "]:" in host) else host
    name = name.strip("[]").lower()
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return name in {known.lower() for known in names}
    return True


def _add_errors(app: Flask, language: Callable[[], str]) -> None:
    @app.errorhandler(CSRFError)
    def forged(error: CSRFError) -> tuple[str | Response, int]:
        return _said(gettext("This form is too old. Load the page again."), 400)

    @app.errorhandler(HTTPException)
    def refused(error: HTTPException) -> tuple[str | Response, int]:
        return _said(_reason(error), error.code or 500)

    @app.errorhandler(ControlError)
    def not_done(error: ControlError) -> tuple[str | Response, int]:
        return _said(said(error)[LANGUAGES.index(language())], 503 if error.code in _AWAY else 409)


def _reason(error: HTTPException) -> str:
    """Our own words where we refused; else the status in words, for the library's are English."""
    if error.description and error.description != type(error).description:
        return error.description
    match error.code:
        case 404:
            reason = gettext("There is no such page.")
        case 405:
            reason = gettext("This page cannot be used like that. Go back and use its buttons.")
        case 413:
            reason = gettext("That is too much text.")
        case _:
            reason = gettext("The panel ran into an error. Try again.")
    return str(reason)


def _said(message: str, status: int) -> tuple[str | Response, int]:
    if request.path.startswith("/api/"):
        return jsonify(error=message), status
    # A page that was asked for while the engine is away comes by itself when it is back.
    again_s = 5 if status == 503 and request.method == "GET" else None
    return render_template("message.html", message=message, again_s=again_s), status


def _add_pages(app: Flask, options: PanelOptions, ask: Ask, password: OneTimePassword) -> None:
    @app.route("/login", methods=["GET", "POST"])
    def login() -> BaseResponse | tuple[str, int] | tuple[str, int, dict[str, str]] | str:
        if request.method == "GET":
            return render_template("login.html")
        try:
            if password.use(request.form.get("password", "")):
                session.clear()
                session["signed_in"] = session.permanent = True
                return redirect(url_for("home"))
        except TooManyTriesError as error:
            seconds = max(1, round(error.retry_after_s))
            text = gettext("Too many wrong passwords. Wait %(seconds)s seconds.", seconds=seconds)
            return render_template("login.html", error=text), 429, {"Retry-After": str(seconds)}
        text = gettext("Wrong password. The right one stands in the unit's start message; each works once.")
        return render_template("login.html", error=text), 403

    @app.post("/logout")
    def logout() -> BaseResponse:
        session.clear()
        return redirect(url_for("login"))

    @app.post("/language/<code>")
    def language(code: str) -> BaseResponse:
        if code not in LANGUAGES:
            abort(404)
        response = redirect(url_for("home"))
        response.set_cookie("language", code, max_age=31_536_000, httponly=True, samesite="Strict")
        return response

    @app.get("/")
    def home() -> str:
        return render_template("home.html", state=ask("status"))

    @app.post("/do/<what>")
    def do(what: str) -> BaseResponse:
        _act(ask, what, request.form)
        return redirect(url_for("home"))


def _add_api(app: Flask, ask: Ask) -> None:
    @app.get("/api/state")
    def state() -> Response:
        return jsonify(ask("status"))

    @app.post("/api/<what>")
    def act(what: str) -> Response:
        return jsonify(_act(ask, what, request.form))

    @app.get("/api/snapshot.jpg")
    def snapshot() -> Response:
        picture = ask("snapshot")
        try:
            content = base64.b64decode(picture["jpeg"], validate=True)
        except (TypeError, KeyError, ValueError):
            raise ControlError("the unit gave no picture", code="not-ready") from None
        return Response(content, mimetype="image/jpeg")


def _act(ask: Ask, what: str, form: Any) -> Any:
    """One of the actions, with its arguments from a form."""
    switch = form.get("on")
    if what == "join":
        return ask("join", meeting=form.get("meeting") or None)
    if what == "leave":
        return ask("leave")
    if what in ("mute", "camera") and switch in ("0", "1"):
        return ask(what, on=switch == "1")
    return abort(404, gettext("There is no such action."))
