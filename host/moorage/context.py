"""PluginContext: all that a plugin may use, handed to it with each call."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from pydantic import SecretStr

from moorage.models import FilePart, InstallProgress


@dataclass(frozen=True, slots=True)
class ServerSentEvent:
    """One event of a `text/event-stream`; `event` is `message` where none is named, `data` lines are joined."""

    event: str
    data: str


class HttpResponse(Protocol):
    """A whole answer. Any status is an answer: the caller decides what it means."""

    @property
    def status(self) -> int: ...
    @property
    def headers(self) -> Mapping[str, str]:
        """Case-insensitive."""
        ...

    @property
    def url(self) -> str:
        """Where the answer came from, after redirects."""
        ...

    @property
    def content(self) -> bytes: ...
    @property
    def text(self) -> str: ...
    def json(self) -> Any:
        """The parsed body; BadAnswer when it is not JSON."""
        ...


class HttpStream(Protocol):
    """An answer whose body is still coming. Leaving the `with` block closes the connection at once."""

    @property
    def status(self) -> int: ...
    @property
    def headers(self) -> Mapping[str, str]: ...
    @property
    def url(self) -> str: ...
    def read(self) -> bytes:
        """The rest of the body, capped; for an error answer."""
        ...

    def lines(self) -> Iterator[bytes]:
        """Lines without their ends, a last one without an end too. BadAnswer for one over 1 MiB."""
        ...

    def events(self) -> Iterator[ServerSentEvent]:
        """Server-sent events (CRLF, BOM, comments, several data lines and an unterminated last event understood)."""
        ...


class Http(Protocol):
    """HTTP to the service a plugin knows.

    No proxy from the environment, capped bodies, checked addresses. `key` is sent as `Authorization: Bearer …`.
    Redirects are followed within the origin only; another origin is refused. Raises Unreachable (no connection, no
    answer in time, a cut body), BadAnswer (over a cap), InvalidConfig (an address that may not be reached),
    RedirectRefused (an InvalidConfig: sent on to another origin, with what that answer said), Cancelled (the call was
    stopped). It may be used from several threads of one call at once, as when one uploads and another tells how far it
    is.
    """

    def request(
        self,
        method: str,
        url: str,
        *,
        params: Mapping[str, Any] | Sequence[tuple[str, Any]] | None = None,
        headers: Mapping[str, str] | None = None,
        json: Any = None,
        content: bytes | Iterable[bytes] | None = None,
        key: SecretStr | None = None,
        timeout: float | None = None,
    ) -> HttpResponse:
        """`timeout` in seconds for the whole call; None is what is left of the call's deadline."""
        ...

    def stream(
        self,
        method: str,
        url: str,
        *,
        params: Mapping[str, Any] | Sequence[tuple[str, Any]] | None = None,
        headers: Mapping[str, str] | None = None,
        json: Any = None,
        content: bytes | Iterable[bytes] | None = None,
        key: SecretStr | None = None,
        first_timeout: float | None = 300.0,
        idle_timeout: float | None = 60.0,
    ) -> AbstractContextManager[HttpStream]:
        """`first_timeout`: seconds until the first byte of the body; `idle_timeout`: seconds between bytes after it."""
        ...


Fetch = Callable[[Sequence[FilePart]], Generator[InstallProgress, None, tuple[Path, ...]]]
"""Downloads files: a generator of progress that returns their paths, in the same order."""


@dataclass(frozen=True, slots=True)
class PluginContext:
    """What one call of a plugin may use.

    `config` is the plugin's own settings (an instance of its `register_config` model, or None); `data_dir` a directory
    of its own; `deadline` the seconds this call may take, None for a generator. `fetch(parts)` downloads files into the
    data directory, verified and resumable: `paths = yield from context.fetch(plan.files)`. It is there in
    `install_model` only and raises Unsupported elsewhere. `cancelled()` tells whether the call was stopped, for code
    that waits for something other than `http`.
    """

    plugin: str
    config: Any
    http: Http
    fetch: Fetch
    data_dir: Path
    log: logging.Logger
    deadline: float | None = None
    cancelled: Callable[[], bool] = lambda: False
