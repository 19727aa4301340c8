"""Waking what was asked for later. APScheduler holds nothing that matters: its jobs are made again from the records.

Its memory store only: the persistent ones pickle, and lose jobs whose function was renamed. A job here does one thing:
call `wake` with the id of a record. The scheduler's threads exist only while something is scheduled.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from moorage.clock import Clock


class Schedule:
    def __init__(self, wake: Callable[[str], None], clock: Clock) -> None:
        self._wake = wake
        self._clock = clock
        self._lock = threading.Lock()
        self._scheduler: Any = None

    def at(self, id: str, when: datetime) -> None:
        """Wake `id` at this time, or now if it has passed; replaces what was set for `id` before."""
        self._started().add_job(
            self._wake,
            "date",
            run_date=max(when, self._clock()),
            args=[id],
            id=id,
            replace_existing=True,
            misfire_grace_time=None,
            coalesce=True,
            max_instances=1,
        )

    def later(self, id: str, seconds: float) -> None:
        self.at(id, self._clock() + timedelta(seconds=seconds))

    def drop(self, id: str) -> None:
        scheduler = self._scheduler
        if scheduler is None:
            return
        from apscheduler.jobstores.base import JobLookupError

        with suppress(JobLookupError):  # it was never set, or has just fired
            scheduler.remove_job(id)

    def close(self) -> None:
        with self._lock:
            if self._scheduler is not None:
                self._scheduler.shutdown(wait=False)
                self._scheduler = None

    def _started(self) -> Any:
        from apscheduler.schedulers.background import BackgroundScheduler  # costs 50 ms that most starts save

        with self._lock:
            if self._scheduler is None:
                self._scheduler = BackgroundScheduler(timezone="UTC")
                self._scheduler.start()
            return self._scheduler
