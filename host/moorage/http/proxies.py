"""The proxy that a person has set; the environment is read elsewhere, and only as a setting."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from ssl import SSLContext
from urllib.parse import unquote, urlsplit

import httpcore

from moorage.errors import InvalidConfig
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


def split_proxy(url: str) -> tuple[str, str | None]:
    """The address of a proxy, and the `user:password` that stood in it. InvalidConfig for one that cannot work."""
    try:
        parts = urlsplit(url)
        userinfo, _, place = parts.netloc.rpartition("@")
        plain = parts._replace(netloc=place).geturl()
    except ValueError:
        raise InvalidConfig(
            "This web address cannot be used: its host name cannot be read.",
            hint="Write it like http://proxy.example.org:3128.",
        ) from None
    parse_url(plain)
    return plain, userinfo or None


def httpcore_proxy(url: str, tls: SSLContext | None) -> httpcore.Proxy:
    """What httpcore needs to know; user and password may stand in the URL."""
    address, userinfo = split_proxy(url)
    plain = parse_url(address)
    auth = None
    if userinfo is not None:
        user, _, password = userinfo.partition(":")
        auth = (unquote(user).encode(), unquote(password).encode())
    return httpcore.Proxy(
        url=httpcore.URL(scheme=plain.scheme, host=plain.host, port=plain.port, target="/"),
        auth=auth,
        ssl_context=tls if plain.scheme == "https" else None,
    )
