"""The outermost layer: which names we answer to, and the headers that every answer carries.

A page of any site can make a browser send requests to this port (also under a name of its own that it lets point to
127.0.0.1), so the Host header is checked before anything else looks at a request.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from moorage_web.problems import Problem, body_for

WSGI = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
HEADERS = (
    (
        "Content-Security-Policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "font-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    ),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
)
STRANGER = Problem(
    403,
    "unknown-host",
    "Forbidden",
    "This server does not answer to that name.",
    "Use the address that Moorage printed when it started, or name the host in MOORAGE_ALLOWED_HOSTS.",
)


class OwnNames:
    """The exact values that Host and Origin may have: everything else is somebody else's."""

    def __init__(self, port: int, extra: Iterable[str]) -> None:
        hosts = {f"{name}:{port}" for name in LOOPBACK}
        if port == 80:
            hosts.update(LOOPBACK)
        self.origins = frozenset(f"http://{host}" for host in hosts)
        for name in extra:
            # Behind a proxy the port may be the proxy's, which is then left out by browsers.
            hosts.update((name, f"{name}:{port}"))
            self.origins |= {f"{scheme}://{host}" for scheme in ("http", "https") for host in (name, f"{name}:{port}")}
        self.hosts = frozenset(hosts)


class HostGuard:
    """Wraps the application: a foreign Host gets 403 and never reaches it."""

    def __init__(self, app: WSGI, names: OwnNames) -> None:
        self._app = app
        self._names = names

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        def start(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
            return start_response(status, [*headers, *HEADERS], *rest)

        if environ.get("HTTP_HOST", "").lower() in self._names.hosts:
            return self._app(environ, start)
        body, content_type = body_for(STRANGER, environ.get("PATH_INFO", ""))
        sent = [("Content-Type", content_type), ("Content-Length", str(len(body))), ("Cache-Control", "no-store")]
        start("403 FORBIDDEN", sent)
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]
