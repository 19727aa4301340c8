"""A small client for our own server, for the command line: by its address, or in this process without one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Self

import httpx

from moorage.errors import Unreachable
from moorage.http.answers import Answer, Stream

WSGI = Callable[..., Iterable[bytes]]
IN_PROCESS = "http://127.0.0.1"
Params = Mapping[str, Any] | Sequence[tuple[str, Any]] | None


class ApiClient:
    """Requests to one server; `path` begins with a slash. Unreachable where nothing answers."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client

    def request(
        self, method: str, path: str, *, params: Params = None, json: Any = None, timeout: float | None = 60.0
    ) -> Answer:
        with self._sent(method, path, params, json, timeout) as response:
            content = response.read()
            return Answer(response.status_code, response.headers, str(response.url), content)

    @contextmanager
    def stream(
        self, method: str, path: str, *, params: Params = None, json: Any = None, timeout: float | None = 60.0
    ) -> Iterator[Stream]:
        """`timeout` in seconds between bytes."""
        with self._sent(method, path, params, json, timeout) as response:
            yield Stream(response, response.iter_raw(), str(self._client.base_url), cap=None)

    def close(self) -> None:
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def _sent(
        self, method: str, path: str, params: Params, json: Any, timeout: float | None
    ) -> Iterator[httpx.Response]:
        pairs = params if params is None or isinstance(params, Mapping) else list(params)
        limits = httpx.Timeout(timeout, connect=5.0)
        try:
            with self._client.stream(method, path, params=pairs, json=json, timeout=limits) as response:
                yield response
        except httpx.TransportError as error:
            where = str(self._client.base_url).rstrip("/")
            if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
                raise Unreachable(f"No Moorage server answers at {where}.", hint="Start it: moorage serve") from None
            raise Unreachable(f"The connection to {where} was cut.", hint="Try again.") from None


def api_client(base_url: str | None = None, app: WSGI | None = None, *, token: str | None = None) -> ApiClient:
    """A client for the server at `base_url`, or for the WSGI application `app` in this process."""
    headers = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "moorage-cli"}
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    transport = None if app is None else httpx.WSGITransport(app=app)
    return ApiClient(
        httpx.Client(base_url=base_url or IN_PROCESS, headers=headers, transport=transport, trust_env=False)
    )
