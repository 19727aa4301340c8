"""When an install starts, rests, tries again and goes on: the queue, the clock and the runner brought together."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from moorage.clock import Clock
from moorage.errors import Conflict, Missing
from moorage.events import EventBus
from moorage.fetch import Downloader
from moorage.installs.planner import Planner
from moorage.installs.queue import InstallQueue
from moorage.installs.rules import place
from moorage.installs.run import ROOM_SECONDS, TARGET_FULL, Run
from moorage.installs.runner import ThreadRunner
from moorage.models import QUIET_HOURS, Install, Preferences, When
from moorage.plugins import Plugins
from moorage.schedule import Span, Timer

CLOSE_SECONDS = 2.0  # a run that asks a slow service is left behind; its record says that it goes on
FIRST_RETRY_SECONDS = 5.0  # after a start
LATE_SECONDS = 60.0  # after its time: then it is said
RESTARTED = "Moorage was restarted; it goes on from what is kept"


class Dispatcher:
    """Of all installs; one for each store.

    `quiet` tells of the quiet hours at a moment, `on_there` hears of a target that has a new model, `on_installed` of
    an install that is done, and `tidy` gives back the disk space of files that nothing needs.
    """

    def __init__(
        self,
        queue: InstallQueue,
        planner: Planner,
        plugins: Plugins,
        downloader: Downloader,
        events: EventBus,
        timer: Timer,
        clock: Clock,
        preferences: Callable[[], Preferences],
        quiet: Callable[[datetime], Span | None],
        on_there: Callable[[str], None],
        on_installed: Callable[[Install], None],
        lacks: Callable[[str, str], bool],
        wait_until_gone: Callable[[str, str, Callable[[], bool]], None],
        tidy: Callable[[], None],
    ) -> None:
        self._queue = queue
        self._planner = planner
        self._plugins = plugins
        self._downloader = downloader
        self._events = events
        self._timer = timer
        self._clock = clock
        self._preferences = preferences
        self._quiet = quiet
        self._on_there = on_there
        self._on_installed = on_installed
        self._lacks = lacks
        self._wait_until_gone = wait_until_gone
        self._tidy = tidy
        self._lock = threading.RLock()
        self._closed = False
        self._runner = ThreadRunner(self._run_of, self._on_run_end)

    # -- life ---------------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Go on with what the last process left, and say what was missed in between."""
        for install in self._queue.list(("running", "queued")).items:
            if install.state == "running":
                install = self._queue.change(install.id, **self.placed(install.when, RESTARTED))
            self.set_timer(install)
        for install in self._queue.list(("scheduled",)).items:
            self._its_time(install)
        for install in self._queue.list(("waiting",)).items:
            if _tries_again(install):
                self._later(install.id, FIRST_RETRY_SECONDS)
        self.settings_changed()

    @property
    def running(self) -> bool:
        return not self._closed

    def close(self) -> None:
        with self._lock:
            self._closed = True
        self._runner.close(CLOSE_SECONDS)

    def settings_changed(self) -> None:
        """Quiet hours begin, end, or were changed: what runs goes back into the queue, or what waits there begins."""
        quiet = self._quiet(self._clock())
        self._timer.drop(QUIET_HOURS)
        if quiet is not None:
            self._timer.at(QUIET_HOURS, quiet.changes_at, self.settings_changed)
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

    # -- for the service ----------------------------------------------------------------------------------------

    def live(self, id: str) -> Run | None:
        """The run at work on an install, with its latest progress."""
        return self._runner.live(id)

    def placed(self, when: When, reason: str | None = None) -> dict[str, Any]:
        """The fields of an install that may run as soon as its `when` allows it."""
        starts_at = place(when, self._clock()).starts_at
        return {"state": "queued" if starts_at is None else "scheduled", "starts_at": starts_at, "reason": reason}

    def kept(self, id: str) -> dict[str, Any]:
        """The fields that say how far a run has come, for whoever stops it."""
        run = self._runner.live(id)
        return {} if run is None else {"completed": run.live.completed, "total": run.live.total}

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
        with self._lock:
            if self._closed:
                return
            quiet = self._quiet(self._clock())
            if quiet is not None and quiet.inside:
                for install in self._queue.waiting():
                    self._rest(install.id, {"state": "waiting", "reason": QUIET_HOURS})
                return
            for install in self._queue.waiting():  # the window of one may have ended at this moment
                if place(install.when, self._clock()).starts_at is not None:
                    self._end_of_window(install)
            settings = self._preferences()
            for install in self._queue.claim(
                settings.parallel_installs, settings.installs_per_target, self._runner.at_work
            ):
                self.set_timer(install)
                self._runner.start(install)

    def set_timer(self, install: Install) -> None:
        """One timer for each install: its beginning, its next try, or the end of its window."""
        if install.state == "waiting":
            return  # its next try is set by the run that made it wait
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
        with suppress(Conflict, Missing):  # it was steered or removed at this moment
            install = self._queue.get(id)
            if install.state == "scheduled":
                self._its_time(install)
            elif install.state == "waiting":
                self._try_again(install)
            elif install.state in ("queued", "running"):
                self._end_of_window(install)

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
        needed = max(0, (install.total or 0) - install.completed) + self._queue.promised(but=install.id)
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
        with suppress(Conflict):
            install = self._queue.change(id, allowed=("running", "queued"), **fields, **self.kept(id))
            self.set_timer(install)
            self._events.publish("install.changed", id, state=install.state)
            self._runner.stop(install)

    # -- runs ---------------------------------------------------------------------------------------------------

    def _run_of(self, install: Install) -> Run:
        return Run(
            install,
            queue=self._queue,
            planner=self._planner,
            plugins=self._plugins,
            downloader=self._downloader,
            events=self._events,
            context_length=lambda: self._preferences().context_length,
            retry_later=self._later,
            on_there=self._on_there,
            lacks=self._lacks,
            wait_until_gone=self._wait_until_gone,
        )

    def _on_run_end(self, run: Run) -> None:
        if run.live.state == "installed":
            self._timer.drop(run.live.id)
            self._on_installed(run.live)
            self._tidy()
        self.pump()


def _tries_again(install: Install) -> bool:
    """Whether one that waits goes on by itself; the rest needs a person."""
    full = install.error is not None and install.error.code == TARGET_FULL
    return install.reason in ("network", "target", "disk") and not full
