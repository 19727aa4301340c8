"""Requests that other sites, other machines and broken programs send: every route of the URL map is asked.

The rows A1 to A9, E3 and F1 of the reference on reliability, §1.3. Raw requests go over a real socket.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from werkzeug.routing import AnyConverter, Rule

from tests.conftest import candidate
from tests.host.scripted import Scripted
from tests.site import Site, site
from tests.web.api.conftest import PORT, Api
from tests.web.api.dock import Dock

SAFE = {"GET", "HEAD", "OPTIONS"}
SAMPLES = {
    "filename": "css/base.css",
    "plugin_id": "dock",
    "name": "dock",
    "model_id": "agent/x",
}
STRANGERS = ["evil.com", "127.0.0.1.evil.com", "localhost.evil.com", f"evil.com:{PORT}", "evil-localhost", "[::2]"]
ODD = [
    "localhost/health?x=",
    "localhost#",
    "a@localhost",
    f"a@localhost:{PORT}",
    "",
    "localhost",
    f"localhost:{PORT + 1}",
    f"localhost.:{PORT}",
    f"127.0.0.1:{PORT},evil.com",
    f"127.1:{PORT}",
    f"0.0.0.0:{PORT}",
    f"[::ffff:127.0.0.1]:{PORT}",
    f"localhost:0{PORT}",
    f" localhost:{PORT}",
    f"localhost:{PORT}\t",
    f"löcalhost:{PORT}".encode().decode("latin-1"),
]


def routes(api: Api) -> Iterator[tuple[str, str]]:
    """(method, address) of every route, with something in place of its parameters."""
    for rule in api.app.url_map.iter_rules():
        values = {name: _sample(rule, name) for name in rule.arguments}
        built = rule.build(values)
        assert built is not None
        for method in sorted(rule.methods or ()):
            yield method, built[1]


def _sample(rule: Rule, name: str) -> str:
    converter = rule._converters[name]
    return min(converter.items) if isinstance(converter, AnyConverter) else SAMPLES.get(name, "x")


def changing(api: Api) -> list[tuple[str, str]]:
    found = [(method, path) for method, path in routes(api) if method not in SAFE]
    assert len(found) > 25
    return found


@pytest.fixture
def entered(api: Api, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The endpoints whose handler was entered."""
    names: list[str] = []
    for endpoint, view in list(api.app.view_functions.items()):

        def wrapped(*args: Any, _endpoint: str = endpoint, _view: Any = view, **kwargs: Any) -> Any:
            names.append(_endpoint)
            return _view(*args, **kwargs)

        monkeypatch.setitem(api.app.view_functions, endpoint, wrapped)
    return names


def test_a1_a2_foreign_and_odd_hosts_get_nothing(api: Api, entered: list[str]) -> None:
    for method, path in routes(api):
        for name in (*STRANGERS, *ODD):
            response = api.call(method, path, headers={"Host": name})
            assert response.status_code == 403, (method, path, name)
            assert "Content-Security-Policy" in response.headers
    assert entered == []


def test_a3_our_names_get_in(api: Api) -> None:
    for name in (f"127.0.0.1:{PORT}", f"[::1]:{PORT}", f"localhost:{PORT}", f"LOCALHOST:{PORT}"):
        assert api.call("GET", "/healthz", headers={"Host": name}).status_code == 200


def test_a5_a6_other_sites_change_nothing(api: Api, entered: list[str]) -> None:
    sent = [{"Sec-Fetch-Site": site} for site in ("cross-site", "same-site", "", "Same-Site", "rubbish")]
    ours = f"http://127.0.0.1:{PORT}"
    sent += [
        {"Origin": origin}
        for origin in (
            "http://evil.com",
            "null",
            "",
            "http://localhost:1234",
            "http://localhost",
            f"https://localhost:{PORT}",
            f"{ours}.evil.com",
            f"{ours}/",
            f"{ours} http://evil.com",
        )
    ]
    sent.append({"Sec-Fetch-Site": "cross-site", "Origin": ours})
    for method, path in changing(api):
        for headers in sent:
            response = api.call(method, path, headers=headers, data=b"{}", content_type="application/json")
            assert response.status_code == 403, (method, path, headers)
    assert entered == []


def test_a6_our_own_pages_may(api: Api) -> None:
    for headers in (
        {"Sec-Fetch-Site": "same-origin"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": f"http://localhost:{PORT}"},
        {"Origin": f"http://127.0.0.1:{PORT}"},
        {},
    ):
        api.post("/api/tokens", {"name": "t"}, headers=headers)


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "", "text/json"]
)
def test_a7_json_under_another_name_is_refused(api: Api, entered: list[str], kind: str) -> None:
    for method, path in changing(api):
        if path.startswith(("/api/", "/v1/")):
            response = api.call(method, path, data=b'{"name":"x"}', content_type=kind)
            assert response.status_code == 415, (method, path)
    assert entered == []


def test_a8_no_cors_header_ever(api: Api) -> None:
    for method, path in routes(api):
        if "/events" in path or method not in SAFE:
            continue
        headers = {"Origin": "http://evil.com", "Access-Control-Request-Method": "PUT"}
        response = api.call(method, path, headers=headers)
        assert not [name for name, _ in response.headers if name.lower().startswith("access-control-")]


def test_a9_looking_changes_nothing(api: Api, scripted: Scripted, dock: Dock) -> None:
    api.post("/api/agents", {"name": "a", "llm": {"type": "scripted", "model": "m"}})

    def state() -> dict[str, bytes]:
        home: Path = api.host.settings.home
        return {str(path): path.read_bytes() for path in sorted(home.rglob("*.json")) if path.is_file()}

    before = state()
    for method, path in routes(api):
        if method in SAFE and "/events" not in path:
            api.call(method, path)
    assert state() == before
    assert scripted.requests == []
    assert dock.installed == []


def test_e3_headers_of_every_answer(api: Api) -> None:
    csp = (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "font-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )
    for method, path in routes(api):
        if method == "GET" and path != "/api/events":
            headers = api.call(method, path).headers
            assert headers["Content-Security-Policy"] == csp
            assert headers["X-Content-Type-Options"] == "nosniff"
            assert headers["Referrer-Policy"] == "no-referrer"
            assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
            assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
            if path.startswith(("/api/", "/v1/")):
                assert headers["Cache-Control"] == "no-store"


def test_static_files_may_be_kept_when_they_carry_a_version(api: Api) -> None:
    plain = api.call("GET", "/static/css/base.css")
    assert plain.headers["Cache-Control"] == "no-cache"
    with api.app.test_request_context(base_url="http://127.0.0.1:8642"):
        from flask import url_for

        address = url_for("static", filename="css/base.css")
    assert "immutable" in api.call("GET", address).headers["Cache-Control"]
    assert "immutable" not in api.call("GET", "/static/nothing.css?v=1").headers["Cache-Control"]
    for path in (
        "/static/../__init__.py",
        "/static/%2e%2e/__init__.py",
        "/static/..%2f__init__.py",
        "/static//etc/passwd",
    ):
        assert api.call("GET", path).status_code == 404


def test_forwarding_headers_decide_nothing(api: Api) -> None:
    forwarded = {"X-Forwarded-Host": f"127.0.0.1:{PORT}", "X-Forwarded-For": "127.0.0.1", "Forwarded": "host=localhost"}
    assert api.call("GET", "/healthz", headers={"Host": "evil.com", **forwarded}).status_code == 403
    evil = {"X-Forwarded-Host": "evil.com", "X-Forwarded-Proto": "https"}
    assert api.call("GET", "/healthz", headers=evil).status_code == 200


# -- over a real socket -----------------------------------------------------------------------------------------


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Site]:
    with site(tmp_path, discover=lambda: [candidate("scripted", Scripted())]) as served:
        yield served


def raw(served: Site, request: bytes) -> tuple[int, bytes]:
    """Send bytes, and read the whole answer; status 0 where the connection was cut instead."""
    with closing(socket.create_connection(("127.0.0.1", served.port), 10)) as connection:
        with suppress(OSError):  # it may answer, and close, before it has everything
            connection.sendall(request)
        answer = b""
        with suppress(ConnectionResetError):
            while chunk := connection.recv(65536):
                answer += chunk
    return (int(answer.split(b" ", 2)[1]), answer) if answer.startswith(b"HTTP/1.") else (0, answer)


def test_a2_on_the_wire(running: Site) -> None:
    ours = f"127.0.0.1:{running.port}".encode()
    end = b"Connection: close\r\n\r\n"
    assert raw(running, b"GET /healthz HTTP/1.1\r\nHost: " + ours + b"\r\n" + end)[0] == 200
    for request in (
        b"GET /api/agents HTTP/1.1\r\nHost: " + ours + b"\r\nHost: evil.com\r\n" + end,
        b"GET /api/agents HTTP/1.1\r\nHost: evil.com\r\nHost: " + ours + b"\r\n" + end,
        b"GET /api/agents HTTP/1.1\r\nHost: " + ours + b"\r\nHost: " + ours + b"\r\n" + end,
        b"GET http://evil.com/api/agents HTTP/1.1\r\nHost: " + ours + b"\r\n" + end,
        b"GET http://" + ours + b"/api/agents HTTP/1.1\r\nHost: evil.com\r\n" + end,
        b"GET /api/agents HTTP/1.1\r\n" + end,
        b"GET /api/agents HTTP/1.1\r\nHost:\r\n" + end,
        b"GET /api/agents HTTP/1.1\r\nHost: evil.com\r\n" + end,
        b"GET /api/agents HTTP/1.1\r\nHost: a@" + ours + b"\r\n" + end,
        b"GET /api/agents HTTP/1.0\r\n\r\n",
    ):
        status, answer = raw(running, request)
        assert status in (400, 403), (request, answer)
        assert b'"agents"' not in answer


def test_f1_large_things_are_refused_and_others_are_served(running: Site) -> None:
    ours = f"127.0.0.1:{running.port}".encode()
    head = b"POST /api/agents HTTP/1.1\r\nHost: " + ours + b"\r\nContent-Type: application/json\r\n"
    assert raw(running, head + b"Content-Length: 1073741824\r\nConnection: close\r\n\r\n" + b"x" * 100)[0] == 413
    body = json.dumps({"name": "x" * 10_000_000}).encode()
    sized = head + b"Content-Length: %d\r\nConnection: close\r\n\r\n" % len(body)
    assert raw(running, sized + body)[0] in (0, 413)
    chunked = head + b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    pieces = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in [b"x" * 100_000] * 120)
    assert raw(running, chunked + pieces + b"0\r\n\r\n")[0] in (0, 413)
    many = b"".join(b"X-H%d: v\r\n" % number for number in range(10_000))
    assert raw(running, b"GET /healthz HTTP/1.1\r\nHost: " + ours + b"\r\n" + many + b"\r\n")[0] in (0, 400, 431)
    deep = b"[" * 100_000
    sized = head + b"Content-Length: %d\r\nConnection: close\r\n\r\n" % len(deep)
    assert raw(running, sized + deep)[0] == 400
    assert raw(running, b"GET /healthz HTTP/1.1\r\nHost: " + ours + b"\r\nConnection: close\r\n\r\n")[0] == 200


def test_too_large_is_a_problem_too(running: Site) -> None:
    ours = f"127.0.0.1:{running.port}".encode()
    for path, kind in ((b"/api/agents", b"application/problem+json"), (b"/v1/chat/completions", b"application/json")):
        request = b"POST " + path + b" HTTP/1.1\r\nHost: " + ours + b"\r\nContent-Type: application/json\r\n"
        status, answer = raw(running, request + b"Content-Length: 1073741824\r\nConnection: close\r\n\r\n")
        assert status == 413
        assert b"content-type: " + kind in answer.lower()
        assert b"content-security-policy" in answer.lower()
