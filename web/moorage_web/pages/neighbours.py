"""Where a queued install stands: between which others, and what it waits for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from moorage.models import Install


@dataclass(frozen=True, slots=True)
class Neighbours:
    """`ahead` is how many come first on its target; `limit` how many may run at a time, where only that holds it."""

    above: Install | None
    below: Install | None
    ahead: int = 0
    limit: int | None = None


def neighbours(
    queue: Sequence[Install], running: Sequence[Install] = (), *, limit: int = 1, per_target: int = 1
) -> dict[str, Neighbours]:
    """Of each install of a queue, which is in the order in which it will run; the settings say how many may."""
    around = [None, *queue, None]
    at_work, ahead = Counter(install.target for install in running), Counter[str]()
    found = {}
    for index, item in enumerate(queue):
        first = ahead[item.target]
        has_room = at_work[item.target] + first < per_target
        held = limit if has_room and len(running) >= limit else None
        found[item.id] = Neighbours(around[index], around[index + 2], first, held)
        ahead[item.target] += 1
    return found
