"""The web application: pages for people, an API for programs. `create_app(host, port=…)` is all that others call."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from flask import Flask, Response, render_template, send_from_directory
from werkzeug.routing import BaseConverter

from moorage.host import Host
from moorage_web import api, auth, pages, problems, security
from moorage_web.codec import OrjsonProvider
from moorage_web.current import EXTENSION
from moorage_web.hosts import HostGuard, OwnNames

__all__ = ["create_app"]


class IdConverter(BaseConverter):
    """An id or a plugin's name in an address; anything else is not found."""

    regex = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}"


def create_app(host: Host, *, port: int) -> Flask:
    """The WSGI application that shows `host`; `port` is the one it is called by, and so part of its names."""
    app = Flask("moorage_web")
    app.json = OrjsonProvider(app)
    app.extensions[EXTENSION] = host
    app.config["MAX_FORM_MEMORY_SIZE"] = 1024 * 1024
    app.url_map.converters["id"] = IdConverter
    app.url_map.merge_slashes = False  # merging answers with a redirect made from the Host header
    names = OwnNames(port, host.settings.extra_hosts)
    security.install(app, names)
    auth.install(app, port)
    problems.install(app, _problem_page)
    _add_static(app)
    for blueprint in (*api.blueprints(), *pages.blueprints()):
        app.register_blueprint(blueprint)
    pages.prepare(app)
    app.wsgi_app = HostGuard(app.wsgi_app, names)  # type: ignore[method-assign]  # Flask documents this way
    return app


def _add_static(app: Flask) -> None:
    """Addresses of static files carry a version, so that a browser may keep them for good."""
    folder = Path(app.static_folder or "")
    newest = max((path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()), default=0)

    @app.url_defaults
    def versioned(endpoint: str, values: dict[str, Any]) -> None:
        if endpoint == "static":
            values.setdefault("v", f"{newest:x}")

    @app.get("/favicon.ico")
    def favicon() -> Response:
        return send_from_directory(folder, "favicon.svg", mimetype="image/svg+xml", max_age=86400)


def _problem_page(problem: problems.Problem) -> Response:
    return Response(
        render_template("pages/error.html", active="", title=problem.title, detail=problem.detail, hint=problem.hint)
    )
