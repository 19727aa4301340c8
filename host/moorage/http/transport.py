"""httpx over the pools of the door: each request names its pool, and nothing else of httpx's own network code runs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from http.cookiejar import CookieJar, DefaultCookiePolicy
from ssl import SSLContext

import httpcore
import httpx

from moorage.http.addresses import Reach
from moorage.http.proxies import httpcore_proxy
from moorage.http.scope import Exchange
from moorage.http.sockets import Backend, Resolver

POOL = "moorage.pool"
KEPT_CONNECTIONS = 20
KEPT_SECONDS = 30.0


class Pool:
    """Connections of one purpose, directly or through one proxy. With `own` it serves one exchange and keeps none."""

    def __init__(
        self,
        *,
        resolver: Resolver,
        allowed: frozenset[Reach],
        tls: SSLContext | None,
        proxy: str | None = None,
        own: Exchange | None = None,
    ) -> None:
        self._thread = threading.local()
        current: Callable[[], Exchange] = self._of_this_thread if own is None else lambda: own
        self.backend = Backend(current, resolver, allowed, to_proxy=proxy is not None)
        self._pool = httpcore.ConnectionPool(
            ssl_context=tls,
            proxy=None if proxy is None else httpcore_proxy(proxy, tls),
            max_connections=None,
            max_keepalive_connections=0 if own else KEPT_CONNECTIONS,
            keepalive_expiry=KEPT_SECONDS,
            network_backend=self.backend,
        )

    def serve(self, exchange: Exchange) -> None:
        """Connections used by this thread work for `exchange` from now on."""
        self._thread.exchange = exchange

    def send(self, request: httpcore.Request) -> httpcore.Response:
        return self._pool.handle_request(request)

    def close(self) -> None:
        self._pool.close()

    def _of_this_thread(self) -> Exchange:
        exchange = self._thread.exchange
        assert isinstance(exchange, Exchange)
        return exchange


class PoolTransport(httpx.BaseTransport):
    """Sends each request through the pool in its extensions."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        pool = request.extensions[POOL]
        assert isinstance(pool, Pool)
        assert isinstance(request.stream, Iterable)
        url = request.url
        answer = pool.send(
            httpcore.Request(
                method=request.method,
                url=httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
                headers=request.headers.raw,
                content=request.stream,
            )
        )
        return httpx.Response(answer.status, headers=answer.headers, stream=_Body(answer), extensions=answer.extensions)


class _Body(httpx.SyncByteStream):
    def __init__(self, answer: httpcore.Response) -> None:
        self._answer = answer

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._answer.iter_stream())

    def close(self) -> None:
        self._answer.close()


def new_client(user_agent: str) -> httpx.Client:
    """The one httpx client of a door: no environment, no redirects, no cookies, no connections of its own."""
    return httpx.Client(
        transport=PoolTransport(),
        trust_env=False,
        follow_redirects=False,
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
        headers={"User-Agent": user_agent, "Accept": "*/*"},
    )
