"""The HTTP server under the application: real sockets, odd requests, clients that leave."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from moorage.server import BODY_LIMIT, AddressInUse, Server, free_port

Start = Callable[..., Any]


class App:
    """Answers with what it was asked, or streams; `closed` is set when a streamed response was closed."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.closed = threading.Event()
        self.seen: list[dict[str, Any]] = []

    def __call__(self, environ: dict[str, Any], start: Start) -> Any:
        self.seen.append(environ)
        path = environ["PATH_INFO"]
        if path == "/boom":
            raise RuntimeError("boom")
        start("200 OK", [("Content-Type", "text/plain")])
        if path == "/stream":
            return self._stream()
        if path == "/slow":
            return self._slow(environ["moorage.client_left"])
        if path == "/numbers":
            return (b"%d\n" % number for number in range(20_000))
        return [environ["wsgi.input"].read() or path.encode("latin-1")]

    def _slow(self, left: Callable[[], bool]) -> list[bytes]:
        """One that works before it answers; `closed` is set when it has heard that nobody waits."""
        self.begun.set()
        until = time.monotonic() + 10
        while time.monotonic() < until and not left():
            time.sleep(0.02)
        if left():
            self.closed.set()
        return [b"done"]

    def _stream(self) -> Iterator[bytes]:
        try:
            while True:
                yield b": still here\n\n"
                time.sleep(0.2)
        finally:
            self.closed.set()


@contextmanager
def serving(app: Any) -> Iterator[int]:
    server = Server(app, "127.0.0.1", free_port("127.0.0.1"))
    ready = threading.Event()
    thread = threading.Thread(target=server.run, args=(ready.set,), daemon=True)
    thread.start()
    assert ready.wait(10)
    try:
        yield server.port
    finally:
        server.stop()
        thread.join(10)
        assert not thread.is_alive()


def exchange(port: int, request: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), 5) as sock:
        sock.settimeout(10)
        sock.sendall(request)
        answer = b""
        while chunk := sock.recv(65536):
            answer += chunk
    return answer


def get(port: int, target: str, *headers: str) -> bytes:
    lines = [f"GET {target} HTTP/1.1", *(headers or ("Host: x",)), "Connection: close", "", ""]
    return exchange(port, "\r\n".join(lines).encode())


def test_requests_and_bodies() -> None:
    app = App()
    with serving(app) as port:
        assert get(port, "/caf%C3%A9?q=a%20b").endswith("/café".encode())
        assert app.seen[-1]["QUERY_STRING"] == "q=a%20b"
        body = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello"
        assert exchange(port, body).endswith(b"\r\n\r\nhello")
        chunked = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
        assert exchange(port, chunked + b"3\r\nabc\r\n0\r\n\r\n").endswith(b"\r\n\r\nabc")


def test_a_request_that_names_two_hosts() -> None:
    app = App()
    with serving(app) as port:
        assert b" 403 " in get(port, "http://evil.example/x", "Host: x").split(b"\r\n", 1)[0]
        assert app.seen == []
        get(port, "/x", "Host: a", "Host: b")
        assert app.seen[-1]["HTTP_HOST"] == "a,b", "a name that nobody has"


def test_a_body_that_is_too_large_is_not_read_and_the_application_says_so() -> None:
    app = App()
    with serving(app) as port:
        head = f"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {BODY_LIMIT + 1}\r\nConnection: close\r\n\r\n"
        exchange(port, head.encode())
        assert app.seen[-1]["CONTENT_LENGTH"] == str(BODY_LIMIT + 1)
        assert app.seen[-1]["wsgi.input"].read() == b""


@pytest.mark.parametrize("length", ["99999999999999999999", "-1", "x"])
def test_a_length_that_is_none_is_refused(length: str) -> None:
    app = App()
    with serving(app) as port:
        head = f"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
        status = exchange(port, head.encode()).split(b"\r\n", 1)[0]
        assert b" 400" in status
        assert app.seen == []


def test_a_stream_is_whole_and_in_order() -> None:
    with serving(App()) as port:
        answer = get(port, "/numbers")
    numbers = [int(line) for line in answer.split(b"\r\n\r\n", 1)[1].split(b"\n") if line.isdigit()]
    assert numbers == list(range(20_000))


def test_a_client_that_leaves_closes_the_response() -> None:
    app = App()
    with serving(app) as port:
        sock = socket.create_connection(("127.0.0.1", port), 5)
        sock.sendall(b"GET /stream HTTP/1.1\r\nHost: x\r\n\r\n")
        assert sock.recv(100)
        sock.close()
        assert app.closed.wait(3)


def test_the_application_hears_of_a_client_that_leaves_before_the_answer() -> None:
    app = App()
    with serving(app) as port:
        sock = socket.create_connection(("127.0.0.1", port), 5)
        sock.sendall(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
        assert app.begun.wait(3)
        sock.close()
        assert app.closed.wait(3)
        assert get(port, "/quick").endswith(b"/quick")


def test_an_application_that_fails_outright() -> None:
    with serving(App()) as port:
        answer = get(port, "/boom")
        assert b" 500 " in answer.split(b"\r\n", 1)[0]
        assert b"boom" not in answer


def test_a_port_that_is_taken() -> None:
    with serving(App()) as port, pytest.raises(AddressInUse, match=str(port)):
        Server(App(), "127.0.0.1", port).run()


def test_many_slow_readers_do_not_hold_up_the_others() -> None:
    with serving(App()) as port:
        held = [socket.create_connection(("127.0.0.1", port), 5) for _ in range(60)]
        for sock in held:
            sock.sendall(b"GET /stream HTTP/1.1\r\nHost: x\r\n\r\n")
        started = time.monotonic()
        assert get(port, "/quick").endswith(b"/quick")
        assert time.monotonic() - started < 5
        for sock in held:
            sock.close()
