"""Installs: asked for, queued, run, paused, cancelled, tried again."""

from __future__ import annotations

import builtins
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime

from moorage.clock import Clock, NewId
from moorage.errors import Conflict, FieldError, InvalidInput
from moorage.events import EventBus
from moorage.fetch import Downloader
from moorage.installs.planner import Planner
from moorage.installs.queue import InstallQueue
from moorage.installs.quiet import Quiet
from moorage.installs.runner import Run
from moorage.installs.schedule import Schedule
from moorage.models import Install, InstallPlan, Page, Road, State, When, WhenWindow
from moorage.plugins import Plugins

CLOSE_SECONDS = 2.0  # a run that asks a slow service is left behind; its record says that it goes on
QUIET = "quiet hours"  # what the schedule wakes when they begin or end; no install has this id
ACTIVE: tuple[State, ...] = ("scheduled", "queued", "running", "paused", "waiting")


class Installs:
    """`host.installs`."""

    def __init__(
        self,
        queue: InstallQueue,
        planner: Planner,
        plugins: Plugins,
        downloader: Downloader,
        events: EventBus,
        clock: Clock,
        new_id: NewId,
        parallel: Callable[[], int],
        context_length: Callable[[], int],
        quiet: Callable[[datetime], Quiet | None],
        on_installed: Callable[[str], None],
        lacks: Callable[[str, str], bool],
    ) -> None:
        self._queue = queue
        self._planner = planner
        self._plugins = plugins
        self._downloader = downloader
        self._events = events
        self._clock = clock
        self._new_id = new_id
        self._parallel = parallel
        self._context_length = context_length
        self._quiet = quiet
        self._on_installed = on_installed
        self._lacks = lacks
        self._lock = threading.RLock()
        self._runs: dict[str, Run] = {}
        self._closed = False
        self._schedule = Schedule(self._wake, clock)

    # -- asking -------------------------------------------------------------------------------------------------

    def plan(
        self,
        source: str,
        model: str,
        *,
        file: str | None = None,
        quantization: str | None = None,
        target: str | None = None,
        road: Road | None = None,
    ) -> InstallPlan:
        """What an install would do; nothing is done."""
        return self._planner.plan(source, model, file=file, quantization=quantization, target=target, road=road)[0]

    def request(
        self,
        source: str,
        model: str,
        *,
        file: str | None = None,
        quantization: str | None = None,
        target: str | None = None,
        road: Road | None = None,
        when: When = "now",
        asked_by: str = "api",
    ) -> tuple[Install, bool]:
        """Ask for a model; (the install, whether it is a new one).

        The same file onto the same target is one install while it has not ended, or as long as the newest revision is
        there.
        InvalidInput (refused) with the plan's problems where it cannot be done.
        """
        self._check_when(when)
        plan, _ = self._planner.plan(source, model, file=file, quantization=quantization, target=target, road=road)
        # Asked before the lock is taken: the target may be a server that is slow to answer.
        removed = self._lacks(plan.target.id, plan.name)
        with self._lock:
            for install in self._queue.same(source, plan.model, plan.file.name, plan.target.id):
                there = install.state == "installed" and install.revision == plan.revision and not removed
                if install.state in ACTIVE or there:
                    return self._with_progress(install), False
            if not plan.ok:
                raise InvalidInput(
                    plan.problems[0].message,
                    errors=tuple(FieldError(problem.code, problem.message) for problem in plan.problems),
                    hint=plan.problems[0].hint,
                    refused=True,
                )
            install = self._queue.add(
                Install(
                    id=self._new_id("install"),
                    source=source,
                    model=plan.model,
                    file=plan.file.name,
                    quantization=plan.file.quantization,
                    revision=plan.revision,
                    target=plan.target.id,
                    road=plan.road,
                    state="scheduled" if isinstance(when, datetime) else "queued",
                    completed=plan.already_here,
                    total=plan.bytes,
                    when=when,
                    created_at=self._clock(),
                    asked_by=asked_by,
                    note=plan.note,
                )
            )
        self._events.publish("install.requested", install.id, model=install.model, target=install.target)
        if isinstance(when, datetime):
            self._schedule.at(install.id, when)
        self._pump()
        return self.get(install.id), True

    # -- looking ------------------------------------------------------------------------------------------------

    def get(self, id: str) -> Install:
        return self._with_progress(self._queue.get(id))

    def list(
        self, states: tuple[str, ...] = (), *, limit: int | None = None, cursor: str | None = None
    ) -> Page[Install]:
        page = self._queue.list(states, limit=limit, cursor=cursor)
        return Page(items=tuple(self._with_progress(install) for install in page.items), next=page.next)

    def queue(self) -> builtins.list[Install]:
        """The queued ones in the order in which they will run."""
        return self._queue.waiting()

    def active(self) -> builtins.list[Install]:
        """What runs, newest first, with its progress."""
        return list(self.list(("running",)).items)

    def needing_attention(self) -> int:
        """How many failed or wait for something."""
        return self._queue.count("waiting", "failed")

    @property
    def running(self) -> bool:
        """Whether installs are taken up; false once it was closed."""
        return not self._closed

    def counts(self) -> dict[str, int]:
        """How many there are in each state."""
        return self._queue.counts()

    # -- steering -----------------------------------------------------------------------------------------------

    def pause(self, id: str) -> Install:
        install = self._queue.change(
            id, allowed=("queued", "running", "waiting", "scheduled"), state="paused", reason="paused", **self._kept(id)
        )
        return self._stopped(install)

    def resume(self, id: str) -> Install:
        """Go on with it: now, or at its time where that is still to come."""
        when = self._queue.get(id).when
        later = isinstance(when, datetime) and when > self._clock()
        install = self._queue.change(
            id,
            allowed=("paused", "waiting"),
            state="scheduled" if later else "queued",
            reason=None,
            error=None,
            failures=0,
        )
        self._schedule.drop(id)
        if isinstance(when, datetime) and later:
            self._schedule.at(id, when)
        return self._changed(install)

    def cancel(self, id: str) -> Install:
        """Stop it and remove what was fetched of it."""
        install = self._queue.change(id, allowed=ACTIVE, state="cancelled", reason=None, **self._kept(id))
        install = self._stopped(install)
        self._forget_partial(install)
        self.tidy()
        return install

    def retry(self, id: str) -> Install:
        """Try one that failed or was cancelled again, with the same file."""
        with self._lock:  # nobody asks for the same in between
            install = self._queue.get(id)
            others = self._queue.same(install.source, install.model, install.file, install.target)
            if any(other.id != id and other.state in ACTIVE for other in others):
                raise Conflict("The same file is being installed already.")
            install = self._queue.change(
                id,
                allowed=("failed", "cancelled"),
                state="queued",
                error=None,
                reason=None,
                finished_at=None,
                failures=0,
            )
        return self._changed(install)

    def move(self, id: str, *, before: str | None = None) -> Install:
        return self._changed(self._queue.move(id, before=before))

    def remove(self, id: str) -> None:
        self._queue.remove(id)
        self.tidy()
        self._events.publish("install.changed", id, state="removed")

    # -- life ---------------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Go on with what the last process left."""
        self._queue.recover()
        self._queue.trim()
        for install in self._queue.list(("scheduled", "waiting")).items:
            if isinstance(install.when, datetime) and install.state == "scheduled":
                self._schedule.at(install.id, install.when)
            elif install.reason == "network":
                self._schedule.later(install.id, 5.0)
        self.settings_changed()

    def settings_changed(self) -> None:
        """Quiet hours begin, end, or were changed: what runs goes back into the queue, or what waits there begins."""
        moment = self._clock()
        quiet = self._quiet(moment)
        self._schedule.drop(QUIET)
        if quiet is not None:
            self._schedule.at(QUIET, quiet.changes_at)
            if quiet.now:
                self._rest()
        self._pump()

    def tidy(self) -> None:
        """Give back the disk space of files that no model uses any more, unless an install may still want them."""
        with self._lock:  # so that none is asked for in between
            if self._queue.count(*ACTIVE) == 0:
                self._downloader.sweep()

    def close(self) -> None:
        with self._lock:
            self._closed = True
            runs = list(self._runs.values())
        self._schedule.close()
        for run in runs:
            run.stop()
        until = time.monotonic() + CLOSE_SECONDS
        for run in runs:
            run.join(max(0.0, until - time.monotonic()))

    # -- inside -------------------------------------------------------------------------------------------------

    def _rest(self) -> None:
        """Put what runs back into the queue; what was fetched is kept."""
        with self._lock:
            runs = list(self._runs.values())
        for run in runs:
            with suppress(Conflict):
                kept = self._kept(run.live.id)
                self._queue.change(run.live.id, allowed=("running",), state="queued", reason="quiet hours", **kept)
            run.stop()

    def _explain(self, before: str | None, after: str | None) -> None:
        """Say why what is queued does not start, or no longer say it."""
        for install in self._queue.waiting():
            if install.reason == before:
                with suppress(Conflict):  # it has left the queue in between
                    self._queue.change(install.id, allowed=("queued",), reason=after)

    def _pump(self) -> None:
        """Start what may run now."""
        with self._lock:
            if self._closed:
                return
            quiet = self._quiet(self._clock())
            if quiet is not None and quiet.now:
                self._explain(None, "quiet hours")
                return
            self._explain("quiet hours", None)

            def busy(target: str) -> int:
                return sum(run.live.target == target for run in self._runs.values())

            for install in self._queue.claim(busy, self._parallel() - len(self._runs)):
                run = Run(
                    install,
                    queue=self._queue,
                    planner=self._planner,
                    plugins=self._plugins,
                    downloader=self._downloader,
                    events=self._events,
                    context_length=self._context_length,
                    retry_later=self._schedule.later,
                    on_end=self._on_run_end,
                )
                self._runs[install.id] = run
                run.start()

    def _on_run_end(self, run: Run) -> None:
        with self._lock:
            if self._runs.get(run.live.id) is run:
                del self._runs[run.live.id]
        if run.live.state == "installed":
            self._on_installed(run.live.target)
            self.tidy()
        self._pump()

    def _wake(self, id: str) -> None:
        """The schedule's time has come for a scheduled or waiting install, or for the quiet hours to begin or end."""
        if id == QUIET:
            self.settings_changed()
            return
        try:
            install = self._queue.change(id, allowed=("scheduled", "waiting"), state="queued", reason=None, error=None)
        except Conflict:
            return
        self._events.publish("schedule.fired", install.id)
        self._changed(install)

    def _stopped(self, install: Install) -> Install:
        self._schedule.drop(install.id)
        with self._lock:
            run = self._runs.get(install.id)
        if run is not None:
            run.stop()
            run.join(2.0)
        return self._changed(install)

    def _changed(self, install: Install) -> Install:
        self._events.publish("install.changed", install.id, state=install.state)
        self._pump()
        return self.get(install.id)

    def _kept(self, id: str) -> dict[str, int | None]:
        with self._lock:
            run = self._runs.get(id)
        return {} if run is None else {"completed": run.live.completed, "total": run.live.total}

    def _with_progress(self, install: Install) -> Install:
        run = self._runs.get(install.id)
        if run is None or install.state != "running" or run.live.attempt != install.attempt:
            return install
        live = run.live
        return install.model_copy(
            update={
                "phase": live.phase,
                "completed": live.completed,
                "total": live.total,
                "bytes_per_second": live.bytes_per_second,
                "seconds_left": live.seconds_left,
                "note": live.note,
            }
        )

    def _forget_partial(self, install: Install) -> None:
        if install.road == "import":
            self._downloader.remove_partial(install.id)

    def _check_when(self, when: When) -> None:
        if isinstance(when, WhenWindow):
            raise InvalidInput(
                "Nightly windows are not available yet.",
                errors=(FieldError("when", "must be now or a time"),),
                hint="Give a time, such as 2026-05-21T01:00:00Z.",
            )
        if isinstance(when, datetime) and when <= self._clock():
            raise InvalidInput("This time has passed.", errors=(FieldError("when", "must be in the future"),))
