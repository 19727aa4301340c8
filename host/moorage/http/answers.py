"""Answers as plugins see them: `HttpResponse` and `HttpStream` of `moorage.context`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import httpx
import orjson

from moorage.context import ServerSentEvent
from moorage.errors import BadAnswer
from moorage.http.body import LARGEST_BODY, lines, unpacked
from moorage.http.sse import events


class Answer:
    """A whole answer."""

    def __init__(self, status: int, headers: Mapping[str, str], url: str, content: bytes) -> None:
        self.status = status
        self.headers = headers
        self.url = url
        self.content = content

    @property
    def text(self) -> str:
        return self.content.decode(errors="replace")

    def json(self) -> Any:
        try:
            return orjson.loads(self.content)
        except orjson.JSONDecodeError:
            kind = self.headers.get("content-type", "no type").partition(";")[0][:60]
            host = httpx.URL(self.url).netloc.decode("ascii")
            raise BadAnswer(
                f"{host} answered with something that is not JSON ({kind}).",
                hint="Check that the address is the one of the service, not of a page or a sign-in in between.",
            ) from None


class Stream:
    """An answer whose body is still coming. `cap` in bytes, None for no cap."""

    def __init__(
        self,
        response: httpx.Response,
        chunks: Iterable[bytes],
        remote: str,
        *,
        heard: Callable[[], None] = lambda: None,
        cap: int | None = LARGEST_BODY,
    ) -> None:
        self.status = response.status_code
        self.headers: Mapping[str, str] = response.headers
        self.url = str(response.url)
        self._chunks = chunks
        self._remote = remote
        self._heard = heard
        self._cap = cap

    def read(self) -> bytes:
        return b"".join(self._body())

    def lines(self) -> Iterator[bytes]:
        return lines(self._noticed(), self._remote)

    def events(self) -> Iterator[ServerSentEvent]:
        return events(self._body(), self._remote, self._heard)

    def raw(self) -> Iterator[bytes]:
        """The body as it is on the wire, without a cap."""
        for chunk in self._chunks:
            yield chunk
            self._heard()  # only now: while the reader is held back, the other side is not silent

    def _noticed(self) -> Iterator[bytes]:
        for chunk in self._body():
            self._heard()
            yield chunk

    def _body(self) -> Iterator[bytes]:
        return unpacked(self._chunks, self.headers.get("content-encoding", ""), self._remote, self._cap)
