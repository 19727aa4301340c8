"""When searches are due: one after another, each once a day.

Each search has a small record of its own time, so one timer for the soonest is enough, and what was missed while
nobody was there is due at the next start, once. A record of every time, as `Recurring` keeps them, would be a file of a
hundred thousand for a thousand searches, written anew at each. Who runs one holds it for a while: whoever shares the
store leaves it alone, and after a kill it is due again.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta

from moorage.clock import Clock
from moorage.errors import Conflict, Missing, MoorageError
from moorage.models import Document, Time
from moorage.schedule import Timer
from moorage.store import Collection, Store

log = logging.getLogger("moorage.searches")
DAY = timedelta(days=1)
HOLD = timedelta(minutes=5)
PAUSE = timedelta(seconds=2)  # between two that are due: sources are asked gently
CLOSE_SECONDS = 2.0
TIMER = "saved searches"
FAILED = "The last look failed, and the log says why. It is tried again the next day."


class Look(Document):
    """How the last look of a search went, and when the next is due; its id is that of the search."""

    due_at: Time | None = None
    held_until: Time | None = None
    last_run_at: Time | None = None
    last_error: str | None = None
    unread: int = 0

    @property
    def next_at(self) -> datetime | None:
        if self.due_at is None or self.held_until is None:
            return self.due_at
        return max(self.due_at, self.held_until)


class Looks:
    def __init__(self, store: Store) -> None:
        self._looks: Collection[Look] = store.collection("search_looks", Look)

    def get(self, id: str) -> Look:
        return self._looks.get(id) or Look(id=id)

    def all(self) -> list[Look]:
        return list(self._looks.list())

    def add(self, look: Look) -> None:
        self._looks.put(look)

    def change(self, id: str, change: Callable[[Look], Look]) -> None:
        """Nothing for a search that was removed."""
        while (known := self._looks.get(id)) is not None:
            changed = change(known)
            with suppress(Conflict):
                if changed != known:
                    self._looks.put(changed)
                return

    def hold(self, now: datetime) -> Look | None:
        """The one that has been due for the longest time: from now on it is the caller's."""
        due = [(at, look) for look in self._looks.list() if (at := look.next_at) is not None and at <= now]
        for _, look in sorted(due, key=lambda pair: (pair[0], pair[1].id)):
            with suppress(Conflict):  # another process has it
                return self._looks.put(look.model_copy(update={"held_until": now + HOLD}))
        return None

    def soonest(self) -> datetime | None:
        return min((at for look in self._looks.list() if (at := look.next_at) is not None), default=None)

    def drop(self, id: str) -> None:
        self._looks.delete(id)


class Rounds:
    """`run` looks at one search, and gives the seconds that a source asked us to wait, None for none."""

    def __init__(self, looks: Looks, timer: Timer, clock: Clock, run: Callable[[str], float | None]) -> None:
        self._looks = looks
        self._timer = timer
        self._clock = clock
        self._run = run
        self._lock = threading.Lock()
        self._open = False
        self._at_work: threading.Thread | None = None

    def open(self) -> None:
        self._open = True
        self.wake_in_time()

    def close(self) -> None:
        with self._lock:
            self._open = False
            at_work = self._at_work
        if at_work is not None:
            at_work.join(CLOSE_SECONDS)

    def wake_in_time(self, pause: timedelta = timedelta()) -> None:
        """Set the timer for the one that is due next; called whenever that may have changed."""
        with self._lock:
            if not self._open or self._at_work is not None:
                return  # who is at work does it at its end
            soonest = self._looks.soonest()
            if soonest is None:
                self._timer.drop(TIMER)
            else:
                self._timer.at(TIMER, max(soonest, self._clock() + pause), self._wake)

    def _wake(self) -> None:
        """The timer's thread is for waking only."""
        with self._lock:
            if self._open and self._at_work is None:
                self._at_work = threading.Thread(target=self._work, name=TIMER, daemon=True)
                self._at_work.start()

    def _work(self) -> None:
        pause = PAUSE
        try:
            look = self._looks.hold(self._clock())
            if look is not None:
                self._one(look)
        except MoorageError as error:  # the store, such as a full disk: it is held, and due again a little later
            log.warning("a saved search could not be run: %s", error)
            pause = HOLD
        finally:
            with self._lock:
                self._at_work = None
            with suppress(MoorageError):
                self.wake_in_time(pause)

    def _one(self, look: Look) -> None:
        """Where a source asks us to wait only this search waits: others may ask other sources."""
        try:
            wait = self._run(look.id)
        except Missing:  # it was removed, perhaps by a process that was killed in the middle of it
            self._looks.drop(look.id)
            return
        except Exception:  # whatever it is, it must not come again every few minutes for ever
            log.exception("a saved search failed")
            failed = {"last_error": FAILED, **_done(look, self._clock())}
            self._looks.change(look.id, lambda held: held.model_copy(update=failed))
            return
        now = self._clock()
        if wait is not None:
            again = now + timedelta(seconds=wait)
            self._looks.change(look.id, lambda held: held.model_copy(update={"held_until": again}))
        else:
            self._looks.change(look.id, lambda held: held.model_copy(update=_done(held, now)))


def _done(look: Look, now: datetime) -> dict[str, datetime | None]:
    """Due again at the same time of the day, if nobody has changed that meanwhile."""
    due = look.due_at
    if due is not None and due <= now:
        due += ((now - due) // DAY + 1) * DAY
    return {"due_at": due, "held_until": None}
