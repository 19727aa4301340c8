"""Which plugins are installed. Reads metadata only: nothing is imported here."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.metadata import entry_points

API_VERSION = 1
GROUP = f"moorage.plugins.v{API_VERSION}"
_GROUP = re.compile(r"moorage\.plugins\.v(\d+)")
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,39}")
HOST_DISTRIBUTION = "moorage"


@dataclass(frozen=True, slots=True)
class Candidate:
    """One entry point: `api_version` comes from its group, `load` imports it."""

    name: str
    api_version: int
    load: Callable[[], object]
    distribution: str | None = None
    version: str | None = None

    @property
    def first_party(self) -> bool:
        return self.distribution == HOST_DISTRIBUTION

    @property
    def valid_name(self) -> bool:
        return _NAME.fullmatch(self.name) is not None


Discover = Callable[[], Iterable[Candidate]]


def installed() -> list[Candidate]:
    """All entry points of any version of our group, ours first, then by distribution and name."""
    found = []
    for group in sorted(entry_points().groups):
        match = _GROUP.fullmatch(group)
        if match is None:
            continue
        for point in entry_points(group=group):
            dist = point.dist
            found.append(
                Candidate(
                    name=point.name,
                    api_version=int(match[1]),
                    load=point.load,
                    distribution=dist.name if dist else None,
                    version=dist.version if dist else None,
                )
            )
    return sorted(found, key=lambda c: (not c.first_party, c.distribution or "", c.name))
