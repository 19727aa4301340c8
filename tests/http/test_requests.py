from __future__ import annotations

import logging
import socket
import threading
import time
from typing import Any

import pytest
from pydantic import SecretStr

from moorage.errors import AuthFailed, BadAnswer, Unreachable
from moorage.http import CallScope, HttpDoor
from tests.fakes.server import Exchange, FakeServer


def test_a_request_goes_out_as_it_was_meant(server: FakeServer, door: HttpDoor) -> None:
    server.route("POST", "/v1/x", lambda exchange: exchange.json(201, {"got": exchange.seen.json}))
    answer = door.client("provider").request(
        "POST",
        f"{server.url}/v1/x?a=1",
        params=[("filter", "gguf"), ("filter", "chat"), ("b", True)],
        headers={"X-Extra": "1"},
        json={"q": "für"},
        key=SecretStr("hf_secret"),
    )
    assert (answer.status, answer.json()) == (201, {"got": {"q": "für"}})
    assert answer.headers["CONTENT-TYPE"] == "application/json; charset=utf-8"
    seen = server.requests[0]
    assert seen.query == [("a", "1"), ("filter", "gguf"), ("filter", "chat"), ("b", "true")]
    assert seen.headers["authorization"] == "Bearer hf_secret"
    assert seen.headers["user-agent"] == "moorage/test"
    assert seen.headers["content-type"] == "application/json"
    assert seen.headers["x-extra"] == "1"


def test_an_escaped_path_stays_escaped(server: FakeServer, door: HttpDoor) -> None:
    door.client("provider").request("GET", f"{server.url}/api/models/a%2Fb/tree/refs%2Fpr%2F1")
    assert server.requests[0].target == "/api/models/a%2Fb/tree/refs%2Fpr%2F1"


def test_any_status_is_an_answer(server: FakeServer, door: HttpDoor) -> None:
    assert door.client("provider").request("GET", f"{server.url}/none").status == 404


def test_gets_share_a_connection_and_other_methods_do_not(server: FakeServer, door: HttpDoor) -> None:
    peers = []

    def note(exchange: Exchange) -> None:
        peers.append(exchange._handler.client_address[1])
        exchange.text(200, "ok")

    server.route("GET", "/", note)
    server.route("POST", "/", note)
    for method in ("GET", "GET", "POST", "GET"):
        door.client("provider").request(method, f"{server.url}/")
    assert peers[0] == peers[1] == peers[3] != peers[2]


def test_a_kept_connection_that_the_server_closed_is_replaced(server: FakeServer, door: HttpDoor) -> None:
    """The server closes just as the next request arrives: it is sent again, as nothing was answered."""
    calls = []

    def answer(exchange: Exchange) -> None:
        calls.append(exchange._handler.client_address[1])
        if len(calls) == 2:
            exchange.hang_up()
        else:
            exchange.text(200, "ok")

    server.route("GET", "/", answer)
    client = door.client("provider")
    assert [client.request("GET", f"{server.url}/").status for _ in range(2)] == [200, 200]
    assert len(calls) == 3
    assert calls[0] == calls[1] != calls[2]


def test_cookies_are_not_kept(server: FakeServer, door: HttpDoor) -> None:
    server.route("GET", "/", lambda exchange: exchange.text(200, "ok") or None)
    server.route("GET", "/set", lambda exchange: exchange.send(200, b"", "text/plain", {"Set-Cookie": "a=b; Path=/"}))
    client = door.client("provider")
    client.request("GET", f"{server.url}/set")
    client.request("GET", f"{server.url}/")
    assert "cookie" not in server.requests[1].headers


def test_the_environment_sets_no_proxy(server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    server.route("GET", "/", lambda exchange: exchange.text(200, "ok"))
    door = HttpDoor()
    assert door.client("provider").request("GET", f"{server.url}/").text == "ok"
    door.close()


def test_what_is_not_json_is_named(server: FakeServer, door: HttpDoor) -> None:
    server.route("GET", "/", lambda exchange: exchange.send(200, b"<html>", "text/html"))
    with pytest.raises(BadAnswer, match=r"not JSON \(text/html\)"):
        door.client("provider").request("GET", f"{server.url}/").json()


def test_a_key_that_cannot_be_sent_is_not_sent(server: FakeServer, door: HttpDoor) -> None:
    for key in ("hf_\nX-Evil: 1", "schlüssel", "two words"):
        with pytest.raises(AuthFailed) as raised:
            door.client("provider").request("GET", f"{server.url}/", key=SecretStr(key))
        assert key not in str(raised.value)
    assert server.requests == []


def test_nothing_answers(door: HttpDoor) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        with pytest.raises(Unreachable, match=f"Nothing answers at http://127.0.0.1:{port}"):
            door.client("provider").request("GET", f"http://127.0.0.1:{port}/")


def test_a_name_that_does_not_exist() -> None:
    def resolver(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    door = HttpDoor(resolver=resolver)
    with pytest.raises(Unreachable, match=r"nowhere\.example cannot be found"):
        door.client("provider").request("GET", "http://nowhere.example/")
    door.close()


def test_a_black_hole_beside_a_way_that_works(server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """RFC 8305: the silent address costs a quarter of a second, not the whole time limit."""
    server.route("GET", "/", lambda exchange: exchange.text(200, "ok"))
    with socket.socket() as full:  # its queue is full, so that further connections stay unanswered
        full.bind(("127.0.0.2", server.port))
        full.listen(0)
        waiting = [socket.socket() for _ in range(3)]
        for sock in waiting:
            sock.setblocking(False)
            sock.connect_ex(("127.0.0.2", server.port))
        addresses = ["127.0.0.2", "127.0.0.1"]
        door = HttpDoor(resolver=lambda host, port, **_: [(0, 0, 0, "", (each, port)) for each in addresses])
        started = time.monotonic()
        assert door.client("provider").request("GET", f"http://two.example:{server.port}/").text == "ok"
        assert 0.2 < time.monotonic() - started < 2
        for sock in waiting:
            sock.close()
        door.close()


def test_the_time_limit_holds_for_a_drip(server: FakeServer, door: HttpDoor) -> None:
    """A byte now and then defeats a limit on each read: the limit is on the whole."""

    def drip(exchange: Exchange) -> None:
        exchange.headers(200, {"Content-Length": "1000"})
        while not server.stopping.is_set():
            exchange.write(b"x")
            exchange.sleep(0.05)

    server.route("GET", "/", drip)
    started = time.monotonic()
    with pytest.raises(Unreachable, match=r"did not answer within 0\.4 s"):
        door.client("provider").request("GET", f"{server.url}/", timeout=0.4)
    with pytest.raises(Unreachable, match=r"did not answer within 0\.3 s"):
        door.client("provider", scope=CallScope(0.3)).request("GET", f"{server.url}/", timeout=60)
    assert time.monotonic() - started < 1.5


@pytest.mark.parametrize("length", [None, "100"])
def test_a_cut_body_is_not_an_answer(server: FakeServer, door: HttpDoor, length: str | None) -> None:
    def cut(exchange: Exchange) -> None:
        if length is None:
            exchange.stream([b'{"a":', b" 1}"], "application/json", end=False)
        else:
            exchange.headers(200, {"Content-Length": length})
            exchange.write(b'{"a": 1}')
            exchange.hang_up()

    server.route("GET", "/", cut)
    with pytest.raises(Unreachable, match="was cut"):
        door.client("provider").request("GET", f"{server.url}/")


def test_a_reset_and_an_empty_answer_are_cuts(server: FakeServer, door: HttpDoor) -> None:
    server.route("GET", "/reset", lambda exchange: exchange.reset())
    server.route("GET", "/empty", lambda exchange: exchange.hang_up())
    for path in ("/reset", "/empty"):
        with pytest.raises(Unreachable, match="was cut"):
            door.client("provider").request("GET", server.url + path)


def test_what_is_not_http_is_said_so(door: HttpDoor) -> None:
    listener = socket.create_server(("127.0.0.1", 0))

    def speak() -> None:
        sock, _ = listener.accept()
        sock.recv(1000)
        sock.sendall(b"SSH-2.0-OpenSSH_9.9\r\nhello\r\n\r\n")
        sock.recv(1000)
        sock.close()

    thread = threading.Thread(target=speak)
    thread.start()
    with pytest.raises(BadAnswer, match="does not speak HTTP"):
        door.client("provider").request("GET", f"http://127.0.0.1:{listener.getsockname()[1]}/")
    thread.join()
    listener.close()


def test_endless_headers_are_refused(server: FakeServer, door: HttpDoor) -> None:
    server.route("GET", "/", lambda exchange: exchange.send(200, b"", "text/plain", {"X-Long": "a" * 200_000}))
    with pytest.raises(BadAnswer):
        door.client("provider").request("GET", f"{server.url}/")


def test_the_log_has_no_query_and_no_key(server: FakeServer, door: HttpDoor, caplog: pytest.LogCaptureFixture) -> None:
    server.route("GET", "/signed", lambda exchange: exchange.text(200, "ok"))
    with caplog.at_level(logging.DEBUG):
        door.client("provider").request(
            "GET", f"{server.url}/signed?Signature=s3cret", headers={"X-Api-Key": "k3y"}, key=SecretStr("hf_s3cret")
        )
    lines = [record.getMessage() for record in caplog.records if record.name == "moorage.http"]
    assert len(lines) == 1
    assert lines[0].startswith(f"GET {server.url}/signed 200 ")
    assert "s3cret" not in caplog.text
    assert "k3y" not in caplog.text
    assert {record.name for record in caplog.records} == {"moorage.http"}
