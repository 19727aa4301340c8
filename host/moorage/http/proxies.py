"""The proxy that a person has set; the environment is read elsewhere, and only as a setting."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from ssl import SSLContext
from urllib.parse import unquote, urlsplit

import httpcore

from moorage.http.addresses import literal, reach_of_host
from moorage.http.urls import WebAddress, parse_url


@dataclass(frozen=True, slots=True)
class ProxySettings:
    """`url` such as `http://user:password@proxy:3128`; `no_proxy` lists hosts, domains and networks, as for curl."""

    url: str | None = None
    no_proxy: str | None = None

    def url_for(self, address: WebAddress) -> str | None:
        """The proxy for this address, None to connect directly. This machine is never reached through a proxy."""
        if not self.url or reach_of_host(address.host) == "loopback":
            return None
        entries = (self.no_proxy or "").replace(",", " ").lower().split()
        return None if any(_matches(entry, address) for entry in entries) else self.url


def _matches(entry: str, address: WebAddress) -> bool:
    if entry == "*":
        return True
    if "/" in entry:
        ip = literal(address.host)
        try:
            return ip is not None and ip in ipaddress.ip_network(entry, strict=False)
        except ValueError:
            return False
    name, colon, port = entry.rpartition(":") if entry.count(":") == 1 or "]:" in entry else (entry, "", "")
    if colon and port != str(address.port):
        return False
    name = name.strip("[]").removeprefix("*").removeprefix(".")
    return address.host == name or address.host.endswith(f".{name}")


def httpcore_proxy(url: str, tls: SSLContext | None) -> httpcore.Proxy:
    """What httpcore needs to know; user and password may stand in the URL."""
    parts = urlsplit(url)
    plain = parse_url(parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl())
    auth = None
    if parts.username is not None:
        auth = (unquote(parts.username).encode(), unquote(parts.password or "").encode())
    return httpcore.Proxy(
        url=httpcore.URL(scheme=plain.scheme, host=plain.host, port=plain.port, target="/"),
        auth=auth,
        ssl_context=tls if plain.scheme == "https" else None,
    )
