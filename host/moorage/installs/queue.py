"""The queue of installs, as the runner and the service see it. `stored_queue.py` keeps it in the document store.

A record is written before anything is done for it. Each claim raises `attempt`, and a write of a run whose attempt has
passed is refused, so that a run that was thought dead cannot speak for its successor. Nothing here assumes that only
one process works on the queue: what one call promises, it promises over all who work on the same records.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable
from typing import Any, Protocol

from moorage.models import Install, Page, TimelineEntry


class InstallQueue(Protocol):
    def add(self, install: Install) -> Install:
        """Put a new record at the end; or give the one that has not ended, where there is one for the same file."""
        ...

    def get(self, id: str) -> Install:
        """Missing where there is none."""
        ...

    def list(
        self, states: tuple[str, ...] = (), *, limit: int | None = None, cursor: str | None = None
    ) -> Page[Install]:
        """Newest first."""
        ...

    def counts(self) -> dict[str, int]:
        """How many there are in each state."""
        ...

    def same(self, source: str, model: str, file: str, target: str) -> builtins.list[Install]:
        """Installs of the same file onto the same target, newest first."""
        ...

    def waiting(self) -> builtins.list[Install]:
        """The queued ones, in the order in which they will run."""
        ...

    def claim(self, limit: int, per_target: int, at_work: Callable[[str], int] = lambda target: 0) -> Install | None:
        """The next queued install, which is running from now on; None where `limit` run in all, or none may.

        No target has more than `per_target`. `at_work` is how many runs are at work on a target: some may not have
        ended yet though their records say so.
        """
        ...

    def change(
        self,
        id: str,
        *,
        attempt: int | None = None,
        generation: int | None = None,
        allowed: tuple[str, ...] = (),
        by_person: bool = False,
        again: bool = False,
        said: str | None = None,
        **fields: Any,
    ) -> Install:
        """Write fields of a record, and what is new in it to its timeline (in the words of `said` where given).

        Conflict when its state is not in `allowed`, when it does not run as `attempt` any more (`again` raises that:
        the run goes on as a new one), or when `generation` is not the present one (`by_person` raises that).
        """
        ...

    def move(self, id: str, *, before: str | None = None, generation: int | None = None) -> Install:
        """Put one before another queued one, or to the front."""
        ...

    def promised(self, before: Install | None = None) -> int:
        """Bytes that the installs which have not ended will still take on the disk of this host.

        With `before` only those count that run or come before this one, so that two which wait for room do not wait for
        one another.
        """
        ...

    def timeline(self, id: str) -> tuple[TimelineEntry, ...]:
        """What happened to an install, oldest first."""
        ...

    def remove(self, id: str) -> None:
        """Take one that has ended out of the history; Conflict for another, and for one that is being cleaned up."""
        ...
