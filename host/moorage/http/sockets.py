"""The network under httpcore: resolve once, check every address, connect to a checked one, and stay stoppable."""

from __future__ import annotations

import errno
import ipaddress
import queue
import select
import selectors
import socket
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

import httpcore

from moorage.errors import Unreachable
from moorage.http.addresses import ANYWHERE, IPAddress, Reach, admit, classify, literal
from moorage.http.scope import Exchange
from moorage.http.tls import TlsStream

CONNECT_SECONDS = 5.0
STAGGER_SECONDS = 0.25  # RFC 8305, section 5
TICK = 0.05  # how often a wait that no socket can end looks whether the call was stopped
Resolver = Callable[..., Iterable[tuple[Any, ...]]]


class Backend(httpcore.NetworkBackend):
    """Opens the connections of one pool. `current` is the exchange of the calling thread.

    `allowed` says how far it may reach; `seen` how far it did. A pool that goes through a proxy has `to_proxy` set: its
    connections all end there, and the proxy resolves the names.
    """

    def __init__(
        self, current: Callable[[], Exchange], resolver: Resolver, allowed: frozenset[Reach], *, to_proxy: bool
    ) -> None:
        self._current = current
        self._resolver = resolver
        self._allowed = ANYWHERE if to_proxy else allowed
        self._to_proxy = to_proxy
        self.seen: set[Reach] = set()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        exchange = self._current()
        where = f"The proxy {host}:{port}" if self._to_proxy else exchange.remote
        until = time.monotonic() + CONNECT_SECONDS
        addresses = admit(host, self._addresses(host, port, exchange, until), self._allowed)
        sock = _connect_first(addresses, port, exchange, until, where)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        exchange.connected = True
        if not self._to_proxy:
            self.seen.update(classify(address) for address in addresses)
        return SocketStream(sock, self._current)

    def _addresses(self, host: str, port: int, exchange: Exchange, until: float) -> list[IPAddress]:
        address = literal(host)
        if address is not None:
            return [address]
        answers: queue.SimpleQueue[list[IPAddress] | OSError] = queue.SimpleQueue()

        def ask() -> None:
            try:
                found = self._resolver(host, port, type=socket.SOCK_STREAM)
                # A scope id (fe80::1%2) says nothing about the reach and is not part of the address.
                texts = dict.fromkeys(str(item[4][0]).partition("%")[0] for item in found)
                answers.put([ipaddress.ip_address(text) for text in texts])
            except (OSError, UnicodeError) as error:
                answers.put(error if isinstance(error, OSError) else OSError(str(error)))

        # Nothing can interrupt the C library's resolver: leave it to a thread that nobody waits for.
        threading.Thread(target=ask, name="resolve", daemon=True).start()
        while True:
            left = exchange.time_left()
            try:
                answer = answers.get(timeout=min(TICK, TICK if left is None else left))
            except queue.Empty:
                if time.monotonic() >= until:
                    answer = OSError("no answer from the name server")
                else:
                    continue
            if isinstance(answer, OSError) or not answer:
                raise Unreachable(
                    f"The host name {host} cannot be found.", hint="Check the address and the network connection."
                )
            return answer


def _connect_first(
    addresses: list[IPAddress], port: int, exchange: Exchange, until: float, where: str
) -> socket.socket:
    """Connect to the address that answers first; the next is tried while earlier ones are still silent."""
    waiting = deque(_interleaved(addresses))
    next_start = 0.0
    refused: OSError | None = None
    with selectors.DefaultSelector() as selector:
        try:
            while True:
                exchange.time_left()
                now = time.monotonic()
                if now >= until:
                    raise Unreachable(
                        f"{where} did not accept a connection within {CONNECT_SECONDS:g} s.",
                        hint="Check the address, and that nothing blocks the way.",
                    )
                if waiting and (now >= next_start or not selector.get_map()):
                    refused = _start(waiting.popleft(), port, selector) or refused
                    next_start = now + STAGGER_SECONDS
                if not selector.get_map():
                    if waiting:
                        continue
                    raise _refusal(refused, where)
                for key, _ in selector.select(TICK):
                    sock = key.fileobj
                    assert isinstance(sock, socket.socket)
                    selector.unregister(sock)
                    number = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                    if number == 0:
                        return sock
                    sock.close()
                    refused = OSError(number, "")
        finally:
            for key in list(selector.get_map().values()):
                assert isinstance(key.fileobj, socket.socket)
                key.fileobj.close()


def _start(address: IPAddress, port: int, selector: selectors.BaseSelector) -> OSError | None:
    """Begin to connect; the error when that fails at once."""
    family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
    try:
        sock = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:  # no IPv6 on this machine
        return error
    sock.setblocking(False)
    number = sock.connect_ex((str(address), port))
    if number not in (0, errno.EINPROGRESS, errno.EWOULDBLOCK):
        sock.close()
        return OSError(number, "")
    selector.register(sock, selectors.EVENT_WRITE)
    return None


def _interleaved(addresses: list[IPAddress]) -> list[IPAddress]:
    """One of each family in turn, the family of the first one first."""
    first = [each for each in addresses if each.version == addresses[0].version]
    other = [each for each in addresses if each.version != addresses[0].version]
    both = [each for pair in zip(first, other, strict=False) for each in pair]
    return both + first[len(other) :] + other[len(first) :]


def _refusal(error: OSError | None, where: str) -> Unreachable:
    if error is not None and error.errno == errno.ECONNREFUSED:
        return Unreachable(f"Nothing answers at {where}.", hint="Start the service there, or correct the address.")
    return Unreachable(f"{where} cannot be reached from here.", hint="Check the address and the network connection.")


class SocketStream(httpcore.NetworkStream):
    """A connected socket. Time limits and stops come from the exchange that uses it at the moment."""

    def __init__(self, sock: socket.socket, current: Callable[[], Exchange]) -> None:
        self._sock = sock
        self._current = current
        self._user: Exchange | None = None

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        exchange = self._enter()
        try:
            data = self._sock.recv(max_bytes)
        except TimeoutError:
            raise exchange.late() from None
        except OSError as error:
            raise exchange.broken(error) from None
        if not data:
            exchange.scope.check()
            exchange.ended_by_peer = True
        exchange.received += len(data)
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        left = memoryview(buffer)
        while left:
            exchange = self._enter()
            try:
                left = left[self._sock.send(left) :]
            except TimeoutError:
                raise exchange.late() from None
            except OSError as error:
                exchange.scope.check()
                # httpcore reads on after this: a server may answer and close before it has read everything.
                raise httpcore.WriteError(str(error)) from None
            exchange.sent()

    def close(self) -> None:
        if self._user is not None:
            self._user.drop(self._sock)
        self._sock.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        return TlsStream(self, ssl_context, server_hostname)

    def get_extra_info(self, info: str) -> Any:
        if info == "is_readable":  # an idle connection that can be read was closed by the other side
            return self._sock.fileno() < 0 or bool(_readable(self._sock))
        return None

    def _enter(self) -> Exchange:
        exchange = self._user = self._current()
        left = exchange.time_left()
        exchange.use(self._sock)
        self._sock.settimeout(left)
        return exchange


def _readable(sock: socket.socket) -> bool:
    if hasattr(select, "poll"):
        poll = select.poll()
        poll.register(sock, select.POLLIN)
        return bool(poll.poll(0))
    return bool(select.select([sock], [], [], 0)[0])
