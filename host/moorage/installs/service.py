"""Installs: asked for, queued, run, paused, cancelled, tried again."""

from __future__ import annotations

import builtins
import random
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from moorage.clock import Clock, NewId
from moorage.errors import Conflict, FieldError, InvalidInput
from moorage.events import EventBus
from moorage.fetch import Downloader
from moorage.installs.planner import Planner
from moorage.installs.queue import InstallQueue
from moorage.installs.rules import checked, place
from moorage.installs.run import ROOM_SECONDS, TARGET_FULL, Run
from moorage.installs.runner import ThreadRunner
from moorage.installs.updates import Updates
from moorage.models import (
    Install,
    InstallPlan,
    Page,
    Preferences,
    Road,
    State,
    TimelineEntry,
    When,
    WhenUpdated,
)
from moorage.plugins import Plugins
from moorage.schedule import Recurring, Span, Timer
from moorage.search import Search

CLOSE_SECONDS = 2.0  # a run that asks a slow service is left behind; its record says that it goes on
STOP_SECONDS = 2.0
FIRST_RETRY_SECONDS = 5.0  # after a start
LATE_SECONDS = 60.0  # after its time: then it is said
DAY = timedelta(days=1)
QUIET = "quiet hours"  # what the timer wakes when they begin or end; no install has this id
UPDATES = "updates"
ACTIVE: tuple[State, ...] = ("scheduled", "queued", "running", "paused", "waiting")
RESTARTED = "Moorage was restarted; it goes on from what is kept"


class Installs:
    """`host.installs`."""

    def __init__(
        self,
        queue: InstallQueue,
        planner: Planner,
        plugins: Plugins,
        search: Search,
        downloader: Downloader,
        events: EventBus,
        timer: Timer,
        recurring: Recurring,
        clock: Clock,
        new_id: NewId,
        preferences: Callable[[], Preferences],
        quiet: Callable[[datetime], Span | None],
        on_there: Callable[[str], None],
        lacks: Callable[[str, str], bool],
    ) -> None:
        self._queue = queue
        self._planner = planner
        self._plugins = plugins
        self._downloader = downloader
        self._events = events
        self._timer = timer
        self._recurring = recurring
        self._clock = clock
        self._new_id = new_id
        self._preferences = preferences
        self._quiet = quiet
        self._on_there = on_there
        self._lacks = lacks
        self._lock = threading.RLock()
        self._closed = False
        self._runner = ThreadRunner(self._run_of, self._on_run_end)
        self._updates = Updates(queue, search, events, clock, self._install_update)

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
        there. With a `WhenUpdated` it is the installed one, which from now on is watched.
        InvalidInput (refused) with the plan's problems where it cannot be done.
        """
        when = checked(when, self._clock(), self._preferences().time_zone)
        plan, _ = self._planner.plan(source, model, file=file, quantization=quantization, target=target, road=road)
        # Asked before the lock is taken: the target may be a server that is slow to answer.
        removed = self._lacks(plan.target.id, plan.name)
        with self._lock:
            same = self._queue.same(source, plan.model, plan.file.name, plan.target.id)
            if isinstance(when, WhenUpdated):
                return self._watched(same, when, removed), False
            for install in same:
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
            install = self._queue.add(self._new(plan, when, road, asked_by))
        self._events.publish("install.requested", install.id, model=install.model, target=install.target)
        self._set_timer(install)
        self._pump()
        return self.get(install.id), True

    def _new(self, plan: InstallPlan, when: When, road: Road | None, asked_by: str) -> Install:
        now = self._clock()
        starts_at = place(when, now).starts_at
        return Install(
            id=self._new_id("install"),
            source=plan.source,
            model=plan.model,
            file=plan.file.name,
            quantization=plan.file.quantization,
            revision=plan.revision,
            hashes=tuple(part.sha256 for part in plan.files),
            target=plan.target.id,
            road=plan.road,
            state="queued" if starts_at is None else "scheduled",
            completed=plan.already_here,
            total=plan.bytes,
            when=when,
            starts_at=starts_at,
            created_at=now,
            asked_by=asked_by,
            note=plan.note,
        )

    def _watched(self, same: builtins.list[Install], rule: WhenUpdated, removed: bool) -> Install:
        for install in same:
            if install.state == "installed" and not removed:
                return self.on_update(install.id, rule)
        raise InvalidInput(
            "Only an installed model can be watched for newer revisions.",
            errors=(FieldError("when", "onUpdate is for a model that is installed"),),
            hint="Install it first.",
        )

    def on_update(self, id: str, rule: WhenUpdated | None) -> Install:
        """From now on, tell of newer revisions of an installed model, or install them; None for neither."""
        when = "now" if rule is None else checked(rule, self._clock(), self._preferences().time_zone)
        install = self._queue.change(id, allowed=("installed",), by_person=True, when=when)
        if rule is not None:
            self._look_daily()
        return self._changed(install)

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
        counts = self._queue.counts()
        return counts.get("waiting", 0) + counts.get("failed", 0)

    def timeline(self, id: str) -> tuple[TimelineEntry, ...]:
        """What happened to an install, oldest first."""
        return self._queue.timeline(self._queue.get(id).id)

    def speeds(self, id: str) -> tuple[float, ...]:
        """Bytes per second in each of the last seconds, oldest first; empty for one that does not run."""
        run = self._runner.live(id)
        return run.speeds() if run is not None else ()

    @property
    def running(self) -> bool:
        """Whether installs are taken up; false once it was closed."""
        return not self._closed

    def counts(self) -> dict[str, int]:
        """How many there are in each state."""
        return self._queue.counts()

    # -- steering -----------------------------------------------------------------------------------------------
    # With `generation`, only if nobody has steered it since that was read; else Conflict.

    def pause(self, id: str, generation: int | None = None) -> Install:
        allowed = ("queued", "running", "waiting", "scheduled")
        return self._stopped(self._steer(id, generation, allowed, state="paused", reason=None, **self._kept(id)))

    def resume(self, id: str, generation: int | None = None) -> Install:
        """Go on with it: now, or when its time or window comes."""
        with self._lock:
            when = self._queue.get(id).when
            fields = self._placed(when) | {"error": None, "failures": 0}
            install = self._steer(id, generation, ("paused", "waiting"), **fields)
        return self._placed_anew(install)

    def start(self, id: str, generation: int | None = None) -> Install:
        """Begin one that is scheduled now, and let it run until it has ended."""
        install = self._steer(id, generation, ("scheduled",), state="queued", when="now", reason=None)
        return self._placed_anew(install)

    def cancel(self, id: str, generation: int | None = None) -> Install:
        """Stop it and remove what was fetched of it."""
        install = self._stopped(self._steer(id, generation, ACTIVE, state="cancelled", reason=None, **self._kept(id)))
        if install.road == "import":
            self._downloader.remove_partial(install.id)
        self.tidy()
        return install

    def retry(self, id: str, generation: int | None = None) -> Install:
        """Try one that failed or was cancelled again, with the same file."""
        with self._lock:  # nobody asks for the same in between
            install = self._queue.get(id)
            others = self._queue.same(install.source, install.model, install.file, install.target)
            if any(other.id != id and other.state in ACTIVE for other in others):
                raise Conflict("The same file is being installed already.")
            fields = self._placed(install.when) | {"error": None, "finished_at": None, "failures": 0}
            install = self._steer(id, generation, ("failed", "cancelled"), **fields)
        return self._placed_anew(install)

    def move(self, id: str, *, before: str | None = None, generation: int | None = None) -> Install:
        """Put it before another queued one, or to the front."""
        return self._changed(self._queue.move(id, before=before, generation=generation))

    def remove(self, id: str) -> None:
        """Take one that has ended out of the history, and give back what was kept to try it again."""
        self._queue.remove(id)
        self._downloader.remove_partial(id)
        self.tidy()
        self._events.publish("install.changed", id, state="removed")

    # -- life ---------------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Go on with what the last process left, and say what was missed in between."""
        for install in self._queue.list(("running", "queued")).items:
            if install.state == "running":
                install = self._queue.change(install.id, **self._placed(install.when, RESTARTED))
            self._set_timer(install)
        for install in self._queue.list(("scheduled",)).items:
            self._its_time(install)
        for install in self._queue.list(("waiting",)).items:
            if _tries_again(install):
                self._later(install.id, FIRST_RETRY_SECONDS)
        if any(isinstance(install.when, WhenUpdated) for install in self._queue.list(("installed",)).items):
            self._look_daily()
        self.settings_changed()

    def settings_changed(self) -> None:
        """Quiet hours begin, end, or were changed: what runs goes back into the queue, or what waits there begins."""
        quiet = self._quiet(self._clock())
        self._timer.drop(QUIET)
        if quiet is not None:
            self._timer.at(QUIET, quiet.changes_at, self.settings_changed)
            if quiet.inside:
                for install in self._queue.list(("running",)).items:
                    self._rest(install.id, {"state": "queued", "reason": QUIET})
        self._pump()

    def tidy(self) -> None:
        """Give back the disk space of files that no model uses any more, unless an install may still want them."""
        with self._lock:  # so that none is asked for in between
            counts = self._queue.counts()
            if not any(counts.get(state) for state in ACTIVE):
                self._downloader.sweep()

    def close(self) -> None:
        with self._lock:
            self._closed = True
        self._runner.close(CLOSE_SECONDS)

    # -- what a time brings -------------------------------------------------------------------------------------

    def _placed(self, when: When, reason: str | None = None) -> dict[str, Any]:
        """The fields of an install that may run as soon as its `when` allows it."""
        starts_at = place(when, self._clock()).starts_at
        return {"state": "queued" if starts_at is None else "scheduled", "starts_at": starts_at, "reason": reason}

    def _set_timer(self, install: Install) -> None:
        """One timer for each install: its beginning, or the end of its window."""
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

    def _later(self, id: str, seconds: float) -> None:
        seconds *= random.uniform(1.0, 1.2)  # noqa: S311 - so that many do not come back at once
        self._timer.at(id, self._clock() + timedelta(seconds=seconds), lambda: self._wake(id))

    def _wake(self, id: str) -> None:
        """A moment has come that an install waited for. What it means depends on what the install does now."""
        if self._closed:
            return
        with suppress(Conflict):  # it was steered at this moment
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
                reason = f"Its window of {due:%Y-%m-%d %H:%M} UTC was missed: Moorage was off"
                install = self._queue.change(
                    install.id, allowed=("scheduled",), said=f"{reason}.", reason=reason, starts_at=where.starts_at
                )
            self._set_timer(install)
            return
        late = (now - due).total_seconds() > LATE_SECONDS
        begun = f"Its time, {due:%Y-%m-%d %H:%M} UTC, came while Moorage was off; it begins now."
        install = self._queue.change(
            install.id, allowed=("scheduled",), said=begun if late else None, state="queued", reason=None
        )
        self._events.publish("schedule.fired", install.id)
        self._placed_anew(install)

    def _try_again(self, install: Install) -> None:
        if not _tries_again(install):
            return
        needed = max(0, (install.total or 0) - install.completed) + self._queue.promised(but=install.id)
        if install.reason == "disk" and not self._downloader.has_room(needed):
            self._later(install.id, ROOM_SECONDS)
            return
        fields = self._placed(install.when)
        install = self._queue.change(install.id, allowed=("waiting",), error=None, **fields)
        self._events.publish("schedule.fired", install.id)
        self._placed_anew(install)

    def _end_of_window(self, install: Install) -> None:
        fields = self._placed(install.when, "Its window has ended; it goes on in the next one")
        if fields["state"] == "queued":
            self._set_timer(install)  # the timer was early
        else:
            self._rest(install.id, fields)

    def _rest(self, id: str, fields: dict[str, Any]) -> None:
        """Stop one that runs or is about to, for a while; what was fetched is kept."""
        with suppress(Conflict):
            install = self._queue.change(id, allowed=("running", "queued"), **fields, **self._kept(id))
            self._set_timer(install)
            self._events.publish("install.changed", id, state=install.state)
            self._runner.stop(id)

    def _look_daily(self) -> None:
        first = self._clock() + DAY
        self._recurring.every(UPDATES, DAY, self._look_for_updates, catch_up=True, first=first)

    def _look_for_updates(self, _: datetime) -> None:
        threading.Thread(target=self._updates.look, name="updates", daemon=True).start()

    def _install_update(self, install: Install, when: When) -> None:
        self.request(
            install.source,
            install.model,
            file=install.file,
            target=install.target,
            when=when,
            asked_by="schedule",
        )

    # -- inside -------------------------------------------------------------------------------------------------

    def _steer(self, id: str, generation: int | None, allowed: tuple[str, ...], **fields: Any) -> Install:
        return self._queue.change(id, generation=generation, allowed=allowed, by_person=True, **fields)

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
            if quiet is not None and quiet.inside:
                self._explain(None, QUIET)
                return
            self._explain(QUIET, None)
            settings = self._preferences()
            for install in self._queue.claim(
                settings.parallel_installs, settings.installs_per_target, self._runner.at_work
            ):
                self._set_timer(install)
                self._runner.start(install)

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
        )

    def _on_run_end(self, run: Run) -> None:
        live = run.live
        if live.state == "installed":
            self._timer.drop(live.id)
            self._hand_over_rule(live)
            self.tidy()
        self._pump()

    def _hand_over_rule(self, install: Install) -> None:
        """What was to happen when a newer revision appears holds for the newer revision too."""
        rule: When = "now"
        for other in self._queue.same(install.source, install.model, install.file, install.target):
            if other.id != install.id and other.state == "installed":
                if isinstance(other.when, WhenUpdated):
                    rule = other.when
                if other.update is not None or other.when != "now":
                    with suppress(Conflict):
                        self._queue.change(other.id, allowed=("installed",), when="now", update=None)
        if rule != "now":
            with suppress(Conflict):
                self._queue.change(install.id, allowed=("installed",), when=rule)

    def _stopped(self, install: Install) -> Install:
        self._timer.drop(install.id)
        self._runner.stop(install.id, STOP_SECONDS)
        return self._changed(install)

    def _placed_anew(self, install: Install) -> Install:
        self._set_timer(install)
        return self._changed(install)

    def _changed(self, install: Install) -> Install:
        self._events.publish("install.changed", install.id, state=install.state)
        self._pump()
        return self.get(install.id)

    def _kept(self, id: str) -> dict[str, Any]:
        run = self._runner.live(id)
        return {} if run is None else {"completed": run.live.completed, "total": run.live.total}

    def _with_progress(self, install: Install) -> Install:
        run = self._runner.live(install.id)
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


def _tries_again(install: Install) -> bool:
    """Whether one that waits goes on by itself; the rest needs a person."""
    full = install.error is not None and install.error.code == TARGET_FULL
    return install.reason in ("network", "target", "disk") and not full
