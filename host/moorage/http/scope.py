"""How long a call may wait, and how it is stopped from another thread.

A `CallScope` is one call of a plugin; an `Exchange` is one request within it, from its first byte to its last.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time

from moorage.errors import Cancelled, MoorageError, Unreachable


class CallScope:
    """One call: `seconds` until it must be over (None: no limit), and `cancel` to end it now.

    `endless` is for work that may take hours, such as an install: its streams have no cap on time and size.
    """

    def __init__(self, seconds: float | None, *, endless: bool = False) -> None:
        self.seconds = seconds
        self.until = None if seconds is None else time.monotonic() + seconds
        self.endless = endless
        self._cancelled = threading.Event()
        self._lock = threading.Lock()
        self._sockets: set[socket.socket] = set()

    @property
    def cancelled(self) -> bool:
        return self._cancelled.is_set()

    def cancel(self) -> None:
        """Make everything that this call is waiting for raise Cancelled, at once and from any thread."""
        with self._lock:
            self._cancelled.set()
            for sock in self._sockets:
                # shutdown, not close: it wakes a thread that is blocked in recv, and the number is not given away.
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)

    def check(self) -> None:
        """Raise Cancelled if the call was stopped."""
        if self._cancelled.is_set():
            raise Cancelled("It was stopped.")

    def sleep(self, seconds: float) -> None:
        """Wait, but not beyond `cancel`."""
        self._cancelled.wait(seconds)
        self.check()

    def hold(self, sock: socket.socket) -> None:
        """Have `cancel` shut this socket down, until it is released."""
        with self._lock:
            self.check()
            self._sockets.add(sock)

    def release(self, sock: socket.socket) -> None:
        with self._lock:
            self._sockets.discard(sock)


class Exchange:
    """One request and its answer. `remote` is the other side as people write it."""

    def __init__(self, scope: CallScope, remote: str) -> None:
        self.scope = scope
        self.remote = remote
        self.connected = False  # by this exchange, not taken from the pool
        self.received = 0  # bytes off the wire
        self.ended_by_peer = False
        self._sockets: set[socket.socket] = set()
        self._limits: dict[str, tuple[float, str]] = {}
        self._first: float | None = None
        self._idle: float | None = None
        if scope.until is not None:
            self._limits["call"] = (scope.until, f"{remote} did not answer within {scope.seconds:g} s.")

    def limit(self, seconds: float, message: str) -> None:
        """Be over within `seconds` from now."""
        self._limits["whole"] = (time.monotonic() + seconds, message)

    def expect(self, first: float | None, idle: float | None) -> None:
        """Wait at most `first` seconds for a sign of life, and `idle` seconds after each one."""
        self._idle = idle
        self._first = first
        self.sent()

    def sent(self) -> None:
        """Some of the request went out: the answer can only begin after that."""
        if self._first is not None:
            self._wait(self._first, f"{self.remote} did not begin to answer within {self._first:g} s.")

    def heard(self) -> None:
        """A sign of life."""
        if self._idle is None:
            self._limits.pop("silence", None)
        else:
            self._wait(self._idle, f"{self.remote} sent nothing for {self._idle:g} s.")

    def _wait(self, seconds: float, message: str) -> None:
        self._limits["silence"] = (time.monotonic() + seconds, message)

    def time_left(self) -> float | None:
        """Seconds that may be waited now, None for ever; raises when there are none or the call was stopped."""
        self.scope.check()
        if not self._limits:
            return None
        left = min(until for until, _ in self._limits.values()) - time.monotonic()
        if left <= 0:
            raise self.late()
        return left

    def late(self) -> MoorageError:
        """The error for a wait that was too long."""
        return Unreachable(
            min(self._limits.values())[1], hint="Try again; if it stays like this, check the service there."
        )

    def broken(self, error: Exception | None = None) -> MoorageError:
        """The error for a connection that ended too early."""
        if self.scope.cancelled:
            return Cancelled("It was stopped.")
        return Unreachable(f"The connection to {self.remote} was cut.", hint="Try again.")

    def use(self, sock: socket.socket) -> None:
        """Let `cancel` reach this socket while the exchange lasts."""
        if sock not in self._sockets:
            self.scope.hold(sock)
            self._sockets.add(sock)

    def drop(self, sock: socket.socket) -> None:
        self._sockets.discard(sock)
        self.scope.release(sock)

    def end(self) -> None:
        """The sockets belong to nobody, or to the next exchange, from now on."""
        for sock in tuple(self._sockets):
            self.drop(sock)
