"""What is asked of every request that got in: it comes from us, and its body is small and of the right kind.

The rule for changing requests is the one of Go's CrossOriginProtection (https://go.dev/issue/73626), with `same-site`
refused: another port of this machine is the same site and somebody else's page.
"""

from __future__ import annotations

from flask import Flask, Response, current_app, request

from moorage_web.hosts import OwnNames
from moorage_web.operations import MEGABYTE, Operation
from moorage_web.problems import for_programs, refuse

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


def install(app: Flask, names: OwnNames) -> None:
    @app.before_request
    def from_us() -> None:
        if request.method in SAFE:
            return
        site = request.headers.get("Sec-Fetch-Site")
        if site is not None:
            if site.lower() in ("same-origin", "none"):
                return
        else:
            origin = request.headers.get("Origin")
            if origin is None or origin.lower() in names.origins:
                return
        raise refuse(403, "cross-origin", "This request comes from the page of another site.")

    @app.before_request
    def small_and_json() -> None:
        length = request.content_length or 0
        if length > _limit():
            raise refuse(413, "body-too-large", f"A body may have up to {_limit() // MEGABYTE} MB here.")
        if not length:
            return
        if request.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise refuse(415, "encoded-body", "Compressed bodies are not taken.", hint="Send it as it is.")
        if for_programs(request.path) and request.mimetype != "application/json":
            raise refuse(415, "not-json", "A body must be JSON.", hint="Send Content-Type: application/json.")

    @app.after_request
    def kept_by_nobody(response: Response) -> Response:
        if request.endpoint == "static":
            versioned = "v" in request.args and response.status_code in (200, 304)
            response.headers["Cache-Control"] = "public, max-age=31536000, immutable" if versioned else "no-cache"
        elif for_programs(request.path):
            response.headers["Cache-Control"] = "no-store"
        else:
            response.headers.setdefault("Cache-Control", "no-cache, private")
        return response


def _limit() -> int:
    view = current_app.view_functions.get(request.endpoint or "")
    return view.body_limit if isinstance(view, Operation) else MEGABYTE
