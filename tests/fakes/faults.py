"""Faults for any fake: a `Fault` in `server.faults` spoils the answers whose method and path it matches.

A fault either replaces an answer (`status`, `redirect_loop`) or lets the handler answer and spoils what leaves: late
(`delay`, `bytes_per_second`), cut short (`stall_after`, `reset_after`, `end_after`), changed (`flip_at`, `gzip`,
`headers`) or as if the client had not asked for a range (`ignore_range`).
"""

from __future__ import annotations

import json
import re
import threading
import zlib
from dataclasses import dataclass, field
from typing import Any

from tests.fakes.server import ClientGone, Exchange, FakeServer, Route


@dataclass
class Fault:
    """What to do to which answers. Byte counts are of the body as sent on the wire, from its first byte."""

    path: str = ".*"  # a regular expression that the whole unquoted path must match
    method: str = ".*"
    times: int | None = 1  # None: for ever
    skip: int = 0  # let so many matching requests pass first
    status: int | None = None  # answer with this instead of the handler's answer
    body: bytes | str | dict[str, Any] | list[Any] = b""  # with `status`; dict and list go out as JSON
    headers: dict[str, str | None] = field(default_factory=dict)  # replace the answer's; None removes one
    delay: float = 0.0  # seconds of silence before the status line
    stall_after: int | None = None  # then silence until the client leaves
    reset_after: int | None = None  # then RST
    end_after: int | None = None  # then FIN: shorter than Content-Length promised
    flip_at: int | None = None  # this byte of the body leaves inverted
    flip_bits: int = 0xFF  # or with only these bits of it inverted
    bytes_per_second: float | None = None
    gzip: bool = False
    ignore_range: bool = False
    redirect_loop: bool = False
    used: int = 0

    def matches(self, exchange: Exchange) -> bool:
        seen = exchange.seen
        return bool(re.fullmatch(self.method, seen.method) and re.fullmatch(self.path, seen.path))

    @property
    def content(self) -> tuple[bytes, str]:
        if isinstance(self.body, bytes):
            return self.body, "application/octet-stream"
        if isinstance(self.body, str):
            kind = "text/html" if self.body.lstrip().startswith("<") else "text/plain"
            return self.body.encode(), f"{kind}; charset=utf-8"
        return json.dumps(self.body).encode(), "application/json; charset=utf-8"


class FaultyExchange(Exchange):
    """An exchange that adds the server's standard headers and carries out one fault, or none."""

    server: FaultyServer

    def __init__(self, plain: Exchange, server: FaultyServer, fault: Fault | None) -> None:
        super().__init__(plain._handler, plain.seen, plain.match, server)
        self.server = server
        self.fault = fault or Fault()
        self._sent = 0
        self._gzip = zlib.compressobj(wbits=31) if self.fault.gzip else None

    def request_header(self, name: str) -> str | None:
        """A header of the request, in lower case, unless the fault ignores it."""
        if self.fault.ignore_range and name in ("range", "if-range"):
            return None
        return self.seen.headers.get(name)

    def headers(self, status: int, headers: dict[str, str] | None = None) -> None:
        merged = {name.lower(): (name, value) for name, value in self.server.standard_headers(self).items()}
        merged |= {name.lower(): (name, value) for name, value in (headers or {}).items()}
        if self._gzip:
            merged |= {"content-encoding": ("Content-Encoding", "gzip")}
            merged |= {"transfer-encoding": ("Transfer-Encoding", "chunked")}
            merged.pop("content-length", None)
        for name, changed in self.fault.headers.items():
            merged.pop(name.lower(), None)
            if changed is not None:
                merged[name.lower()] = (name, changed)
        super().headers(status, dict(merged.values()))

    def write(self, data: bytes) -> None:
        fault, start = self.fault, self._sent
        self._sent += len(data)
        if fault.flip_at is not None and start <= fault.flip_at < self._sent:
            at = fault.flip_at - start
            data = data[:at] + bytes([data[at] ^ fault.flip_bits]) + data[at + 1 :]
        limits = [n for n in (fault.stall_after, fault.reset_after, fault.end_after) if n is not None]
        if limits and self._sent >= min(limits):
            self._out(data[: max(0, min(limits) - start)])
            self._break_off()
        self._out(data)

    def finish(self) -> None:
        """Called when the handler has answered; ends a compressed body."""
        if self._gzip and self._sent:
            rest = self._gzip.flush()
            super().write(b"%x\r\n%s\r\n0\r\n\r\n" % (len(rest), rest))

    def _out(self, data: bytes) -> None:
        if self._gzip:
            data = self._gzip.compress(data) + self._gzip.flush(zlib.Z_SYNC_FLUSH)
            data = b"%x\r\n%s\r\n" % (len(data), data)
        if not self.fault.bytes_per_second:
            super().write(data)
            return
        step = max(1, int(self.fault.bytes_per_second / 20))
        for at in range(0, len(data), step):
            super().write(data[at : at + step])
            self.sleep(step / self.fault.bytes_per_second)

    def _break_off(self) -> None:
        if self.fault.stall_after is not None:
            self.sleep(3600.0)
        if self.fault.reset_after is not None:
            self.reset()
        else:
            self.hang_up()
        raise ClientGone


class FaultyServer(FakeServer):
    """A fake whose answers obey `faults`, the first that matches and is not used up."""

    def __init__(self, port: int = 0) -> None:
        super().__init__(port)
        self.faults: list[Fault] = []
        self._fault_lock = threading.Lock()

    def standard_headers(self, exchange: FaultyExchange) -> dict[str, str]:
        """Headers that every answer carries."""
        return {}

    def route(self, method: str, pattern: str, handler: Route) -> None:
        super().route(method, pattern, lambda plain: self._spoil(plain, handler))

    def not_found(self, exchange: Exchange) -> None:
        self._spoil(exchange, self.unknown_path)

    def unknown_path(self, exchange: Exchange) -> None:
        exchange.json(404, {"error": "Not Found"})

    def admit(self, exchange: FaultyExchange) -> bool:
        """Answer here and return False to keep the handler from running (a rate limit, a missing key)."""
        return True

    def _spoil(self, plain: Exchange, handler: Route) -> None:
        exchange = FaultyExchange(plain, self, self._take_fault(plain))
        fault = exchange.fault
        if fault.delay:
            exchange.sleep(fault.delay)
        if fault.redirect_loop:
            exchange.redirect(307, exchange.seen.target)
        elif fault.status is not None:
            body, content_type = fault.content
            exchange.send(fault.status, body, content_type)
        elif self.admit(exchange):
            handler(exchange)
        exchange.finish()

    def _take_fault(self, exchange: Exchange) -> Fault | None:
        with self._fault_lock:
            for fault in self.faults:
                if not fault.matches(exchange):
                    continue
                if fault.skip > 0:
                    fault.skip -= 1
                elif fault.times is None or fault.used < fault.times:
                    fault.used += 1
                    return fault
        return None


def captive_portal(path: str = ".*", times: int | None = 1) -> Fault:
    """A hotel's sign-in page, with status 200, where data was asked for."""
    return Fault(path, times=times, status=200, body="<!doctype html><title>Sign in</title><p>Room number?")


def rate_limited(
    path: str = ".*", *, seconds: int | None = None, retry_after: int | None = None, times: int | None = 1
) -> Fault:
    """429 as the Hub words it: `seconds` in `RateLimit`, `retry_after` in `Retry-After`, or neither."""
    headers: dict[str, str | None] = {"X-Error-Message": RATE_LIMIT_TEXT}
    if seconds is not None:
        headers["RateLimit"] = f'"api";r=0;t={seconds}'
    if retry_after is not None:
        headers["Retry-After"] = str(retry_after)
    return Fault(path, times=times, status=429, body={"error": RATE_LIMIT_TEXT}, headers=headers)


RATE_LIMIT_TEXT = (
    "We had to rate limit your IP (127.0.0.1). To continue using our service, create a HF account or login to your "
    "existing account, and make sure you pass a HF_TOKEN if you're using the API."
)
