"""The second origin of the fake Hub: file bytes behind signed URLs that expire, with ranges."""

from __future__ import annotations

import hashlib
import re
import threading
import time
from collections.abc import Callable
from urllib.parse import urlencode

from tests.fakes.faults import FaultyExchange, FaultyServer
from tests.fakes.repo import Blob
from tests.fakes.server import Exchange

DENIED = (
    '<?xml version="1.0" encoding="UTF-8"?><Error><Code>AccessDenied</Code><Message>{}</Message>'
    "<RequestId>moorage-fake</RequestId></Error>"
)


class FakeCdn(FaultyServer):
    """Serves what `sign` gave a URL for. It needs no key and remembers any that it was sent in `authorizations`."""

    def __init__(self, port: int = 0, clock: Callable[[], float] = time.time) -> None:
        super().__init__(port)
        self.valid_seconds = 3600
        self.authorizations: list[str] = []
        self.clock = clock
        self.replaced: dict[str, Blob] = {}  # by sha256: what is served in its place, as after a change at the source
        self._blobs: dict[str, Blob] = {}
        self._generation = 0
        self._etag_generation = 0
        self._lock = threading.Lock()
        self.route("GET", "/(?P<folder>[^/]+)/(?P<name>[^/]+)", self._serve)

    def sign(self, folder: str, blob: Blob) -> str:
        """A URL for the blob that is valid for `valid_seconds`."""
        with self._lock:
            self._blobs[blob.sha256] = blob
        path = f"/{folder}/{blob.sha256}"
        expires = int(self.clock()) + self.valid_seconds
        query = {"Expires": str(expires), "Signature": self._signature(path, expires), "Key-Pair-Id": "MOORAGEFAKE"}
        return f"{self.url}{path}?{urlencode(query)}"

    def expire(self) -> None:
        """Every URL signed so far answers 403 from now on."""
        self._generation += 1

    def change_etags(self) -> None:
        """Every file has another ETag from now on, so that `If-Range` no longer matches."""
        self._etag_generation += 1

    def etag(self, blob: Blob) -> str:
        return blob.xet_hash if not self._etag_generation else f"{self._etag_generation}-{blob.xet_hash}"

    def admit(self, exchange: FaultyExchange) -> bool:
        sent = exchange.seen.headers.get("authorization")
        if sent is not None:
            self.authorizations.append(sent)
        return True

    def unknown_path(self, exchange: Exchange) -> None:
        exchange.send(403, DENIED.format("Access denied").encode(), "application/xml")

    def _signature(self, path: str, expires: int) -> str:
        return hashlib.sha256(f"{self._generation}{path}{expires}".encode()).hexdigest()

    def _serve(self, exchange: Exchange) -> None:
        assert isinstance(exchange, FaultyExchange)
        seen = exchange.seen
        expires = int(seen.param("Expires") or 0)
        blob = self._blobs.get(exchange.match["name"])
        if blob is None or seen.param("Signature") != self._signature(seen.path, expires) or expires < self.clock():
            exchange.send(403, DENIED.format("Request has expired").encode(), "application/xml")
            return
        blob = self.replaced.get(blob.sha256, blob)
        serve_blob(exchange, blob, self.etag(blob), {"Cache-Control": "public, max-age=31536000"})


def serve_blob(exchange: FaultyExchange, blob: Blob, etag: str, headers: dict[str, str]) -> None:
    """Answer GET or HEAD with the blob: 200, 206 for one range that `If-Range` allows, or 416."""
    headers = {"Accept-Ranges": "bytes", "ETag": f'"{etag}"', "Content-Type": "application/octet-stream", **headers}
    condition = exchange.request_header("if-range")
    asked = exchange.request_header("range") if condition in (None, f'"{etag}"') else None
    span = _span(asked, blob.size)
    if span is not None and span[0] >= min(span[1], blob.size):
        exchange.send(416, b"", "text/plain", {"Content-Range": f"bytes */{blob.size}"})
        return
    start, stop = span or (0, blob.size)
    if span:
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{blob.size}"
    exchange.headers(206 if span else 200, {**headers, "Content-Length": str(stop - start)})
    if exchange.seen.method == "HEAD":
        return
    for chunk in blob.chunks(start, stop):
        exchange.write(chunk)


def _span(asked: str | None, size: int) -> tuple[int, int] | None:
    """`bytes=a-b`, `a-` or `-n` as start and stop; None for no range, and for forms that servers may ignore."""
    found = re.fullmatch(r"bytes=(\d*)-(\d*)", asked or "")
    if not found or found[1] == found[2] == "":
        return None
    if not found[1]:
        return max(0, size - int(found[2])), size
    start = int(found[1])
    if found[2] and int(found[2]) < start:
        return None
    return start, min(size, int(found[2]) + 1 if found[2] else size)
