"""The queue of installs in the document store: one record each, and a timeline beside it."""

from __future__ import annotations

import builtins
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from moorage.clock import Clock
from moorage.errors import Conflict, Missing
from moorage.installs.timeline import Timelines
from moorage.models import ACTIVE, ENDED, Install, Page, TimelineEntry
from moorage.store import Store

HISTORY = 2_000  # each write takes longer the more there are
PLACED = ("queued", "paused", "waiting", "scheduled")  # these have a place in the queue
MAY_BE = {
    "scheduled": "It can be started, paused, moved or cancelled.",
    "queued": "It can be paused, moved or cancelled.",
    "running": "It can be paused or cancelled.",
    "paused": "It can be resumed, moved or cancelled.",
    "waiting": "It can be resumed, paused, moved or cancelled.",
    "installed": "It can be taken out of the history.",
    "failed": "It can be retried, or taken out of the history.",
    "cancelled": "It can be retried, or taken out of the history.",
}
TRIES = 10  # of a write that another process was faster with
FINEST = 1e-6  # between two places in the queue; below it they are numbered anew


class StoredQueue:
    """An `InstallQueue`. Changes are serialised in this process, and the store refuses a stale write of another."""

    def __init__(self, store: Store, clock: Clock, history: int = HISTORY) -> None:
        self._documents = store.collection("installs", Install)
        self._timelines = Timelines(store, clock)
        self._clock = clock
        self._history = history
        self._lock = threading.RLock()

    def add(self, install: Install) -> Install:
        with self._lock:
            for other in self.same(install.source, install.model, install.file, install.target):
                if other.state in ACTIVE:
                    return other
            last = max((item.order for item in self._documents.list()), default=0.0)
            added = self._documents.put(install.model_copy(update={"order": last + 1.0}))
            self._timelines.tell(None, added)
            return added

    def get(self, id: str) -> Install:
        install = self._documents.get(id)
        if install is None:
            raise Missing(f"There is no install {id}.", hint="It may have been removed from the history.")
        return install

    def list(
        self, states: tuple[str, ...] = (), *, limit: int | None = None, cursor: str | None = None
    ) -> Page[Install]:
        where = {"state": list(states)} if states else None
        return self._documents.query(where, order_by="created_at", descending=True, limit=limit, cursor=cursor)

    def counts(self) -> dict[str, int]:
        return dict(Counter(install.state for install in self._documents.list()))

    def same(self, source: str, model: str, file: str, target: str) -> builtins.list[Install]:
        where = {"source": source, "model": model, "file": file, "target": target}
        return list(self._documents.query(where, order_by="created_at", descending=True).items)

    def waiting(self) -> builtins.list[Install]:
        return sorted(self._documents.query({"state": "queued"}).items, key=lambda item: item.order)

    def claim(self, limit: int, per_target: int, at_work: Callable[[str], int] = lambda target: 0) -> Install | None:
        with self._lock:
            running = Counter(install.target for install in self._documents.query({"state": "running"}).items)
            if running.total() >= limit:
                return None
            for install in self.waiting():
                if max(running[install.target], at_work(install.target)) < per_target:
                    with suppress(Conflict):  # another process has claimed or changed it in between
                        return self._claimed(install)
        return None

    def _claimed(self, install: Install) -> Install:
        fields: dict[str, Any] = {
            "state": "running",
            "phase": "planning",
            "reason": None,
            "error": None,
            "starts_at": None,
            "attempt": install.attempt + 1,
            "completed": 0,  # until the plan says how much is really kept: it must not fall
            "started_at": install.started_at or self._clock(),
        }
        claimed = self._documents.put(install.model_copy(update=fields))
        self._timelines.tell(install, claimed)
        return claimed

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
        with self._lock:
            for left in reversed(range(TRIES)):
                install = self.get(id)
                self._refuse(install, attempt, generation, allowed)
                changed = install.model_copy(update=self._completed(install, fields, by_person, again))
                try:
                    changed = self._documents.put(changed)
                    break
                except Conflict:
                    if not left:
                        raise
            self._timelines.tell(install, changed, said)
            if changed.ended and not install.ended:
                self._trim()
            return changed

    def _refuse(
        self, install: Install, attempt: int | None, generation: int | None, allowed: tuple[str, ...] = ()
    ) -> None:
        if generation is not None and install.generation != generation:
            raise Conflict(
                f"{install.model} has been changed in the meantime: it is {install.state} now.",
                hint="Nothing was done. Look at it again, then choose.",
            )
        if allowed and install.state not in allowed:
            raise Conflict(f"An install that is {install.state} does not allow this.", hint=MAY_BE[install.state])
        if attempt is not None and (install.attempt != attempt or install.state != "running"):
            raise Conflict("This run is over: the install has moved on.")

    def _completed(self, install: Install, fields: dict[str, Any], by_person: bool, again: bool) -> dict[str, Any]:
        state = fields.get("state", install.state)
        if again:
            fields = {**fields, "attempt": install.attempt + 1}
        if by_person:
            fields = {**fields, "generation": install.generation + 1}
        if state in ENDED and not install.ended:
            fields = {"finished_at": self._clock(), **fields}
        if state != "running":
            fields = {"phase": None, "bytes_per_second": None, "seconds_left": None, **fields}
        if state != "scheduled":
            fields = {"starts_at": None, **fields}
        return fields

    def move(self, id: str, *, before: str | None = None, generation: int | None = None) -> Install:
        with self._lock:
            install = self.get(id)
            self._refuse(install, None, generation)
            if install.state not in PLACED:
                raise Conflict(f"An install that is {install.state} has no place in the queue.")
            placed = self._documents.query({"state": list(PLACED)}).items
            others = sorted((item for item in placed if item.id != id), key=lambda item: item.order)
            index = 0
            if before is not None:
                index = next((n for n, item in enumerate(others) if item.id == before), -1)
                if index < 0:
                    raise Conflict("The install to move before is not in the queue.")
            below = others[index].order if index < len(others) else install.order
            above = others[index - 1].order if index > 0 else below - 2.0
            if below - above < FINEST and index < len(others):
                for place, item in enumerate(others):
                    self.change(item.id, order=float(place + 1))
                below, above = float(index + 1), float(index)
            return self.change(id, by_person=True, order=(above + below) / 2)

    def promised(self, before: Install | None = None) -> int:
        active = self._documents.query({"state": list(ACTIVE), "road": "import"}).items
        return sum(
            max(0, (install.total or 0) - install.completed) + install.extra_space
            for install in active
            if before is None
            or (install.id != before.id and (install.state == "running" or install.order < before.order))
        )

    def timeline(self, id: str) -> tuple[TimelineEntry, ...]:
        return self._timelines.read(id)

    def remove(self, id: str) -> None:
        with self._lock:
            install = self.get(id)
            if not install.ended:
                raise Conflict("Only an install that has ended can leave the history.", hint="Cancel it first.")
            if install.cleaning_up:
                raise Conflict(
                    f"What was fetched of {install.model} is still being removed.",
                    hint="Try again in a moment; if its target is a server that is off, start that.",
                )
            self._delete(id)

    def _delete(self, id: str) -> None:
        self._documents.delete(id)
        self._timelines.drop(id)

    def _trim(self) -> None:
        """Keep the history to a bounded length."""
        if self._documents.count({"state": list(ENDED)}) > self._history:
            ended = self._documents.query({"state": list(ENDED)}, order_by="created_at", descending=True).items
            for install in ended[self._history :]:
                if not install.cleaning_up:
                    self._delete(install.id)
