"""What an answer to a request for a file means, before one byte of it is kept."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Protocol

from moorage.errors import (
    AuthFailed,
    BadAnswer,
    Gated,
    MoorageError,
    NotFound,
    NotGguf,
    RateLimited,
    RemoteError,
    Unreachable,
    Unsupported,
)
from moorage.http import origin
from moorage.models import FilePart, Gate
from moorage.models.gates import GateState

GGUF = b"GGUF"
LONGEST_SAID = 200
LONGEST_WAIT = 24 * 3600.0  # seconds; nobody means more
_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)")
_SECONDS = re.compile(r"[0-9]{1,15}(?:\.[0-9]{0,15})?")
_RESETS = re.compile(r"\bt=([0-9]{1,9})\b")


class Reply(Protocol):
    @property
    def status(self) -> int: ...
    @property
    def headers(self) -> Mapping[str, str]: ...
    @property
    def url(self) -> str: ...


class Expired(Unreachable):
    """The place that the source sent us to does not serve the file any more: ask the source again."""


class StartOver(Unreachable):
    """What is here cannot be continued: begin at the first byte."""


def check(reply: Reply, part: FilePart, offset: int, etag: str | None, end: int | None = None) -> bool:
    """True to go on at `offset`, False to begin at zero; raises where the body is not the file that was asked for.

    `end` is that of the range where less than all the rest was asked for.
    """
    if reply.status not in (200, 206):
        raise _refusal(reply, part)
    headers = reply.headers
    if headers.get("content-encoding", "identity").lower() not in ("", "identity"):
        raise BadAnswer(f"{part.name} came packed ({headers['content-encoding'][:40]}), which was not asked for.")
    if headers.get("content-type", "").lower().startswith("text/html") and not part.name.endswith((".html", ".htm")):
        raise BadAnswer(
            f"A web page came in place of {part.name}.",
            hint="A sign-in page of this network may stand in between: open a web page in the browser, then try again.",
        )
    if reply.status == 206:
        found = _CONTENT_RANGE.fullmatch(headers.get("content-range", "").strip())
        if found is None or (int(found[1]), int(found[3])) != (offset, part.size):
            raise StartOver(f"The server sent another piece of {part.name} than the one asked for.")
        if etag is not None and headers.get("etag", etag) != etag:
            raise StartOver(f"{part.name} has changed at the source.")
        length = (part.size if end is None else end) - offset
    else:
        length = part.size
    announced = headers.get("content-length")
    if announced is not None and announced.strip() != str(length):
        raise BadAnswer(
            f"{part.name} seems to have changed at the source: it should have {part.size} bytes, "
            "but the server announces another size.",
            hint="Look the model up again.",
        )
    return reply.status == 206


def check_start(part: FilePart, start: bytes) -> None:
    """Raise NotGguf where the first bytes are not those of what the name says."""
    if part.name.lower().endswith(".gguf") and start[: len(GGUF)] != GGUF[: len(start)]:
        raise NotGguf(f"{part.name} is not a GGUF file.", hint="Choose another file.")


def strong_etag(headers: Mapping[str, str]) -> str | None:
    """The ETag, if it promises equal bytes (RFC 9110, 8.8.1)."""
    etag = headers.get("etag", "")
    return etag if etag.startswith('"') else None


def _refusal(reply: Reply, part: FilePart) -> MoorageError:
    """The error for a status that is not the file."""
    status, headers = reply.status, reply.headers
    elsewhere = origin(reply.url) != origin(part.url)
    if status == 416:
        return StartOver(f"The server does not have {part.name} from where we left off.")
    if status == 429 or (status == 503 and "retry-after" in headers):
        return RateLimited(f"The source of {part.name} asks us to wait.", retry_after=retry_after(headers))
    if status >= 500:
        return Unreachable(f"The source of {part.name} has a fault ({status}).", hint="Try again later.")
    if elsewhere and status in (400, 401, 403, 404, 410):
        return Expired(f"The download link of {part.name} is no longer valid ({status}).")
    if status in (401, 403):
        return _closed(status, headers, part)
    if status in (404, 410):
        return NotFound(f"The source does not have {part.name} any more.", hint="Look the model up again.")
    if status == 451:
        return Unsupported(f"{part.name} may not be given out where you are, for legal reasons.")
    return RemoteError(f"The source answered the request for {part.name} with {status}.")


def _closed(status: int, headers: Mapping[str, str], part: FilePart) -> MoorageError:
    """A gate, in its own words, only where the source says that it is one."""
    said = " ".join(headers.get("x-error-message", "").split())[:LONGEST_SAID]
    if headers.get("x-error-code") == "GatedRepo":
        refused = any(words in said.lower() for words in ("rejected", "has been refused"))
        state: GateState = "sign-in" if status == 401 else "refused" if refused else "accept-licence"
        gate = Gate(state=state, url=part.url.partition("/resolve/")[0])
        return Gated(gate.message or "", url=gate.url, hint=gate.hint)
    if status == 401:
        return AuthFailed(
            f"The source wants a valid key for {part.name}.",
            hint="Enter a key of the source under Plugins, or renew it.",
        )
    return AuthFailed(
        f"The source does not give out {part.name}{f': {said}' if said else '.'}",
        hint="Check the key of the source under Plugins, and what it may do there.",
    )


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait, at most a day, from `Retry-After` (seconds or a date) or `RateLimit` (its `t`).

    Anything may stand there: what cannot be read is None.
    """
    text = headers.get("retry-after", "").strip()
    if _SECONDS.fullmatch(text):
        return min(float(text), LONGEST_WAIT)
    if text:
        try:
            when = parsedate_to_datetime(text)
            when = when if when.tzinfo else when.replace(tzinfo=UTC)
            return min(max(0.0, (when - datetime.now(UTC)).total_seconds()), LONGEST_WAIT)
        except (ValueError, OverflowError, TypeError, IndexError):
            return None
    found = _RESETS.search(headers.get("ratelimit", ""))
    return min(float(found[1]), LONGEST_WAIT) if found else None
