"""When an install starts, rests, tries again and goes on: the queue, the clock and the runner brought together."""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from moorage.clock import Clock
from moorage.errors import Conflict, Missing, MoorageError, StoreError
from moorage.events import EventBus
from moorage.fetch import Downloader
from moorage.installs.queue import InstallQueue
from moorage.installs.rules import place
from moorage.installs.run import ROOM_SECONDS, TARGET_FULL, Run
from moorage.installs.runner import ThreadRunner
from moorage.models import QUIET_HOURS, Install, InstallFailure, Preferences, When
from moorage.schedule import Span, Timer

log = logging.getLogger("moorage.installs")
CLOSE_SECONDS = 2.0  # a run that asks a slow service is left behind; its record says that it goes on
FIRST_RETRY_SECONDS = 5.0  # after a start
CATCH_UP_SECONDS = 0.5
LATE_SECONDS = 60.0  # after its time: then it is said
AGAIN_SECONDS = 60.0  # after something could not be written
PUMP = "pump"  # what the timer calls when the queue could not be written; no install has this id
RESTARTED = "Moorage was restarted; it goes on from what is kept"


class Dispatcher:
    """Of all installs; one for each store.

    `quiet` tells of the quiet hours at a moment, `on_installed` hears of an install that is done, and `tidy` gives back
    the disk space of files that nothing needs.
    """

    def __init__(
        self,
        queue: InstallQueue,
        make_run: Callable[[Install, Callable[[str, float], None]], Run],
        downloader: Downloader,
        events: EventBus,
        timer: Timer,
        clock: Clock,
        preferences: Callable[[], Preferences],
        quiet: Callable[[datetime], Span | None],
        on_installed: Callable[[Install], None],
        tidy: Callable[[], None],
    ) -> None:
        self._queue = queue
        self._downloader = downloader
        self._events = events
        self._timer = timer
        self._clock = clock
        self._preferences = preferences
        self._quiet = quiet
        self._on_installed = on_installed
        self._tidy = tidy
        self._lock = threading.RLock()
        self._opened = self._closed = False
        self._runner = ThreadRunner(lambda install: make_run(install, self._later), self._on_run_end)

    # -- life ---------------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Go on with what the last process left, and say what was missed in between. Before it nothing begins."""
        self._opened = True
        for install in self._queue.list(("running", "queued")).items:
            if install.state == "running":
                install = self._queue.change(
                    install.id, attempt=install.attempt, **self.placed(install.when, RESTARTED)
                )
            self.set_timer(install)
        self.settings_changed()
        for install in self._queue.list(("waiting",)).items:
            if _tries_again(install):
                self._later(install.id, FIRST_RETRY_SECONDS)
        due = []
        for install in self._queue.list(("scheduled",)).items:
            if install.starts_at is not None and install.starts_at > self._clock():
                self.set_timer(install)
            else:
                due.append(install.id)
        if due:  # there may be a thousand, and the start does not wait for all of them
            thread = threading.Thread(target=self._catch_up, args=(due,), name="missed times", daemon=True)
            thread.start()
            thread.join(CATCH_UP_SECONDS)

    def _catch_up(self, ids: list[str]) -> None:
        for id in ids:
            self._wake(id)

    @property
    def running(self) -> bool:
        return not self._closed

    def close(self) -> None:
        with self._lock:
            self._closed = True
        self._runner.close(CLOSE_SECONDS)

    def settings_changed(self) -> None:
        """Quiet hours begin, end, or were changed: what runs or is queued waits for their end, or goes on."""
        quiet = self._quiet(self._clock())
        self._timer.drop(QUIET_HOURS)
        if quiet is not None:
            self._timer.at(QUIET_HOURS, quiet.changes_at, self._quiet_changes)
            if quiet.inside:
                for install in self._queue.list(("running",)).items:
                    self._rest(install.id, {"state": "waiting", "reason": QUIET_HOURS})
        if quiet is None or not quiet.inside:
            for install in self._queue.list(("waiting",)).items:
                if install.rests:
                    with suppress(Conflict):  # it was steered at this moment
                        install = self._queue.change(install.id, allowed=("waiting",), **self.placed(install.when))
                        self.set_timer(install)
                        self._events.publish("install.changed", install.id, state=install.state)
        self.pump()

    def _quiet_changes(self) -> None:
        try:
            self.settings_changed()
        except StoreError as error:
            log.error("quiet hours began or ended, and that could not be written: %s", error)
            self.later(QUIET_HOURS, AGAIN_SECONDS, self._quiet_changes)

    # -- for the service ----------------------------------------------------------------------------------------

    def live(self, id: str) -> Run | None:
        """The run at work on an install, with its latest progress."""
        return self._runner.live(id)

    def placed(self, when: When, reason: str | None = None) -> dict[str, Any]:
        """The fields of an install that may run as soon as its `when` allows it."""
        starts_at = place(when, self._clock()).starts_at
        return {"state": "queued" if starts_at is None else "scheduled", "starts_at": starts_at, "reason": reason}

    def add(self, install: Install) -> Install:
        """Put it into the queue, or give the one that is there; it is told of before it can begin."""
        with self._lock:
            added = self._queue.add(install)
            if added.id == install.id:
                self._events.publish("install.requested", added.id, model=added.model, target=added.target)
            return added

    def halt(self, id: str, change: Callable[[dict[str, Any]], Install]) -> Install:
        """Change the record of one that may be at work, with the fields that say how far it has come, and stop it."""
        run = self._runner.live(id)
        if run is None:
            return change({})
        run.record.freeze()  # what is shown must not be more than what is written
        try:
            install = change({"completed": run.live.completed, "total": run.live.total})
        except BaseException:
            run.record.thaw()
            raise
        self._runner.stop(install)
        return install

    def changed(self, install: Install) -> None:
        """Somebody has changed its record: it, or another one, may start now."""
        self.set_timer(install)
        self._events.publish("install.changed", install.id, state=install.state)
        self.pump()

    def stop(self, install: Install, wait: float = 0.0) -> bool:
        """Stop the work on one whose record says so; whether it has ended within so many seconds."""
        return self._runner.stop(install, wait)

    def later(self, id: str, seconds: float, wake: Callable[[], None]) -> None:
        """Have `wake` called after about so many seconds."""
        seconds *= random.uniform(1.0, 1.2)  # noqa: S311 - so that many do not come back at once
        self._timer.at(id, self._clock() + timedelta(seconds=seconds), wake)

    def pump(self) -> None:
        """Start what may run now."""
        try:
            with self._lock:
                if self._opened and not self._closed:
                    self._start_what_may()
        except StoreError as error:
            log.error("the queue could not be written: %s", error)
            self.later(PUMP, AGAIN_SECONDS, self.pump)

    def _start_what_may(self) -> None:
        now = self._clock()
        quiet = self._quiet(now)
        resting = quiet is not None and quiet.inside
        for install in self._queue.waiting():
            if resting:
                self._rest(install.id, {"state": "waiting", "reason": QUIET_HOURS})
            elif place(install.when, now).starts_at is not None:  # its window has ended at this moment
                self._end_of_window(install)
        settings = self._preferences()
        limits = (settings.parallel_installs, settings.installs_per_target, self._runner.at_work)
        while not resting and (claimed := self._queue.claim(*limits)) is not None:
            self.set_timer(claimed)
            self._runner.start(claimed)

    def set_timer(self, install: Install) -> None:
        """One timer for each install: its beginning, or the end of its window. That of a next try is set by its run."""
        if install.state == "waiting" or not self._opened:
            return
        if install.state == "scheduled":
            moment = install.starts_at
        elif install.state in ("queued", "running"):
            moment = place(install.when, self._clock()).ends_at
        else:
            moment = None
        if moment is None:
            self._timer.drop(install.id)
        else:
            self._timer.at(install.id, moment, lambda: self._wake(install.id))

    # -- what a time brings -------------------------------------------------------------------------------------

    def _later(self, id: str, seconds: float) -> None:
        self.later(id, seconds, lambda: self._wake(id))

    def _wake(self, id: str) -> None:
        """A moment has come that an install waited for. What it means depends on what the install does now."""
        if self._closed:
            return
        try:
            with self._lock:  # none is between its claim and its run
                install, run = self._queue.get(id), self._runner.live(id)
            if install.state == "scheduled":
                self._its_time(install)
            elif install.state == "waiting":
                self._try_again(install)
            elif install.state == "running" and run is None:
                self._recover(install)
            elif install.state in ("queued", "running"):
                self._end_of_window(install)
        except (Conflict, Missing):  # it was steered or removed at this moment
            return
        except MoorageError as error:
            log.error("the time of install %s came, and that could not be written: %s", id, error)
            self._later(id, AGAIN_SECONDS)

    def _its_time(self, install: Install) -> None:
        """A scheduled one begins, also late; it waits for the next time where the window has passed meanwhile."""
        now = self._clock()
        due = install.starts_at or now
        where = place(install.when, now)
        if where.starts_at is not None:
            if due < now and where.starts_at > due:
                reason = f"Its window of {self._clock_time(due)} was missed: Moorage was off"
                install = self._queue.change(
                    install.id, allowed=("scheduled",), said=f"{reason}.", reason=reason, starts_at=where.starts_at
                )
            self.set_timer(install)
            return
        late = (now - due).total_seconds() > LATE_SECONDS
        begun = f"Its time, {self._clock_time(due)}, came while Moorage was off; it begins now."
        install = self._queue.change(
            install.id, allowed=("scheduled",), said=begun if late else None, state="queued", reason=None
        )
        self._events.publish("schedule.fired", install.id)
        self.changed(install)

    def _clock_time(self, moment: datetime) -> str:
        """On the person's clock."""
        return f"{moment.astimezone(ZoneInfo(self._preferences().time_zone)):%Y-%m-%d %H:%M}"

    def _try_again(self, install: Install) -> None:
        if not _tries_again(install):
            return
        needed = max(0, (install.total or 0) - install.completed) + install.extra_space
        needed += self._queue.promised(before=install)
        if install.reason == "disk" and not self._downloader.has_room(needed):
            self._later(install.id, ROOM_SECONDS)
            return
        fields = self.placed(install.when)
        install = self._queue.change(install.id, allowed=("waiting",), error=None, **fields)
        self._events.publish("schedule.fired", install.id)
        self.changed(install)

    def _end_of_window(self, install: Install) -> None:
        fields = self.placed(install.when, "Its window has ended; it goes on in the next one")
        if fields["state"] == "queued":
            self.set_timer(install)  # the timer was early
        else:
            self._rest(install.id, fields)

    def _rest(self, id: str, fields: dict[str, Any]) -> None:
        """Stop one that runs or is about to, for a while; what was fetched is kept."""

        def change(kept: dict[str, Any]) -> Install:
            return self._queue.change(id, allowed=("running", "queued"), **fields, **kept)

        with suppress(Conflict, Missing):
            install = self.halt(id, change)
            self.set_timer(install)
            self._events.publish("install.changed", id, state=install.state)

    # -- runs ---------------------------------------------------------------------------------------------------

    def _on_run_end(self, run: Run) -> None:
        try:
            if run.live.state == "installed":
                self._timer.drop(run.live.id)
                self._on_installed(run.live)
                self._tidy()
            elif not self._closed:
                self._recover(run.live)
        except MoorageError as error:
            log.error("after install %s: %s", run.live.id, error)
        finally:
            self.pump()

    def _recover(self, install: Install) -> None:
        """Nothing is at work on it any more. If its record says otherwise, its end could not be written."""
        failure = InstallFailure(code="store", message="How it went could not be written to the data directory.")
        try:
            found = self._queue.change(
                install.id, attempt=install.attempt, state="waiting", reason="disk", error=failure
            )
        except (Conflict, Missing):
            return  # it is as its record says
        except StoreError as error:
            log.error("install %s could not be written: %s", install.id, error)
        else:
            self._events.publish("install.waiting", found.id, reason="disk", message=failure.message)
        self._later(install.id, ROOM_SECONDS)


def _tries_again(install: Install) -> bool:
    """Whether one that waits goes on by itself; the rest needs a person."""
    full = install.error is not None and install.error.code == TARGET_FULL
    return install.reason in ("network", "target", "disk") and not full
