"""The gallery with the answers that scripts ask for: fragments, a chat stream, a provider test."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

from tests.web import gallery, samples

FRAGMENTS = {
    "results": (
        "{% with find=make(s.NOTHING if q == 'nothing' else s.OUTCOME, given={'q': q}) %}"
        '{% include "fragments/results.html" %}{% endwith %}'
    ),
    "panel": '{% with find=make() %}{% include "fragments/panel.html" %}{% endwith %}',
    "where": '{% with find=make() %}{% include "fragments/where.html" %}{% endwith %}',
    "row": (
        '{% from "components/installs.html" import install_row %}'
        '{{ install_row(s.install(id, state=state, completed=2_000_000_000), "Built-in engine") }}'
    ),
    "status": (
        '{% from "components/frame.html" import status_strip, install_count %}'
        "{{ status_strip({}) }}{{ install_count({}) }}"
    ),
    "message": (
        '{% from "components/chat.html" import message %}'
        '{{ message(s.MESSAGES[1].model_copy(update={"id": id}), "Harbour master") }}'
    ),
}


@dataclass
class Script:
    """What the server was asked, and what the stream says next; `go` lets the stream go on to its end."""

    asked: list[tuple[str, str, str]] = field(default_factory=list)
    go: threading.Event = field(default_factory=threading.Event)
    happened: threading.Event = field(default_factory=threading.Event)
    event: bytes = b""
    chat_status: int = 200
    move_status: int = 200


@contextmanager
def live() -> Iterator[tuple[str, Script]]:
    script = Script()

    class Live(gallery.Handler):
        def do_GET(self) -> None:
            url = urlsplit(self.path)
            query = {key: values[-1] for key, values in parse_qs(url.query).items()}
            if url.path == "/api/events":
                script.happened.wait(10)
                self._answer(200 if script.event else 204, script.event, "text/event-stream")
                script.event = b""
            elif "fragment" in query:
                script.asked.append(("GET", self.path, ""))
                self._fragment(query["fragment"], query)
            else:
                super().do_GET()

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"] or 0)).decode()
            script.asked.append(("POST", self.path, body))
            if self.path.endswith("/chat"):
                self._chat()
            elif self.path.startswith("/settings/llm"):
                self._answer(200, gallery.render("llm").encode(), "text/html; charset=utf-8")
            elif self.path.startswith("/api/"):
                if self.path.endswith("/stop"):
                    script.go.set()
                self._answer(204, b"", "text/plain")
            elif urlsplit(self.path).path.endswith("/move"):
                problem = '<div id="install-problem"><p class="notice">It has moved.</p></div>'
                html = f'<div id="install-sections"></div>{problem if script.move_status != 200 else ""}'
                self._answer(script.move_status, html.encode(), "text/html; charset=utf-8")
            else:
                self._fragment("row", {"id": "i1", "state": "paused"})

        def _fragment(self, name: str, query: dict[str, str]) -> None:
            values = {"q": "", "id": "", "state": "running", "revision": None, **query, "key": query.get("open")}
            values["make"] = samples.picking if "type" in query else samples.finding
            html = gallery.environment().from_string(FRAGMENTS[name]).render(s=samples, **values)
            self._answer(200, html.encode(), "text/html; charset=utf-8")

        def _chat(self) -> None:
            if script.chat_status != 200:
                problem = {"title": "It is busy", "detail": "It is still being answered.", "hint": "Wait a little."}
                self._answer(script.chat_status, json.dumps(problem).encode(), "application/problem+json")
                return
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.end_headers()
            self._say("start", {"conversation": "k9", "message": "m9"})
            self._say("reasoning", {"delta": "Thinking."})
            for part in ("The <b>tide</b> turns.\n``", "`py\nx = 1\n```", "\nDone"):
                self._say("text", {"delta": part})
            self._say("tool-call", {"id": "c1", "name": "write_note", "arguments": '{"a": 1}', "needsApproval": True})
            script.go.wait(10)
            self._say("tool-result", {"id": "c1", "ok": True, "content": "x"})
            self._say("end", {"state": "complete"})

        def _say(self, type: str, data: object) -> None:
            self.wfile.write(f": warm\n\nevent: {type}\nid: 1\ndata: {json.dumps(data)}\n\n".encode())
            self.wfile.flush()

    with gallery.served(Live) as origin:
        try:
            yield origin, script
        finally:
            script.go.set()
            script.happened.set()
