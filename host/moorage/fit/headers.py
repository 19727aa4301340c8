"""The headers of files that are not here, read from their source: a few hundred kB of them at most."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Iterator

from pydantic import SecretStr

from moorage.errors import MoorageError
from moorage.fit.shape import for_memory, suffices
from moorage.gguf import GgufHeader, UnreadableGguf, read_gguf_prefix
from moorage.http import CallScope, HttpClient, HttpDoor, origin
from moorage.models import Credential, FilePart

log = logging.getLogger("moorage.fit")

FIRST = 64 * 1024
MOST = 512 * 1024
KEPT = 500
SECONDS = 5.0


class _Unavailable(Exception):
    """It cannot be read now, which says nothing about the file."""


class _Flight:
    """A header on its way; whoever wants the same waits for it."""

    def __init__(self) -> None:
        self.done = threading.Event()
        self.header: GgufHeader | None = None


class Headers:
    """Thread-safe. Each file is read once, by its content; what could not be read now is asked for again next time."""

    def __init__(self, door: HttpDoor, *, seconds: float = SECONDS, most: int = KEPT) -> None:
        self._door = door
        self._seconds = seconds
        self._most = most
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, GgufHeader | None] = OrderedDict()
        self._flights: dict[str, _Flight] = {}

    def known(self, part: FilePart) -> GgufHeader | None:
        """What was read already; asks nobody."""
        with self._lock:
            return self._kept.get(part.sha256 or part.url)

    def read(self, part: FilePart, credential: Credential | None) -> GgufHeader | None:
        """What the header says of memory; None for a file without a readable one, and where it cannot be read now.

        Of a set of shards the first has it. The credential goes to its own origins only.
        """
        key = part.sha256 or part.url
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
            flight = self._flights.get(key)
            if leads := flight is None:
                flight = self._flights[key] = _Flight()
        if not leads:
            flight.done.wait(self._seconds)
            return flight.header
        try:
            flight.header = self._fetched(part, credential)
            self._keep(key, flight.header)
        except (MoorageError, _Unavailable) as error:
            log.debug("the header of %s cannot be read now: %s", part.name, error)
        finally:
            with self._lock:
                del self._flights[key]
            flight.done.set()
        return flight.header

    def _keep(self, key: str, header: GgufHeader | None) -> None:
        with self._lock:
            self._kept[key] = header
            while len(self._kept) > self._most:
                self._kept.popitem(last=False)

    def _fetched(self, part: FilePart, credential: Credential | None) -> GgufHeader | None:
        key = credential.value if credential else None
        origins = frozenset(origin(url) for url in credential.origins) if credential else frozenset()
        reading = _Reading(self._door.client("download", scope=CallScope(self._seconds)), part, key, origins)
        try:
            return for_memory(reading.header())
        except UnreadableGguf as error:
            log.debug("%s is no readable GGUF file: %s", part.name, error)
            return None


class _Reading:
    """The start of one file, as far as it is needed."""

    def __init__(self, http: HttpClient, part: FilePart, key: SecretStr | None, origins: frozenset[str]) -> None:
        self._http = http
        self._part = part
        self._key = key
        self._origins = origins
        self._data = bytearray()
        self._etag: str | None = None

    def header(self) -> GgufHeader:
        """The best that the first bytes give. Their number is tried out: where a header ends is not known before."""
        most = min(MOST, self._part.size)
        for end in (min(FIRST, most), most):
            for _ in self._chunks(end):
                if len(self._data) >= most:
                    break
            if len(self._data) < end:
                raise _Unavailable("it ended early")
            header = read_gguf_prefix(bytes(self._data), self._part.size)
            if suffices(header):
                break
        return header

    def _chunks(self, end: int) -> Iterator[None]:
        """One request for what is missing up to `end`; a server that knows no ranges is read up to there as well."""
        start = len(self._data)
        headers = {"Range": f"bytes={start}-{end - 1}"}
        with self._http.download(self._part.url, headers=headers, key_for=self._key_for, idle_timeout=SECONDS) as reply:
            status, fields = reply.status, reply.headers
            if status not in (200, 206):
                raise _Unavailable(f"the source answered {status}")
            if fields.get("content-type", "").lower().startswith("text/html"):
                raise _Unavailable("a web page came in its place")
            if fields.get("content-encoding", "identity").lower() not in ("", "identity"):
                raise _Unavailable("it came packed")
            if status == 206 and not fields.get("content-range", "").startswith(f"bytes {start}-"):
                raise _Unavailable("another piece came")
            if status == 200:
                self._data.clear()
            for chunk in reply.raw():
                self._data += chunk[: end - len(self._data)]
                yield
                if len(self._data) >= end:
                    return

    def _key_for(self, where: str) -> SecretStr | None:
        return self._key if where in self._origins else None
