"""The one door to the network: every request that leaves Moorage goes through a `HttpDoor`."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from ssl import SSLContext

from moorage.http.addresses import ALLOWED, Purpose, Reach
from moorage.http.client import HttpClient
from moorage.http.proxies import ProxySettings
from moorage.http.redact import quieten_libraries
from moorage.http.scope import CallScope, Exchange
from moorage.http.sockets import Resolver
from moorage.http.tls import default_tls
from moorage.http.transport import Pool, new_client
from moorage.http.urls import WebAddress


class HttpDoor:
    """Connections, limits and rules for all that goes out. Thread-safe.

    `proxy` is asked anew for each request, so that a changed setting takes effect at once. `resolver` has the signature
    of `socket.getaddrinfo`; `tls` makes the context that checks certificates, when one is first needed.
    """

    def __init__(
        self,
        *,
        proxy: Callable[[], ProxySettings] = ProxySettings,
        user_agent: str = "moorage",
        resolver: Resolver = socket.getaddrinfo,
        tls: Callable[[], SSLContext] = default_tls,
    ) -> None:
        quieten_libraries()
        self.http = new_client(user_agent)
        self._proxy = proxy
        self._resolver = resolver
        self._make_tls = tls
        self._tls: SSLContext | None = None
        self._pools: dict[tuple[Purpose, str | None, bool], Pool] = {}
        self._lock = threading.Lock()

    def client(self, purpose: Purpose, *, scope: CallScope | None = None) -> HttpClient:
        """HTTP for one call; without a scope it cannot be stopped from outside."""
        return HttpClient(self, purpose, scope or CallScope(None))

    def close(self) -> None:
        """Close the kept connections. Calls that are under way have their own."""
        with self._lock:
            pools, self._pools = list(self._pools.values()), {}
        for pool in pools:
            pool.close()
        self.http.close()

    def shared(self, purpose: Purpose, address: WebAddress) -> Pool:
        """The pool that keeps connections for this purpose, on the way that leads to this address."""
        proxy = self._proxy().url_for(address)
        secure = _needs_tls(address, proxy)
        with self._lock:
            pool = self._pools.get((purpose, proxy, secure))
        if pool is None:
            tls = self._context(secure)
            with self._lock:
                pool = self._pools.setdefault(
                    (purpose, proxy, secure),
                    Pool(resolver=self._resolver, allowed=ALLOWED[purpose], tls=tls, proxy=proxy),
                )
        return pool

    def own(self, address: WebAddress, exchange: Exchange, allowed: frozenset[Reach]) -> Pool:
        """A pool for one exchange, whose connection nobody had before and nobody gets after."""
        proxy = self._proxy().url_for(address)
        tls = self._context(_needs_tls(address, proxy))
        return Pool(resolver=self._resolver, allowed=allowed, tls=tls, proxy=proxy, own=exchange)

    def _context(self, needed: bool) -> SSLContext | None:
        if needed and self._tls is None:
            made = self._make_tls()
            with self._lock:
                self._tls = self._tls or made
        return self._tls


def _needs_tls(address: WebAddress, proxy: str | None) -> bool:
    return address.scheme == "https" or (proxy is not None and proxy.startswith("https://"))
