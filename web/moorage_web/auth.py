"""The door of a server that has a password. Closed by default: a route is open only where it is named here."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from flask import Blueprint, Flask, Response, current_app, redirect, render_template, request
from flask.typing import ResponseReturnValue
from werkzeug.wrappers import Response as AnyResponse

from moorage.errors import RateLimited
from moorage_web.current import host
from moorage_web.problems import for_programs, problem_of, refuse

# By endpoint and never by path: paths have many spellings. tests/data/open_routes.txt says what these are.
OPEN = frozenset({"static", "favicon", "api_health.healthz", "auth.login", "auth.sign_in"})
pages = Blueprint("auth", __name__)


def install(app: Flask, port: int) -> None:
    app.config["SESSION_COOKIE_NAME"] = f"moorage_{port}"  # cookies do not keep ports apart
    app.register_blueprint(pages)

    @app.context_processor
    def frame() -> dict[str, Any]:
        return {"has_password": host().access.required}

    @app.before_request
    def known() -> AnyResponse | None:
        if not host().access.required or request.endpoint in OPEN or _has_session() or _has_token():
            return None
        if for_programs(request.path):
            raise refuse(
                401,
                "sign-in",
                "This server asks for a token.",
                hint="Send Authorization: Bearer with a token of this server.",
                WWW_Authenticate="Bearer",
            )
        return redirect("/login" if request.path == "/" else f"/login?next={_quoted(request.full_path.rstrip('?'))}")


@pages.get("/login")
def login() -> ResponseReturnValue:
    """The form that takes the password."""
    if not host().access.required or _has_session():
        return redirect(_next())
    return render_template("login.html", next=_next(), error=None)


@pages.post("/login")
def sign_in() -> ResponseReturnValue:
    """Take the password, and answer with a session."""
    try:
        session = host().access.sign_in(request.form.get("password", ""), request.remote_addr or "")
    except RateLimited as error:
        problem = problem_of(error)
        text = f"{error} {error.hint}"
        return render_template("login.html", next=_next(), error=text), problem.status, problem.headers
    if session is None:
        return render_template("login.html", next=_next(), error="This is not the password."), 401
    response = redirect(_next(), 303)
    response.set_cookie(_cookie(), session, max_age=30 * 24 * 3600, httponly=True, samesite="Strict", path="/")
    return response


@pages.post("/logout")
def sign_out() -> Response:
    """End this browser's session, also for whoever copied its cookie."""
    host().access.sign_out(request.cookies.get(_cookie(), ""))
    response = Response(status=303, headers={"Location": "/login"})
    response.delete_cookie(_cookie(), httponly=True, samesite="Strict", path="/")
    return response


def _cookie() -> str:
    return str(current_app.config["SESSION_COOKIE_NAME"])


def _has_session() -> bool:
    return host().access.is_session(request.cookies.get(_cookie(), ""))


def _has_token() -> bool:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return scheme.lower() == "bearer" and host().access.is_token(token.strip())


def _next() -> str:
    """Where to go after signing in: a path of ours. `//host` and `/\\host` are addresses of others to a browser."""
    wanted = request.values.get("next", "/")
    ours = wanted.startswith("/") and not wanted.startswith(("//", "/\\")) and wanted.isprintable()
    return wanted if ours else "/"


def _quoted(path: str) -> str:
    return quote(path, safe="/")
