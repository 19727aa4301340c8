"""Waking somebody at a moment. The timer holds nothing that matters: who needs it asks again after a start.

APScheduler with its memory store only: the persistent ones pickle, and lose jobs whose function was renamed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from typing import Any, Protocol

from moorage.clock import Clock

# The scheduler sleeps until the next moment on a clock that stands still while the machine sleeps, and that knows
# nothing of a wall clock that is set: looking up now and then lets it notice both.
LOOK_UP_SECONDS = 30


class Timer(Protocol):
    """Calls somebody at a moment; `wake` must be quick, and may be called from any thread."""

    def at(self, id: str, when: datetime, wake: Callable[[], None]) -> None:
        """Call `wake` once at this time, or now if it has passed. Replaces what was set for `id` before."""
        ...

    def drop(self, id: str) -> None:
        """Forget `id`; nothing where nothing is set."""
        ...

    def close(self) -> None: ...


class SchedulerTimer:
    """A `Timer` by APScheduler; its threads exist only while something is set."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._scheduler: Any = None
        self._closed = False

    def at(self, id: str, when: datetime, wake: Callable[[], None]) -> None:
        scheduler = self._started()
        if scheduler is None:
            return
        scheduler.add_job(
            wake,
            "date",
            run_date=max(when, self._clock()),
            id=id,
            replace_existing=True,
            misfire_grace_time=None,
            coalesce=True,
            max_instances=1000,  # with 1, a wake is lost while the one before it for this id is still at work
        )

    def drop(self, id: str) -> None:
        scheduler = self._scheduler
        if scheduler is None:
            return
        from apscheduler.jobstores.base import JobLookupError

        with suppress(JobLookupError):  # it was never set, or has just fired
            scheduler.remove_job(id)

    def close(self) -> None:
        with self._lock:
            self._closed = True
            scheduler, self._scheduler = self._scheduler, None
        if scheduler is not None:
            scheduler.shutdown(wait=False)

    def _started(self) -> Any:
        from apscheduler.schedulers.background import BackgroundScheduler  # costs 50 ms that most starts save

        with self._lock:
            if self._scheduler is None and not self._closed:
                self._scheduler = BackgroundScheduler(timezone="UTC")
                self._scheduler.add_job(_look_up, "interval", seconds=LOOK_UP_SECONDS, misfire_grace_time=None)
                self._scheduler.start()
            return self._scheduler


def _look_up() -> None:
    """Nothing: that it is called makes the scheduler look at the wall clock."""
