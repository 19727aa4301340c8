"""What happens again and again, such as the daily look for newer revisions.

Each time it comes, a record of it is put first, under the name of the schedule and the time: the store takes that name
once, so each time counts once, however many processes share the store. What a process had put and not acted on when it
ended is acted on at the next start.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta

from moorage.clock import Clock
from moorage.errors import Conflict
from moorage.models import Document, Time
from moorage.schedule.timer import Timer
from moorage.store import Store

KEPT = 100  # records of past times, for each schedule


class Recurrence(Document):
    """A schedule: `next_at` is when it comes next."""

    next_at: Time


class Fire(Document):
    """One time at which a schedule came; `done` when it was acted on."""

    schedule: str
    at: Time
    done: bool = False


class Recurring:
    def __init__(self, store: Store, timer: Timer, clock: Clock) -> None:
        self._recurrences = store.collection("schedules", Recurrence)
        self._fires = store.collection("fires", Fire)
        self._timer = timer
        self._clock = clock

    def every(
        self, id: str, period: timedelta, act: Callable[[datetime], None], *, catch_up: bool, first: datetime
    ) -> None:
        """Call `act` with each time: `first` (used only when `id` is new), then once every `period`.

        `act` is quick and may be called twice with a time if the process ended in between. Of the times that passed
        while nobody was there, the last one is made up for with `catch_up`, and none without.
        """
        for fire in self._fires.query({"schedule": id, "done": False}).items:
            self._act(fire, act)
        now = self._clock()
        known = self._recurrences.get(id)
        if known is None:
            known = Recurrence(id=id, next_at=first)
            try:
                known = self._recurrences.put(known)
            except Conflict:  # another process was first
                known = self._recurrences.get(id) or known
        due = known.next_at
        if due <= now:
            missed = (now - due) // period
            due = due + missed * period if catch_up else due + (missed + 1) * period
        self._set(id, due, period, act)

    def _set(self, id: str, due: datetime, period: timedelta, act: Callable[[datetime], None]) -> None:
        def come() -> None:
            now = self._clock()
            if now < due:  # a timer that was early
                self._set(id, due, period, act)
                return
            following = due + ((now - due) // period + 1) * period
            self._set(id, following, period, act)  # first: whatever goes wrong now, it comes again
            self._fire(id, due, following, act)

        self._timer.at(id, due, come)

    def _fire(self, id: str, due: datetime, following: datetime, act: Callable[[datetime], None]) -> None:
        fire: Fire | None = None
        with suppress(Conflict):  # another process has it
            fire = self._fires.put(Fire(id=f"{id}@{due.isoformat()}", schedule=id, at=due))
        known = self._recurrences.get(id)
        if known is not None and known.next_at < following:
            with suppress(Conflict):  # another process has set it
                self._recurrences.put(known.model_copy(update={"next_at": following}))
        if fire is None:
            return
        self._act(fire, act)
        for old in self._fires.query({"schedule": id, "done": True}, order_by="at", descending=True).items[KEPT:]:
            self._fires.delete(old.id)

    def _act(self, fire: Fire, act: Callable[[datetime], None]) -> None:
        act(fire.at)
        self._fires.put(fire.model_copy(update={"done": True}))
