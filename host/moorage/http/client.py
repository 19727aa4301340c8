"""HTTP for one call: `Http` of `moorage.context`, and the walk through redirects that downloads need."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import httpcore
import httpx
import orjson
from pydantic import SecretStr

from moorage.errors import AuthFailed, BadAnswer, Cancelled, InvalidConfig, MoorageError, RedirectRefused, Unreachable
from moorage.http.addresses import ALLOWED, PUBLIC, Purpose, Reach, check_url, reach_of_host, refuse
from moorage.http.answers import Answer, Stream
from moorage.http.body import unpacked
from moorage.http.scope import CallScope, Exchange
from moorage.http.transport import POOL, Pool
from moorage.http.urls import WebAddress

log = logging.getLogger("moorage.http")

REQUEST_SECONDS = 300.0  # of a request in a call that has no deadline
STREAM_SECONDS = 30 * 60.0
MOST_HOPS = 5
REDIRECTS = (301, 302, 303, 307, 308)
Params = Mapping[str, Any] | Sequence[tuple[str, Any]] | None
Content = bytes | Iterable[bytes] | None


class Pools(Protocol):
    """Where a client gets its connections: the door."""

    http: httpx.Client

    def shared(self, purpose: Purpose, address: WebAddress) -> Pool: ...
    def own(self, address: WebAddress, exchange: Exchange, allowed: frozenset[Reach]) -> Pool: ...


class HttpClient:
    """What `door.client` gives: requests for one purpose within one call."""

    def __init__(self, pools: Pools, purpose: Purpose, scope: CallScope) -> None:
        self._pools = pools
        self._purpose: Purpose = purpose
        self._scope = scope

    def request(
        self,
        method: str,
        url: str,
        *,
        params: Params = None,
        headers: Mapping[str, str] | None = None,
        json: Any = None,
        content: Content = None,
        key: SecretStr | None = None,
        timeout: float | None = None,
    ) -> Answer:
        address = self._address(url, params)
        exchange = Exchange(self._scope, address.shown)
        if timeout is None and self._scope.endless:
            exchange.expect(REQUEST_SECONDS, None)  # after the last byte sent: an upload may take hours
        elif timeout is None and self._scope.until is None:
            timeout = REQUEST_SECONDS
        if timeout is not None:
            exchange.limit(timeout, f"{address.shown} did not answer within {timeout:g} s.")
        sent = self._headers(headers, key, "gzip", json)
        body = content if json is None else orjson.dumps(json)
        with self._followed(method, address, sent, body, exchange, shared=method in ("GET", "HEAD")) as response:
            encoding = response.headers.get("content-encoding", "")
            whole = b"".join(unpacked(_chunks(response, exchange), encoding, address.shown))
            return Answer(response.status_code, response.headers, str(response.url), whole)

    @contextmanager
    def stream(
        self,
        method: str,
        url: str,
        *,
        params: Params = None,
        headers: Mapping[str, str] | None = None,
        json: Any = None,
        content: Content = None,
        key: SecretStr | None = None,
        first_timeout: float | None = 300.0,
        idle_timeout: float | None = 60.0,
    ) -> Iterator[Stream]:
        address = self._address(url, params)
        exchange = Exchange(self._scope, address.shown)
        exchange.expect(first_timeout, idle_timeout)
        if not self._scope.endless:
            exchange.limit(STREAM_SECONDS, f"{address.shown} was still sending after {STREAM_SECONDS / 60:g} minutes.")
        sent = self._headers(headers, key, "identity", json)
        body = content if json is None else orjson.dumps(json)
        with self._followed(method, address, sent, body, exchange, shared=False) as response:
            chunks = _chunks(response, exchange)
            if self._scope.endless:
                yield Stream(response, chunks, address.shown, heard=exchange.heard, cap=None)
            else:
                yield Stream(response, chunks, address.shown, heard=exchange.heard)

    @contextmanager
    def download(
        self,
        url: str,
        *,
        headers: Mapping[str, str],
        key_for: Callable[[str], SecretStr | None],
        idle_timeout: float,
    ) -> Iterator[Stream]:
        """GET a file across origins, as from a hub to where its files are.

        `key_for(origin)` is the key for an origin, if it may have one; nothing else that is secret is sent. The walk
        ends after 5 hops, never leaves https, and reaches this machine or the local network only if it began there.
        """
        address = self._address(url, None)
        allowed = ALLOWED["download"]
        for hop in range(MOST_HOPS + 1):
            reach = reach_of_host(address.host)
            if reach is not None:  # also where a proxy makes the connection
                refuse(address.host, reach, allowed)
            exchange = Exchange(self._scope, address.shown)
            exchange.expect(idle_timeout, idle_timeout)
            sent = self._headers(headers, key_for(address.origin), "identity", None)
            pool = self._pools.own(address, exchange, allowed)
            with self._exchanged("GET", address, sent, None, exchange, pool) as response:
                if not _is_redirect(response):
                    yield Stream(response, _chunks(response, exchange), address.shown, heard=exchange.heard, cap=None)
                    return
                following = address.join(response.headers["location"])
            if address.scheme == "https" and following.scheme == "http":
                raise InvalidConfig(f"Redirect refused: {address.shown} sent us on without encryption.")
            if hop == 0:
                allowed = PUBLIC | pool.backend.seen | ({reach} if reach else set())
            address = following
        raise BadAnswer(f"{self._address(url, None).shown} sent us on more than {MOST_HOPS} times.")

    @contextmanager
    def _followed(
        self,
        method: str,
        address: WebAddress,
        headers: Mapping[str, str],
        body: Content,
        exchange: Exchange,
        shared: bool,
    ) -> Iterator[httpx.Response]:
        """The answer after redirects within the origin. Another origin is refused: it was not given the key."""
        for _ in range(MOST_HOPS + 1):
            if shared:
                pool = self._pools.shared(self._purpose, address)
            else:
                pool = self._pools.own(address, exchange, ALLOWED[self._purpose])
            with self._exchanged(method, address, headers, body, exchange, pool) as response:
                if not _is_redirect(response):
                    yield response
                    return
                following = address.join(response.headers["location"])
                status, answered = response.status_code, response.headers
            if following.origin != address.origin:
                raise RedirectRefused(
                    f"Redirect refused: {address.shown} sent us on to {following.shown}.",
                    location=following.origin,
                    headers=answered,
                    hint="If that is the right address, enter it in the settings.",
                )
            if method not in ("GET", "HEAD") and (status not in (307, 308) or not isinstance(body, bytes | None)):
                raise InvalidConfig(
                    f"{address.shown} answered a {method} with a redirect ({status}), which cannot be followed.",
                    hint="Check the address in the settings.",
                )
            address = following
        raise BadAnswer(f"{address.shown} sent us on more than {MOST_HOPS} times.")

    @contextmanager
    def _exchanged(
        self,
        method: str,
        address: WebAddress,
        headers: Mapping[str, str],
        body: Content,
        exchange: Exchange,
        pool: Pool,
    ) -> Iterator[httpx.Response]:
        """One request and its answer, closed at the end of the block. Errors have the names of `moorage.errors`."""
        started = time.monotonic()
        status: int | str = "stopped"
        response: httpx.Response | None = None
        try:
            if self._pools.http.is_closed:
                raise Cancelled("Moorage is stopping.")
            with _errors_named(exchange):
                request = self._pools.http.build_request(
                    method, address.url, headers=headers, content=body, extensions={POOL: pool}
                )
                response = self._send(request, exchange, pool)
            status = response.status_code
            yield response
        except MoorageError as error:
            status = f"{status} {error.code}"
            raise
        finally:
            exchange.end()
            if response is not None:
                response.close()
            took = (time.monotonic() - started) * 1000
            log.debug("%s %s %s %.0f ms", method, address.without_query, status, took)

    def _send(self, request: httpx.Request, exchange: Exchange, pool: Pool) -> httpx.Response:
        pool.serve(exchange)
        try:
            return self._pools.http.send(request, stream=True)
        except (Unreachable, httpcore.RemoteProtocolError):
            # The server may close a kept connection just as it is used again: that says nothing about the server.
            if exchange.connected or exchange.received or request.method not in ("GET", "HEAD"):
                raise
            exchange.time_left()
            return self._pools.http.send(request, stream=True)

    def _address(self, url: str, params: Params) -> WebAddress:
        address = check_url(url, self._purpose)
        if not params:
            return address
        pairs = params.items() if isinstance(params, Mapping) else params
        query = httpx.QueryParams([(name, value) for name, each in pairs for value in _values(each)])
        return WebAddress(address.scheme, address.host, address.port, address.url.copy_merge_params(query))

    def _headers(
        self, given: Mapping[str, str] | None, key: SecretStr | None, encoding: str, json: Any
    ) -> dict[str, str]:
        headers = {"Accept-Encoding": encoding, **(given or {})}
        if json is not None:
            headers.setdefault("Content-Type", "application/json")
        if key is not None:
            text = key.get_secret_value()
            if not text.isascii() or not text.isprintable() or " " in text:
                raise AuthFailed("The key has characters in it that no key has.", hint="Copy and enter it again.")
            headers["Authorization"] = f"Bearer {text}"
        return headers


def _values(value: Any) -> Iterable[Any]:
    return value if isinstance(value, list | tuple) else (value,)


def _is_redirect(response: httpx.Response) -> bool:
    return response.status_code in REDIRECTS and "location" in response.headers


def _chunks(response: httpx.Response, exchange: Exchange) -> Iterator[bytes]:
    """The body as it comes. (httpx's own iterators would hand the connection back before the exchange has let go.)"""
    assert isinstance(response.stream, httpx.SyncByteStream)
    with _errors_named(exchange):
        yield from response.stream


@contextmanager
def _errors_named(exchange: Exchange) -> Iterator[None]:
    try:
        yield
    except (httpcore.RemoteProtocolError, httpx.RemoteProtocolError):
        if exchange.ended_by_peer:
            raise exchange.broken() from None
        raise BadAnswer(f"{exchange.remote} does not speak HTTP as it should.") from None
    except (httpcore.ProxyError, httpx.ProxyError) as error:
        raise Unreachable(
            f"The proxy did not let us through to {exchange.remote} ({error}).", hint="Check the proxy in the settings."
        ) from None
    except (httpcore.LocalProtocolError, httpx.LocalProtocolError, httpx.InvalidURL, UnicodeEncodeError):
        raise InvalidConfig(
            f"The request to {exchange.remote} cannot be sent: a header has characters that are not allowed."
        ) from None
    except (httpcore.NetworkError, httpcore.TimeoutException):
        raise exchange.broken() from None
