"""A page per subject with one of every block on it, from made-up objects; and a server to look at them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from urllib.parse import parse_qs, urlsplit
from zoneinfo import ZoneInfo

from jinja2 import Environment, FileSystemLoader, StrictUndefined

import moorage_web
from moorage_web import forms
from moorage_web.pages.neighbours import neighbours
from moorage_web.pages.night import night_of
from moorage_web.templating import prepare
from tests.web import samples

WEB = Path(moorage_web.__file__).parent
PARTS = ("models", "llm", "installs", "agents", "plugins", "chat")
SCRIPTS = {"models": ("search",), "llm": ("form", "search"), "installs": ("installs",), "chat": ("chat",)}
CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


def environment() -> Environment:
    loader = FileSystemLoader([WEB / "templates", Path(__file__).parent])
    made = Environment(loader=loader, autoescape=True, undefined=StrictUndefined)
    prepare(made, now=lambda: samples.NOW, zone=lambda: ZoneInfo("Europe/Berlin"))
    return made


def render(part: str, theme: str = "system", given: ModuleType = samples) -> str:
    fields = forms.fields(given.TYPE.schema_, given.PROVIDER.config, search_source="huggingface")
    status = {"installs": given.INSTALLS[:1], "attention": 1}
    night = night_of(given.INSTALLS, samples.QUIET, ZoneInfo("Europe/Berlin"), samples.NOW)
    return (
        environment()
        .get_template("gallery.html")
        .render(
            part=part,
            theme=theme,
            active=part,
            status=status,
            s=given,
            fields=fields,
            scripts=SCRIPTS.get(part, ()),
            places=neighbours([item for item in given.INSTALLS if item.state == "queued" or item.rests]),
            records={item.model_name: item for item in given.INSTALLS if item.model_name},
            night=night,
        )
    )


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        url = urlsplit(self.path)
        query = {key: values[-1] for key, values in parse_qs(url.query).items()}
        if url.path.startswith("/static/"):
            path = WEB / url.path.lstrip("/")
            found = path.is_file()
            self._answer(
                200 if found else 404, path.read_bytes() if found else b"", TYPES.get(path.suffix, "text/plain")
            )
        elif url.path.lstrip("/") in PARTS:
            html = render(url.path.lstrip("/"), query.get("theme", "system"))
            self._answer(200, html.encode(), "text/html; charset=utf-8")
        else:
            self._answer(204 if url.path == "/api/events" else 404, b"", "text/plain")

    def _answer(self, status: int, body: bytes, type: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", type)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Security-Policy", CSP)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Quiet: the tests read answers, not logs."""


@contextmanager
def served(handler: type[BaseHTTPRequestHandler] = Handler) -> Iterator[str]:
    """The gallery on loopback; gives its origin."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
