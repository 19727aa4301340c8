"""The forms in which an Ollama server's address is written in OLLAMA_HOST.

Source: `envconfig.Host` and `ConnectableHost` of ollama/ollama: `[scheme://]host[:port][/path]`.
"""

from __future__ import annotations

import ipaddress

DEFAULT_ENDPOINT = "http://127.0.0.1:11434"
_PORTS = {"http": "80", "https": "443"}


def endpoint_of(host: str) -> str:
    """The address that a client connects to; the usual one for an empty `host`. Never fails, like Ollama itself."""
    text = host.strip().strip("\"'").strip()
    scheme, mark, rest = text.partition("://")
    scheme = scheme.lower()
    if not mark:
        scheme, rest = "http", text
    usual_port = _PORTS.get(scheme, "11434") if mark else "11434"
    authority, slash, path = rest.partition("/")
    name, port = _split(authority)
    if not (port.isascii() and port.isdigit() and int(port) <= 65535):
        port = usual_port
    path = path.strip("/")
    return f"{scheme}://{_connectable(name)}:{port}" + (f"/{path}" if slash and path else "")


def _split(authority: str) -> tuple[str, str]:
    """Host and port; an IPv6 address with or without its brackets."""
    if authority.startswith("["):
        name, _, port = authority[1:].partition("]")
        return name, port.removeprefix(":")
    if authority.count(":") > 1:
        return authority, ""
    name, _, port = authority.partition(":")
    return name, port


def _connectable(name: str) -> str:
    """An address to bind to all interfaces is none to connect to."""
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return name or "127.0.0.1"
    if address.is_unspecified:
        return "127.0.0.1" if address.version == 4 else "[::1]"
    return f"[{address}]" if address.version == 6 else str(address)
