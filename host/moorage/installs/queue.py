"""The durable records of installs, and which of them may run next.

A record is written before anything is done for it. Each claim raises `attempt`, and a write of a run whose attempt has
passed is refused, so that a run that was thought dead cannot speak for its successor.
"""

from __future__ import annotations

import builtins
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

from moorage.clock import Clock
from moorage.errors import Conflict, Missing
from moorage.models import ENDED, Install, Page
from moorage.store import Store

HISTORY = 10_000


class InstallQueue:
    """The in-process queue; changes are serialised here, and the store refuses anybody else's stale write."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._documents = store.collection("installs", Install)
        self._clock = clock
        self._lock = threading.RLock()

    def add(self, install: Install) -> Install:
        with self._lock:
            last = max((item.order for item in self._documents.list()), default=0.0)
            return self._documents.put(install.model_copy(update={"order": last + 1.0}))

    def get(self, id: str) -> Install:
        install = self._documents.get(id)
        if install is None:
            raise Missing(f"There is no install {id}.", hint="It may have been removed from the history.")
        return install

    def list(
        self, states: tuple[str, ...] = (), *, limit: int | None = None, cursor: str | None = None
    ) -> Page[Install]:
        """Newest first."""
        where = {"state": list(states)} if states else None
        return self._documents.query(where, order_by="created_at", descending=True, limit=limit, cursor=cursor)

    def count(self, *states: str) -> int:
        return self._documents.count({"state": list(states)})

    def counts(self) -> dict[str, int]:
        return dict(Counter(install.state for install in self._documents.list()))

    def same(self, source: str, model: str, file: str, target: str) -> builtins.list[Install]:
        """Installs of the same file onto the same target, newest first."""
        where = {"source": source, "model": model, "file": file, "target": target}
        return list(self._documents.query(where, order_by="created_at", descending=True).items)

    def waiting(self) -> builtins.list[Install]:
        """The queued ones, in the order in which they will run."""
        return sorted(self._documents.query({"state": "queued"}).items, key=lambda item: item.order)

    def claim(self, running_per_target: Callable[[str], int], free: int, per_target: int = 1) -> builtins.list[Install]:
        """Up to `free` queued installs become running, at most `per_target` at once on each target."""
        claimed: builtins.list[Install] = []
        with self._lock:
            taken: dict[str, int] = {}
            for install in self.waiting():
                if len(claimed) >= free:
                    break
                busy = running_per_target(install.target) + taken.get(install.target, 0)
                if busy >= per_target:
                    continue
                taken[install.target] = taken.get(install.target, 0) + 1
                claimed.append(
                    self._documents.put(
                        install.model_copy(
                            update={
                                "state": "running",
                                "phase": "planning",
                                "reason": None,
                                "error": None,
                                "attempt": install.attempt + 1,
                                "completed": 0,  # until the plan says how much is really kept: it must not fall
                                "started_at": install.started_at or self._clock(),
                            }
                        )
                    )
                )
        return claimed

    def change(self, id: str, *, attempt: int | None = None, allowed: tuple[str, ...] = (), **fields: Any) -> Install:
        """Write fields of a record. Conflict when its state is not in `allowed` or the attempt has moved on."""
        with self._lock:
            install = self.get(id)
            if allowed and install.state not in allowed:
                raise Conflict(f"An install that is {install.state} does not allow this.")
            if attempt is not None and (install.attempt != attempt or install.state != "running"):
                raise Conflict("This run is over: the install has moved on.")
            state = fields.get("state", install.state)
            if state in ENDED and not install.ended:
                fields.setdefault("finished_at", self._clock())
            if state != "running":
                fields.setdefault("phase", None)
                fields.setdefault("bytes_per_second", None)
                fields.setdefault("seconds_left", None)
            return self._documents.put(install.model_copy(update=fields))

    def move(self, id: str, *, before: str | None = None) -> Install:
        """Put a queued install before another queued one, or to the front."""
        with self._lock:
            install = self.get(id)
            if install.state not in ("queued", "paused", "waiting", "scheduled"):
                raise Conflict(f"An install that is {install.state} has no place in the queue.")
            others = [item for item in self.waiting() if item.id != id]
            index = 0
            if before is not None:
                index = next((n for n, item in enumerate(others) if item.id == before), -1)
                if index < 0:
                    raise Conflict("The install to move before is not in the queue.")
            above = others[index - 1].order if index > 0 else None
            below = others[index].order if index < len(others) else None
            order = ((above if above is not None else (below or 0.0) - 2.0) + (below if below is not None else 0.0)) / 2
            return self._documents.put(install.model_copy(update={"order": order}))

    def remove(self, id: str) -> None:
        with self._lock:
            if not self.get(id).ended:
                raise Conflict("Only an install that has ended can leave the history.", hint="Cancel it first.")
            self._documents.delete(id)

    def recover(self) -> None:
        """After a start: what was running when the process ended goes back into the queue."""
        for install in self._documents.query({"state": "running"}).items:
            self.change(install.id, state="queued", reason="Moorage was restarted; it goes on from what is kept.")

    def trim(self) -> None:
        """Keep the history to a bounded length."""
        ended = self._documents.query({"state": list(ENDED)}, order_by="created_at", descending=True).items
        for install in ended[HISTORY:]:
            self._documents.delete(install.id)
