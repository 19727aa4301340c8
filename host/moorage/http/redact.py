"""Keeping secrets out of logs. A signed URL is a credential too, so queries are left out altogether."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Iterator

_HIDDEN = "…"
_PATTERNS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"\b(hf_|sk-|mrg_)[A-Za-z0-9_\-]{6,}"), rf"\1{_HIDDEN}"),
    (re.compile(r"\b(Bearer|Basic)\s+[^\s\"',;]+", re.IGNORECASE), rf"\1 {_HIDDEN}"),
    (
        re.compile(
            r"\b(x-api-key|api-key|x-goog-api-key|(?:proxy-)?authorization)"
            r"((?>[\"']?\s*[:=,]\s*(?:b?[\"'])?))(?!Bearer |Basic )[^\s\"']+",
            re.IGNORECASE,
        ),
        rf"\1\2{_HIDDEN}",
    ),
    (re.compile(r"\b((?:set-)?cookie[\"']?\s*[:,]\s*(?:b?[\"'])?)[^\r\n\"']+", re.IGNORECASE), rf"\1{_HIDDEN}"),
    (re.compile(r"(https?://)[^\s/@\"'<>]+@"), rf"\1{_HIDDEN}@"),
    (re.compile(r"(https?://[^\s?\"'<>]+)\?[^\s\"'<>]+"), rf"\1?{_HIDDEN}"),
)
SHORTEST = 6  # shorter values would take ordinary words out of the log


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """`text` without these values, and without whatever looks like a key or the query of a URL."""
    for shape in sorted((shape for secret in secrets for shape in _shapes(secret)), key=len, reverse=True):
        if len(shape) >= SHORTEST:
            text = text.replace(shape, _HIDDEN)
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return text


def _shapes(secret: str) -> Iterator[str]:
    """A secret as it may be written. Of an address that is one (a webhook), the path is what must not be seen."""
    yield secret
    if secret.startswith(("https://", "http://")):
        _, slash, path = secret.partition("://")[2].partition("?")[0].partition("/")
        yield f"{slash}{path}"


class RedactingFilter(logging.Filter):
    """For handlers (a filter of a logger does not see what its children log). `secrets` gives the values in use."""

    def __init__(self, secrets: Callable[[], Iterable[str]] = tuple) -> None:
        super().__init__()
        self._secrets = secrets

    def filter(self, record: logging.LogRecord) -> bool:
        known = tuple(self._secrets())
        record.msg, record.args = redact(record.getMessage(), known), ()
        if record.exc_info:
            record.exc_text = redact(record.exc_text or logging.Formatter().formatException(record.exc_info), known)
            record.exc_info = None
        if record.stack_info:
            record.stack_info = redact(record.stack_info, known)
        return True


def quieten_libraries() -> None:
    """httpx logs whole URLs and httpcore whole headers; the door has a log of its own."""
    for name in ("httpx", "httpcore"):
        logging.getLogger(name).setLevel(logging.WARNING)
