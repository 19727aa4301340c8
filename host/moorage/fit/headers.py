"""The headers of files that are not here, read from their source: a few hundred kB of them at most."""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict

from pydantic import SecretStr

from moorage.errors import BadAnswer, MoorageError, RateLimited, Unreachable
from moorage.fetch.answers import check, strong_etag
from moorage.fetch.local import first_bytes, is_local
from moorage.fetch.part import key_of
from moorage.fit.shape import for_memory, suffices
from moorage.gguf import SHORTEST, GgufHeader, UnreadableGguf, read_gguf_prefix
from moorage.http import CallScope, HttpDoor, origin
from moorage.models import Credential, FilePart

log = logging.getLogger("moorage.fit")

FIRST = 64 * 1024
MOST = 512 * 1024
KEPT = 500
SECONDS = 5.0
PATIENCE = 1.0  # seconds of silence that cost nothing
SILENT_SECONDS = 15.0  # of rest for a source that kept us waiting longer
REST_SECONDS = 30.0  # for a source that is asked too often, where it does not say how long
LONGEST_REST = 300.0


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
        self._resting: dict[str, float] = {}

    def known(self, part: FilePart) -> GgufHeader | None:
        """What was read already; asks nobody."""
        try:
            key = key_of(part)
        except MoorageError:
            return None
        with self._lock:
            return self._kept.get(key)

    def read(self, part: FilePart, credential: Credential | None) -> GgufHeader | None:
        """What the header says of memory; None for a file without a readable one, and where it cannot be read now.

        Of a set of shards the first has it. The credential goes to its own origins only.
        """
        try:
            key = key_of(part)
        except MoorageError:
            return None
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
        began = time.monotonic()
        try:
            flight.header = self._fetched(part, credential)
            self._keep(key, flight.header)
        except MoorageError as error:
            self._rest_after(error, part, time.monotonic() - began)
            log.debug("the header of %s cannot be read now: %s", part.name, error)
        finally:
            with self._lock:
                del self._flights[key]
            flight.done.set()
        return flight.header

    def _fetched(self, part: FilePart, credential: Credential | None) -> GgufHeader | None:
        if part.size < SHORTEST:
            return None
        try:
            if is_local(part):
                return for_memory(read_gguf_prefix(first_bytes(part, MOST), part.size))
            if time.monotonic() < self._resting.get(origin(part.url), 0.0):
                raise Unreachable("The source has asked us to wait.")
            reading = _Reading(self._door, part, credential, self._seconds)
            try:
                return for_memory(reading.header())
            except UnreadableGguf as error:
                if not reading.is_the_file:  # a page of somebody on the way: it says nothing of the file
                    raise BadAnswer(f"What came for {part.name} is something else.") from error
                raise
        except UnreadableGguf as error:
            log.debug("%s is no readable GGUF file: %s", part.name, error)
            return None

    def _keep(self, key: str, header: GgufHeader | None) -> None:
        with self._lock:
            self._kept[key] = header
            while len(self._kept) > self._most:
                self._kept.popitem(last=False)

    def _rest_after(self, error: MoorageError, part: FilePart, took: float) -> None:
        """A source that is asked too often is left alone, so that downloads from it go on.

        So is one that kept us waiting for nothing, since each detail would wait for it again.
        """
        if is_local(part):
            return
        if isinstance(error, RateLimited) or (isinstance(error, Unreachable) and took > PATIENCE):
            after = error.retry_after if isinstance(error, RateLimited) else SILENT_SECONDS
            seconds = REST_SECONDS if after is None else min(after, LONGEST_REST)
            with self._lock:
                now = time.monotonic()
                self._resting = {where: until for where, until in self._resting.items() if until > now}
                known = self._resting.get(origin(part.url), 0.0)
                self._resting[origin(part.url)] = max(known, now + seconds)


class _Reading:
    """The start of one file on a server, as far as it is needed."""

    def __init__(self, door: HttpDoor, part: FilePart, credential: Credential | None, seconds: float) -> None:
        self._http = door.client("download", scope=CallScope(seconds))
        self._part = part
        self._seconds = seconds
        self._key = credential.value if credential else None
        self._origins = frozenset(origin(url) for url in credential.origins) if credential else frozenset()
        self._most = min(MOST, part.size)
        self._data = bytearray()
        self._etag: str | None = None
        self._header: GgufHeader | None = None
        self.is_the_file = False  # it was sent as a piece of so many bytes, or is announced with all of them

    def header(self) -> GgufHeader:
        """The best that the first bytes give; how many are needed is not known before."""
        self._request(min(FIRST, self._most))
        if not self._is_enough():
            self._request(self._most)
        if not self._is_enough():
            raise Unreachable(f"The start of {self._part.name} ended early.")
        assert self._header is not None
        return self._header

    def _request(self, end: int) -> None:
        """Get what is missing up to `end`. A server that knows no ranges is heard until there is enough."""
        start = len(self._data)
        headers = {"Range": f"bytes={start}-{end - 1}"}
        if start and self._etag:
            headers["If-Range"] = self._etag
        with self._http.download(
            self._part.url, headers=headers, key_for=self._key_for, idle_timeout=self._seconds
        ) as reply:
            if not check(reply, self._part, start, self._etag, end):
                self._data.clear()
                limit = self._most
            else:
                limit = end
            self._etag = strong_etag(reply.headers)
            self.is_the_file = reply.status == 206 or reply.headers.get("content-length") == str(self._part.size)
            for chunk in reply.raw():
                self._data += chunk[: limit - len(self._data)]
                if len(self._data) >= limit:
                    return
                if len(self._data) >= end:
                    if self._is_enough():
                        return
                    end *= 2  # however small the chunks are, it is looked through a few times only

    def _is_enough(self) -> bool:
        """Whether the bytes that are here say all, or are all that may be read."""
        if len(self._data) < min(FIRST, self._most):
            return False
        self._header = read_gguf_prefix(bytes(self._data), self._part.size)
        return suffices(self._header) or len(self._data) >= self._most

    def _key_for(self, where: str) -> SecretStr | None:
        return self._key if where in self._origins else None
