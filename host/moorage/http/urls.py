"""Web addresses, read strictly: what two parsers could understand differently is refused.

Source of the tricks: GHSA reports on `urlparse` against the connecting library, and the "bad port" list of the Fetch
standard (https://fetch.spec.whatwg.org/#bad-port), to which common databases were added.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import httpx

from moorage.errors import InvalidConfig

DEFAULT_PORTS = {"http": 80, "https": 443}
LONGEST = 8192
_EXAMPLE = "Write it like https://example.org or http://127.0.0.1:11434."
_UNPRINTABLE = re.compile(r"[\x00-\x20\x7f-\x9f\\\s]")
_AUTHORITY = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\[\]:%@]+)(?::([0-9]{0,5}))?")
_NAME = re.compile(r"[a-z0-9_](?:[a-z0-9_.-]{0,251}[a-z0-9_-])?\.?")
# Services of other kinds that understand enough of a request to be hurt by one.
# fmt: off
_BAD_PORTS = frozenset({
    0, 1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101, 102, 103, 104, 109,
    110, 111, 113, 115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427, 445, 465, 512, 513, 514, 515, 526,
    530, 531, 532, 540, 548, 554, 556, 563, 587, 601, 636, 989, 990, 993, 995, 1719, 1720, 1723, 2049, 3306, 3389,
    3659, 4045, 4190, 5060, 5061, 5432, 6000, 6379, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 10080, 11211,
    27017,
})
# fmt: on


@dataclass(frozen=True, slots=True)
class WebAddress:
    """A checked address. `host` is ASCII in lower case, an IPv6 address without its brackets."""

    scheme: str
    host: str
    port: int
    url: httpx.URL

    @property
    def origin(self) -> str:
        """`https://host:443`"""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"

    @property
    def shown(self) -> str:
        """The origin as people write it, for messages: a usual port is left out."""
        usual = self.port == DEFAULT_PORTS[self.scheme]
        return self.origin.rpartition(":")[0] if usual else self.origin

    @property
    def without_query(self) -> str:
        """For logs: a query may be a signature, and that is a credential."""
        return self.shown + self.url.raw_path.partition(b"?")[0].decode("ascii")

    def join(self, reference: str) -> WebAddress:
        """Where a `Location` header with this value leads."""
        if _UNPRINTABLE.search(reference):
            raise InvalidConfig(f"{self.shown} sent us on to something that is not a web address.")
        try:
            return parse_url(str(self.url.join(reference)))
        except httpx.InvalidURL:
            raise InvalidConfig(f"{self.shown} sent us on to something that is not a web address.") from None


def parse_url(url: str) -> WebAddress:
    """The address, or InvalidConfig with a sentence that says what is wrong with it. No I/O."""
    if _UNPRINTABLE.search(url) or len(url) > LONGEST:
        raise _refused("it has spaces, control characters or backslashes in it, or is too long")
    scheme, mark, rest = url.partition("://")
    scheme = scheme.lower()
    if not mark or scheme not in DEFAULT_PORTS:
        raise _refused("it does not begin with http:// or https://")
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    if "@" in authority or "@" in rest.partition("#")[2]:
        raise _refused(
            "it has a user name in it", "Leave out what stands before the @ sign; keys have their own field."
        )
    found = _AUTHORITY.fullmatch(authority)
    if found is None:
        raise _refused("its host name cannot be read")
    port = int(found[2] or DEFAULT_PORTS[scheme])
    if port in _BAD_PORTS or port > 65535:
        raise _refused(f"port {port} belongs to another kind of service")
    try:
        parsed = httpx.URL(url).copy_with(fragment=None)
        host = parsed.raw_host.decode("ascii").lower()
    except (httpx.InvalidURL, ValueError):
        raise _refused("its host name cannot be read") from None
    written = found[1].strip("[]").lower()
    same_port = (parsed.port or DEFAULT_PORTS[scheme]) == port
    if not same_port or (written.isascii() and written != host) or not (":" in host or _NAME.fullmatch(host)):
        raise _refused("its host name cannot be read")
    return WebAddress(scheme, host.removesuffix("."), port, parsed)


def origin(url: str) -> str:
    """Scheme, host and port in one normal form, such as `https://host:443`. InvalidConfig where there is none."""
    return parse_url(url).origin


def _refused(reason: str, hint: str = _EXAMPLE) -> InvalidConfig:
    return InvalidConfig(f"This web address cannot be used: {reason}.", hint=hint)
