"""Which network addresses may be reached for which purpose.

Names and spellings prove nothing (`127.1`, `0x7f000001`, a rebinding name server): addresses are classified after they
were resolved, and the connection goes to the very address that was classified.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Iterable
from typing import Literal

from moorage.errors import InvalidConfig
from moorage.http.urls import WebAddress, parse_url

Purpose = Literal["provider", "download", "tool"]
Reach = Literal["public", "lan", "loopback", "never"]
IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

ANYWHERE: frozenset[Reach] = frozenset({"public", "lan", "loopback"})
PUBLIC: frozenset[Reach] = frozenset({"public"})
# A download may start anywhere, at a mirror that someone has set up; where it may be sent on to follows from that.
ALLOWED: dict[Purpose, frozenset[Reach]] = {"provider": ANYWHERE, "download": ANYWHERE, "tool": PUBLIC}

_WORDS = {"public": "the internet", "lan": "the local network", "loopback": "this machine", "never": "a reserved range"}
# Cloud metadata services hand out credentials to whoever asks. The first two ranges hold most of them.
_NEVER: tuple[Network, ...] = tuple(
    ipaddress.ip_network(text)
    for text in (
        "169.254.0.0/16",
        "fe80::/10",
        "fd00:ec2::/32",
        "fd20:ce::/32",
        "100.100.100.200/32",
        "168.63.129.16/32",
        "192.0.0.192/32",
        "0.0.0.0/8",
        "224.0.0.0/3",
        "::/128",
        "ff00::/8",
        "fec0::/10",
    )
)
_METADATA_NAMES = frozenset({"metadata", "metadata.google.internal", "instance-data", "instance-data.ec2.internal"})
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_NAT64_LOCAL = ipaddress.IPv6Network("64:ff9b:1::/48")
_COMPATIBLE = ipaddress.IPv6Network("::/96")
_NUMBER_LAST = re.compile(r"(?:.*\.)?(?:[0-9]+|0x[0-9a-f]*)\.?")


def classify(address: IPAddress) -> Reach:
    """How far away an address is; IPv4 addresses that hide in IPv6 ones count as what they are."""
    if any(address in network for network in _NEVER):
        return "never"
    if address.is_loopback:
        return "loopback"
    if isinstance(address, ipaddress.IPv6Address):
        inner = _embedded(address)
        if inner:
            reaches = {classify(each) for each in inner}
            return next(reach for reach in ("never", "loopback", "lan", "public") if reach in reaches)
        if address in _NAT64_LOCAL:
            return "lan"
    return "public" if address.is_global else "lan"


def _embedded(address: ipaddress.IPv6Address) -> list[ipaddress.IPv4Address]:
    if address.ipv4_mapped:
        return [address.ipv4_mapped]
    if address.teredo:
        return list(address.teredo)
    if address.sixtofour:
        return [address.sixtofour]
    if address in _NAT64 or address in _COMPATIBLE:
        return [ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)]
    return []


def literal(host: str) -> IPAddress | None:
    """The address that a host is a spelling of, None for a name. InvalidConfig for a number that is no address."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        pass
    if not _NUMBER_LAST.fullmatch(host):
        return None
    try:
        # The C library's rules, also octal, hexadecimal and short forms: getaddrinfo would apply the same.
        return ipaddress.IPv4Address(socket.inet_aton(host.removesuffix(".")))
    except OSError:
        raise InvalidConfig(f"{host} is not a network address.", hint="Write it like 192.168.1.20.") from None


def reach_of_host(host: str) -> Reach | None:
    """The reach of a host as far as its spelling alone tells, None for a name that must be resolved first."""
    address = literal(host)
    if address is not None:
        return classify(address)
    if host in _METADATA_NAMES:
        return "never"
    return "loopback" if host == "localhost" or host.endswith(".localhost") else None


def admit(host: str, addresses: Iterable[IPAddress], allowed: frozenset[Reach]) -> list[IPAddress]:
    """The addresses to connect to. InvalidConfig if one of them is out of bounds.

    A link-local one beside others is passed over, not refused: multicast DNS names on a home network have one.
    """
    found = list(addresses)
    usable = [each for each in found if not each.is_link_local] or found
    for address in usable:
        refuse(host, classify(address), allowed)
    return usable


def refuse(host: str, reach: Reach, allowed: frozenset[Reach]) -> None:
    """InvalidConfig where `reach` is not allowed."""
    if reach not in allowed:
        raise InvalidConfig(
            f"{host} may not be reached: it is an address of {_WORDS[reach]}.",
            hint="Use another address." if reach == "never" else "Only addresses of the internet are allowed here.",
        )


def check_url(url: str, purpose: Purpose) -> WebAddress:
    """Check a setting without connecting anywhere; InvalidConfig says what is wrong. Names are not resolved."""
    address = parse_url(url)
    reach = reach_of_host(address.host)
    if reach is not None:
        refuse(address.host, reach, ALLOWED[purpose])
    return address
