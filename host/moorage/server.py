"""Serves a WSGI application over HTTP in this process, on Granian's embedded server.

Granian's own WSGI mode wants a second process and hides the request target's authority; its RSGI interface has both,
so a small bridge runs the application on a pool of threads. Each response has one queue: the application's thread
fills it, the event loop takes everything that is ready at once, and a client that leaves closes the response. See
docs/adr/0002.
"""

from __future__ import annotations

import asyncio
import errno
import io
import logging
import signal
import socket
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any
from urllib.parse import unquote_to_bytes

from granian.constants import HTTPModes
from granian.errors import FatalError
from granian.http import HTTP1Settings
from granian.server.embed import Server as Granian

from moorage.errors import MoorageError

log = logging.getLogger("moorage.server")
WSGI = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

THREADS = 512  # streams hold one each; they are made only as they are needed
BODY_LIMIT = 8 * 1024 * 1024 + 1024  # the application refuses less where a route takes less
BODY_SECONDS = 30.0
QUEUED_BYTES = 256 * 1024
SETTLE_SECONDS = 0.1
CLIENT_LEFT = "moorage.client_left"  # in the environ: whether nobody waits for the answer any more, () -> bool


class AddressInUse(MoorageError):
    code = "address-in-use"
    title = "The port is taken"
    exit_code = 8


def free_port(host: str) -> int:
    """A port that nobody listens on now. AddressInUse when the address is not one of this machine."""
    return _try(host, 0)


def check_port(host: str, port: int) -> None:
    """AddressInUse when somebody listens on the port, or the address is not one of this machine."""
    _try(host, port)


def _try(host: str, port: int) -> int:
    """Take the port for a moment; which one it was."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        if sys.platform != "win32":
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            taken = error.errno == errno.EADDRINUSE
            raise AddressInUse(
                f"Moorage cannot listen on {host}:{port}: {error.strerror}.",
                hint="Another program uses this port. Stop it, or choose another with --port or MOORAGE_PORT."
                if taken
                else "Choose an address of this machine with --host, and a port that you may use with --port.",
            ) from None
        return int(probe.getsockname()[1])


class Server:
    """One application on one address. `run` blocks until `stop`, SIGINT or SIGTERM."""

    def __init__(self, app: WSGI, host: str, port: int) -> None:
        self.host = host
        self.port = port
        self._app = app
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="request")
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop = threading.Event()
        self._ended: asyncio.Event | None = None
        self._responses: set[_Response] = set()

    def run(self, on_ready: Callable[[], None] = lambda: None) -> None:
        """Serve until stopped; `on_ready` is called once the port is open. AddressInUse when it is taken."""
        check_port(self.host, self.port)
        asyncio.run(self._serve(on_ready))

    def stop(self) -> None:
        """Stop serving, from any thread."""
        self._stop.set()
        loop, ended = self._loop, self._ended
        if loop is not None and ended is not None:
            with suppress(RuntimeError):  # the loop has ended by itself
                loop.call_soon_threadsafe(ended.set)

    async def _serve(self, on_ready: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._ended = asyncio.Event()
        if self._stop.is_set():
            return
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                with suppress(NotImplementedError):
                    self._loop.add_signal_handler(number, self._ended.set)
        server = Granian(
            self._handle,
            address=self.host,
            port=self.port,
            http=HTTPModes.http1,
            http1_settings=HTTP1Settings(header_read_timeout=15_000, max_buffer_size=64 * 1024),
            websockets=False,
            log_enabled=False,
            backlog=1024,
            backpressure=2 * THREADS,
        )
        serving = asyncio.ensure_future(server.serve())
        waiting = asyncio.ensure_future(self._ended.wait())
        self._loop.run_in_executor(self._pool, self._announce, on_ready)
        try:
            await asyncio.wait((serving, waiting), return_when=asyncio.FIRST_COMPLETED)
            if serving.done():
                serving.result()
        except FatalError as error:
            raise AddressInUse(f"Moorage cannot listen on {self.host}:{self.port}.") from error
        finally:
            waiting.cancel()
            self._stop.set()
            for response in tuple(self._responses):  # streams have no end of their own
                response.stop()
            server.stop()  # type: ignore[no-untyped-call]  # Granian has no annotation there
            with suppress(Exception):
                await asyncio.wait_for(serving, 3.0)
            # Granian's own threads still let go of Python objects now. One that does so after the interpreter is gone
            # aborts the process: 3 of 15 did that without this pause, none of 50 with a fifth of it.
            await asyncio.sleep(SETTLE_SECONDS)
            self._pool.shutdown(wait=False, cancel_futures=True)

    def _announce(self, on_ready: Callable[[], None]) -> None:
        """Call `on_ready` when the port answers."""
        for _ in range(500):
            if self._stop.wait(0.01):
                return
            with suppress(OSError), socket.create_connection((self.host, self.port), 0.5):
                break
        on_ready()

    async def _handle(self, scope: Any, proto: Any) -> None:
        if scope.proto != "http":
            proto.close(403)
            return
        host = scope.headers.get("host")
        if scope.authority is not None and scope.authority != host:
            # RFC 9112 §3.2.2: the target's authority is the host that is meant, and it is not the one that is named.
            proto.response_str(403, [("content-type", "text/plain")], "The request names two hosts.")
            return
        try:
            body, length = await _read_body(scope, proto)
        except TimeoutError:
            proto.response_str(408, [("content-type", "text/plain")], "The body did not come.")
            return
        response = _Response(asyncio.get_running_loop())
        environ = _environ(scope, body, length)
        environ[CLIENT_LEFT] = response.has_left
        self._responses.add(response)
        running = asyncio.get_running_loop().run_in_executor(self._pool, response.run, self._app, environ)
        try:
            await response.send(proto)
        finally:
            self._responses.discard(response)
            response.client_left()
            if self._stop.is_set():
                running.cancel()  # its thread ends when the host closes what it waits for
            else:
                await asyncio.gather(running, return_exceptions=True)


class _Response:
    """One response: `run` on a pool thread produces it, `send` on the event loop delivers it."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._status = 500
        self._headers: list[tuple[str, str]] = []
        self._lock = threading.Condition()
        self._chunks: deque[bytes] = deque()
        self._size = 0
        self._whole = False  # all of it is there at once: no need to stream
        self._left = False
        self._done = False
        self._begun = False
        self._ready = asyncio.Event()

    # -- on the application's thread ----------------------------------------------------------------------------

    def run(self, app: WSGI, environ: dict[str, Any]) -> None:
        iterable: Iterable[bytes] = ()
        try:
            iterable = app(environ, self._start)
            if isinstance(iterable, list | tuple):
                self._chunks.append(b"".join(iterable))
                self._whole = True
            else:
                for chunk in iterable:
                    if chunk and not self._put(chunk):
                        break
        except Exception:
            log.exception("a request failed outside the application")
            if not self._begun:
                self._status, self._headers = 500, [("content-type", "text/plain")]
                self._chunks.append(b"Moorage failed; its log says more.")
                self._whole = True
        finally:
            close = getattr(iterable, "close", None)
            if close is not None:
                try:
                    close()
                except Exception:
                    log.exception("closing a response failed")
            self._done = True
            self._wake()

    def _start(self, status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> None:
        self._status = int(status.split(" ", 1)[0])
        self._headers = [(name.lower(), value) for name, value in headers]

    def _put(self, chunk: bytes) -> bool:
        with self._lock:
            while self._size > QUEUED_BYTES and not self._left:
                self._lock.wait(1.0)
            if self._left:
                return False
            idle = not self._chunks
            self._chunks.append(chunk)
            self._size += len(chunk)
            self._begun = True
        if idle:
            self._wake()
        return True

    def _wake(self) -> None:
        with suppress(RuntimeError):  # the server has stopped
            self._loop.call_soon_threadsafe(self._ready.set)

    # -- on the event loop --------------------------------------------------------------------------------------

    async def send(self, proto: Any) -> None:
        gone = asyncio.ensure_future(proto.client_disconnect())
        gone.add_done_callback(self._on_gone)
        try:
            await self._ready.wait()
            if self._left:
                proto.response_empty(503, [])  # for a server that ends: a client that left hears nothing
            else:
                await self._deliver(proto)
        except Exception as error:  # noqa: BLE001 - Granian raises a plain error for a closed connection
            log.debug("the client left: %s", error)
        finally:
            gone.remove_done_callback(self._on_gone)
            gone.cancel()

    async def _deliver(self, proto: Any) -> None:
        if self._whole:
            proto.response_bytes(self._status, self._headers, self._chunks[0])
            return
        if self._done and not self._chunks:
            proto.response_empty(self._status, self._headers)
            return
        transport = proto.response_stream(self._status, self._headers)
        while not self._left:
            self._ready.clear()
            data = self._take()
            if data:
                await transport.send_bytes(data)
            elif self._done:
                return
            else:
                await self._ready.wait()

    def _on_gone(self, _: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Cut it off: the client has left, or the server ends."""
        self.client_left()
        self._ready.set()

    def _take(self) -> bytes:
        with self._lock:
            data = b"".join(self._chunks)
            self._chunks.clear()
            self._size = 0
            self._lock.notify_all()
        return data

    def has_left(self) -> bool:
        return self._left

    def client_left(self) -> None:
        with self._lock:
            self._left = True
            self._lock.notify_all()


async def _read_body(scope: Any, proto: Any) -> tuple[bytes, int]:
    """The body and its length. Of one over the limit only the length is told: the application says the rest."""
    length = scope.headers.get("content-length")
    if length is None and scope.headers.get("transfer-encoding") is None:
        return b"", 0
    if length is not None and length.isdigit() and int(length) > BODY_LIMIT:
        return b"", int(length)
    body = bytearray()
    async with asyncio.timeout(BODY_SECONDS):
        async for chunk in proto:
            body += chunk
            if len(body) > BODY_LIMIT:
                return b"", len(body)
    return bytes(body), len(body)


def _environ(scope: Any, body: bytes, length: int) -> dict[str, Any]:
    """The request as PEP 3333 has it; `length` above that of `body` means that it is too large to be had."""
    client, _, client_port = scope.client.rpartition(":")
    server, _, port = scope.server.rpartition(":")
    environ: dict[str, Any] = {
        "REQUEST_METHOD": scope.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(scope.path).decode("latin-1"),
        "QUERY_STRING": scope.query_string,
        "SERVER_NAME": server,
        "SERVER_PORT": port,
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": client,
        "REMOTE_PORT": client_port,
        "CONTENT_LENGTH": str(length),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    for name, value in scope.headers.items():
        key = name.upper().replace("-", "_")
        if key == "CONTENT_TYPE":
            environ[key] = value
        elif key not in ("CONTENT_LENGTH", "TRANSFER_ENCODING"):  # the body is whole by now
            # Two headers of one name become one list (RFC 9110 §5.3); for Host that makes a name nobody has.
            key = f"HTTP_{key}"
            environ[key] = f"{environ[key]},{value}" if key in environ else value
    return environ
