"""A real HTTP/1.1 server on loopback with full control of the bytes, so that a fake can be as unkind as a real service.

A fake is a subclass of `FakeServer`: it registers handlers with `route`, keeps its state as attributes, and logs every
request in `requests`. Handlers answer through `Exchange`, which can send odd chunks, lie about lengths, stall or reset.
"""

from __future__ import annotations

import contextlib
import json
import re
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qsl, unquote, urlsplit


@dataclass
class Seen:
    """One request as it arrived; `closed_at` (monotonic seconds) is set when the client left too early.

    `ended_at` is when its answer had been sent, or given up.
    """

    method: str
    path: str
    query: list[tuple[str, str]]
    headers: dict[str, str]  # keys in lower case
    body: bytes
    at: float = field(default_factory=time.monotonic)
    closed_at: float | None = None
    ended_at: float | None = None
    target: str = ""  # as sent, still percent-encoded: `path` alone cannot tell `a%2Fb` from `a/b`

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    def params(self, name: str) -> list[str]:
        return [value for key, value in self.query if key in (name, f"{name}[]")]

    def param(self, name: str, default: str | None = None) -> str | None:
        values = self.params(name)
        return values[-1] if values else default


class ClientGone(Exception):
    """The client closed the connection while we were answering."""


class Exchange:
    """One request and the means to answer it, well or badly."""

    def __init__(self, handler: BaseHTTPRequestHandler, seen: Seen, match: re.Match[str], server: FakeServer) -> None:
        self._handler = handler
        self.seen = seen
        self.match = match
        self.server = server

    def headers(self, status: int, headers: dict[str, str] | None = None) -> None:
        """Send the status line and exactly these headers (plus Date)."""
        self._handler.send_response_only(status)
        for name, value in (headers or {}).items():
            self._handler.send_header(name, value)
        with self._client_may_leave():
            self._handler.end_headers()

    def write(self, data: bytes) -> None:
        """Send raw body bytes at once."""
        with self._client_may_leave():
            self._handler.wfile.write(data)
            self._handler.wfile.flush()

    def send(self, status: int, body: bytes, content_type: str, headers: dict[str, str] | None = None) -> None:
        self.headers(status, {"Content-Type": content_type, "Content-Length": str(len(body)), **(headers or {})})
        if self.seen.method != "HEAD":
            self.write(body)

    def json(self, status: int, value: Any, headers: dict[str, str] | None = None) -> None:
        self.send(status, json.dumps(value).encode(), "application/json; charset=utf-8", headers)

    def text(self, status: int, value: str, headers: dict[str, str] | None = None) -> None:
        self.send(status, value.encode(), "text/plain; charset=utf-8", headers)

    def redirect(self, status: int, location: str, headers: dict[str, str] | None = None) -> None:
        self.send(
            status,
            f"Temporary Redirect. Redirecting to {location}".encode(),
            "text/plain",
            {"Location": location, **(headers or {})},
        )

    def stream(
        self, pieces: Iterable[bytes], content_type: str, *, odd: bool = True, end: bool = True, status: int = 200,
        headers: dict[str, str] | None = None,
    ) -> None:  # fmt: skip
        """Send `pieces` with chunked encoding; `odd` cuts them at awkward places, `end=False` omits the last chunk."""
        self.headers(status, {"Content-Type": content_type, "Transfer-Encoding": "chunked", **(headers or {})})
        for piece in pieces:
            self.check()
            cut = min(7, len(piece) - 1) if odd and len(piece) > 1 else len(piece)
            for part in (piece[:cut], piece[cut:]):
                if part:
                    self.write(b"%x\r\n%s\r\n" % (len(part), part))
        if end:
            self.write(b"0\r\n\r\n")
        else:
            self.hang_up()

    def check(self) -> None:
        """Raise ClientGone when the client has closed its side."""
        sock = self._handler.connection
        with contextlib.suppress(BlockingIOError):
            try:
                if sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b"":
                    self._gone()
            except ConnectionError:
                self._gone()

    def sleep(self, seconds: float) -> None:
        """Stall, noticing within 20 ms a client that leaves or a server that stops."""
        until = time.monotonic() + seconds
        while time.monotonic() < until and not self.server.stopping.is_set():
            self.check()
            time.sleep(min(0.02, max(0.0, until - time.monotonic())))

    def hang_up(self) -> None:
        """Close the connection after what was sent."""
        self._handler.close_connection = True
        with contextlib.suppress(OSError):
            self._handler.connection.shutdown(socket.SHUT_RDWR)

    def reset(self) -> None:
        """Reset the connection (RST instead of FIN)."""
        self._handler.close_connection = True
        self._handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        with contextlib.suppress(OSError):
            self._handler.connection.close()

    def _gone(self) -> None:
        self.seen.closed_at = time.monotonic()
        raise ClientGone

    @contextlib.contextmanager
    def _client_may_leave(self) -> Any:
        try:
            yield
        except (ConnectionError, ValueError):
            self._gone()


Route = Callable[[Exchange], None]


class FakeServer:
    """Serves its routes on 127.0.0.1 from `start` (or `with`) until `stop`."""

    def __init__(self, port: int = 0) -> None:
        self._routes: list[tuple[str, re.Pattern[str], Route]] = []
        self.requests: list[Seen] = []
        self.stopping = threading.Event()
        self._port = port
        self._server: ThreadingHTTPServer | None = None
        self._thread: threading.Thread | None = None
        self._connections: dict[threading.Thread, socket.socket] = {}

    def route(self, method: str, pattern: str, handler: Route) -> None:
        """Register a handler for a method and a regular expression that the unquoted path must match; first wins."""
        self._routes.append((method, re.compile(pattern), handler))

    def not_found(self, exchange: Exchange) -> None:
        exchange.text(404, "404 page not found")

    def receive(self, seen: Seen, chunks: Iterator[bytes]) -> bytes:
        """Read the request's body and return what `Seen.body` is to keep of it; EOFError when the client left."""
        return b"".join(chunks)

    @property
    def port(self) -> int:
        assert self._server is not None, "the server is not started"
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def seen(self, method: str, path: str) -> list[Seen]:
        """Requests with this method whose path matches the regular expression."""
        return [r for r in list(self.requests) if r.method == method and re.fullmatch(path, r.path)]

    def start(self) -> Self:
        fake = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True  # else head and body in two writes can wait 40 ms for an ACK

            def setup(self) -> None:
                super().setup()
                fake._connections[threading.current_thread()] = self.connection

            def finish(self) -> None:
                super().finish()
                fake._connections.pop(threading.current_thread(), None)

            def answer(self) -> None:
                fake._answer(self)

            do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = answer

            def log_message(self, format: str, *args: object) -> None:
                return

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 1024

            def handle_error(self, request: Any, client_address: Any) -> None:
                import sys

                if not isinstance(sys.exc_info()[1], ConnectionError | ClientGone | ValueError):
                    super().handle_error(request, client_address)

        self._server = Server(("127.0.0.1", self._port), Handler)
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.02,), daemon=True, name=type(self).__name__
        )
        self._thread.start()
        return self

    def stop(self) -> None:
        self.stopping.set()
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()
        # Kept-alive connections would hold their threads until the clients leave.
        for thread, connection in list(self._connections.items()):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            thread.join(timeout=2.0)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        parts = urlsplit(handler.path)
        seen = Seen(
            handler.command,
            unquote(parts.path),
            parse_qsl(parts.query, keep_blank_values=True),
            {name.lower(): value for name, value in handler.headers.items()},
            b"",
            target=handler.path,
        )
        try:
            seen.body = self.receive(seen, _body(handler))
        except EOFError:
            seen.closed_at = time.monotonic()
            handler.close_connection = True
        self.requests.append(seen)
        if seen.closed_at:
            return
        for method, pattern, route in self._routes:
            match = pattern.fullmatch(seen.path)
            if match and method in (seen.method, "GET" if seen.method == "HEAD" else seen.method):
                try:
                    with contextlib.suppress(ClientGone):
                        route(Exchange(handler, seen, match, self))
                finally:
                    seen.ended_at = time.monotonic()
                if seen.closed_at:
                    handler.close_connection = True
                return
        self.not_found(Exchange(handler, seen, re.match("", "") or pattern.match(""), self))  # type: ignore[arg-type]


def _body(handler: BaseHTTPRequestHandler) -> Iterator[bytes]:
    """The body in pieces of at most 64 KiB, by Content-Length or chunked."""
    if "chunked" not in (handler.headers.get("Transfer-Encoding") or "").lower():
        yield from _read(handler, int(handler.headers.get("Content-Length") or 0))
        return
    while size := int(handler.rfile.readline().split(b";")[0].strip() or b"0", 16):
        yield from _read(handler, size)
        handler.rfile.readline()
    while handler.rfile.readline().strip():
        pass  # trailers


def _read(handler: BaseHTTPRequestHandler, left: int) -> Iterator[bytes]:
    while left:
        data = handler.rfile.read(min(left, 64 * 1024))
        if not data:
            raise EOFError
        left -= len(data)
        yield data
