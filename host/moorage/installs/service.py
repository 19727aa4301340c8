"""Installs: asked for, queued, run, paused, cancelled, tried again."""

from __future__ import annotations

import builtins
import threading
from collections.abc import Callable
from datetime import datetime
from typing import Any

from moorage.clock import Clock, NewId
from moorage.errors import Conflict, FieldError, InvalidInput
from moorage.events import EventBus
from moorage.fetch import Downloader
from moorage.installs.dispatcher import Dispatcher
from moorage.installs.leavings import Leavings
from moorage.installs.planner import Planner
from moorage.installs.queue import InstallQueue
from moorage.installs.rules import checked, has_time_beside, place
from moorage.installs.run import Run, extra_space
from moorage.installs.targets import Targets
from moorage.installs.updates import Updates
from moorage.models import (
    ACTIVE,
    Install,
    InstallPlan,
    Page,
    Preferences,
    Road,
    TimelineEntry,
    When,
    WhenUpdated,
    WhenWindow,
)
from moorage.plugins import Plugins
from moorage.schedule import Recurring, Span, Timer
from moorage.search import Search

STOP_SECONDS = 0.5  # who steers waits so long for the run to have ended; it ends later all the same


class Installs:
    """`host.installs`: asking, looking and steering. `tidy` gives back the disk space of files that nothing needs."""

    def __init__(
        self,
        queue: InstallQueue,
        planner: Planner,
        plugins: Plugins,
        targets: Targets,
        search: Search,
        downloader: Downloader,
        events: EventBus,
        timer: Timer,
        recurring: Recurring,
        clock: Clock,
        new_id: NewId,
        preferences: Callable[[], Preferences],
        quiet: Callable[[datetime], Span | None],
        tidy: Callable[[], None],
    ) -> None:
        self._queue = queue
        self._planner = planner
        self._targets = targets
        self._downloader = downloader
        self._events = events
        self._clock = clock
        self._new_id = new_id
        self._preferences = preferences
        self._quiet = quiet
        self._tidy = tidy
        self._lock = threading.RLock()
        self._updates = Updates(queue, search, targets, events, recurring, clock, self._install_update)

        def run_of(install: Install, retry_later: Callable[[str, float], None]) -> Run:
            return Run(
                install,
                queue=queue,
                planner=planner,
                plugins=plugins,
                targets=targets,
                downloader=downloader,
                events=events,
                context_length=lambda: preferences().context_length,
                retry_later=retry_later,
            )

        self._dispatcher = Dispatcher(
            queue, run_of, downloader, events, timer, clock, preferences, quiet, self._updates.hand_over, tidy
        )
        self._leavings = Leavings(queue, targets, downloader, self._dispatcher.stop, self._dispatcher.later, tidy)

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
        context_length: int | None = None,
    ) -> InstallPlan:
        """What an install would do; nothing is done. Its fit is for `context_length` tokens, or the setting's."""
        plan, _ = self._planner.plan(
            source,
            model,
            file=file,
            quantization=quantization,
            target=target,
            road=road,
            look=True,
            context_length=context_length,
        )
        return plan

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
        when = self._checked(when)
        if file is not None and target is not None and not isinstance(when, WhenUpdated):
            for install in self._queue.same(source, model, file, target):
                if install.state in ACTIVE:  # nobody has to be asked to know this
                    return self._with_progress(install), False
        plan, _ = self._planner.plan(source, model, file=file, quantization=quantization, target=target, road=road)
        # Asked before the lock is taken: the target may be a server that is slow to answer.
        removed = self._targets.lacks(plan.target.id, plan.name)
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
            # What a cancelled one still leaves there is not what was there before.
            left = any(install.cleaning_up and install.replaces is False for install in same)
            fresh = self._new(plan, when, road, asked_by, replaces=False if left else None)
            install = self._dispatcher.add(fresh)
            self._updates.look_daily()
        if install.id == fresh.id:
            self._dispatcher.set_timer(install)
            self._dispatcher.pump()
        return self.get(install.id), install.id == fresh.id

    def _new(self, plan: InstallPlan, when: When, road: Road | None, asked_by: str, replaces: bool | None) -> Install:
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
            road_reason=plan.road_reason,
            road_wished=road,
            extra_space=extra_space(plan),
            model_name=plan.name,
            state="queued" if starts_at is None else "scheduled",
            completed=plan.already_here,
            total=plan.bytes,
            when=when,
            starts_at=starts_at,
            created_at=now,
            asked_by=asked_by,
            replaces=replaces,
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
        when = "now" if rule is None else self._checked(rule)
        install = self._queue.change(id, allowed=("installed",), by_person=True, when=when)
        if rule is not None:
            self._updates.look_daily()
        return self._changed(install)

    # -- looking ------------------------------------------------------------------------------------------------

    def get(self, id: str) -> Install:
        return self._with_progress(self._queue.get(id))

    def list(
        self, states: tuple[str, ...] = (), *, limit: int | None = None, cursor: str | None = None
    ) -> Page[Install]:
        page = self._queue.list(states, limit=limit, cursor=cursor)
        return Page(items=tuple(self._with_progress(install) for install in page.items), next=page.next)

    def same(self, source: str, model: str, file: str, target: str) -> builtins.list[Install]:
        """Installs of the same file onto the same target, newest first, whatever became of them."""
        return self._queue.same(source, model, file, target)

    def queue(self) -> builtins.list[Install]:
        """Those that wait for their turn, or for the end of quiet hours, in the order in which they will run."""
        waiting = (install for install in self._queue.list(("queued", "waiting")).items)
        return sorted((item for item in waiting if item.state == "queued" or item.rests), key=lambda item: item.order)

    def active(self) -> builtins.list[Install]:
        """What runs, newest first, with its progress."""
        return list(self.list(("running",)).items)

    def needing_attention(self) -> int:
        """How many failed, or wait for something that may never come by itself."""
        waiting = self._queue.list(("waiting",)).items
        return self._queue.counts().get("failed", 0) + sum(not install.rests for install in waiting)

    def timeline(self, id: str) -> tuple[TimelineEntry, ...]:
        """What happened to an install, oldest first."""
        return self._queue.timeline(self._queue.get(id).id)

    def speeds(self, id: str) -> tuple[float, ...]:
        """Bytes per second in each of the last seconds, oldest first; empty for one that does not run."""
        run = self._dispatcher.live(id)
        return run.record.speeds() if run is not None else ()

    @property
    def running(self) -> bool:
        """Whether installs are taken up; false once it was closed."""
        return self._dispatcher.running

    def counts(self) -> dict[str, int]:
        """How many there are in each state."""
        return self._queue.counts()

    # -- steering -----------------------------------------------------------------------------------------------
    # With `generation`, only if nobody has steered it since that was read; else Conflict.

    def pause(self, id: str, generation: int | None = None) -> Install:
        allowed = ("queued", "running", "waiting", "scheduled")
        self._halted(id, generation, allowed, state="paused")
        return self.get(id)

    def resume(self, id: str, generation: int | None = None) -> Install:
        """Go on with it: now, or when its time or window comes."""
        with self._lock:
            when = self._queue.get(id).when
            fields = self._dispatcher.placed(when) | {"error": None, "failures": 0}
            install = self._steer(id, generation, ("paused", "waiting"), **fields)
        return self._changed(install)

    def start(self, id: str, generation: int | None = None) -> Install:
        """Begin one that is scheduled now, and let it run until it has ended."""
        said = "Started by hand, before its time."
        install = self._steer(id, generation, ("scheduled",), said=said, state="queued", when="now", reason=None)
        return self._changed(install)

    def reschedule(self, id: str, when: When, generation: int | None = None) -> Install:
        """Give one that has not begun, or does not run, another time; what was fetched is kept."""
        if isinstance(when, WhenUpdated):
            raise InvalidInput(
                "This is no time to begin at.", errors=(FieldError("when", "must be a time or a window"),)
            )
        when = self._checked(when)
        fields = self._dispatcher.placed(when) | {"when": when, "error": None, "failures": 0}
        said = "Its time was changed."
        install = self._steer(id, generation, ("scheduled", "queued", "paused", "waiting"), said=said, **fields)
        return self._changed(install)

    def cancel(self, id: str, generation: int | None = None) -> Install:
        """Stop it and remove what was fetched of it."""
        install = self._halted(id, generation, ACTIVE, state="cancelled", cleaning_up=True)
        self._leavings.clean(install)
        return self.get(id)

    def retry(self, id: str, generation: int | None = None) -> Install:
        """Try one that failed or was cancelled again, with the same file."""
        with self._lock:  # nobody asks for the same in between
            install = self._queue.get(id)
            others = self._queue.same(install.source, install.model, install.file, install.target)
            if any(other.id != id and other.state in ACTIVE for other in others):
                raise Conflict("The same file is being installed already.")
            fields = self._dispatcher.placed(install.when)
            fields |= {"error": None, "finished_at": None, "failures": 0, "cleaning_up": False}
            if install.state == "cancelled":
                fields["completed"] = 0  # what was here is gone
            install = self._steer(id, generation, ("failed", "cancelled"), **fields)
        return self._changed(install)

    def move(self, id: str, *, before: str | None = None, generation: int | None = None) -> Install:
        """Put it before another queued one, or to the front."""
        return self._changed(self._queue.move(id, before=before, generation=generation))

    def remove(self, id: str) -> None:
        """Take one that has ended out of the history, and give back what was kept to try it again."""
        self._queue.remove(id)
        self._downloader.remove_partial(id)
        self._tidy()
        self._events.publish("install.changed", id, state="removed")

    def wanted_on(self, target: str) -> int:
        """How many installs that have not ended are for a target."""
        return sum(install.target == target for install in self._queue.list(ACTIVE).items)

    def brings(self, target: str, model: str) -> bool:
        """Whether an install is at work on this model of a target."""
        running = self._queue.list(("running",)).items
        return any(install.target == target and install.model_name == model for install in running)

    def model_removed(self, target: str, model: str) -> None:
        """A person took it off its target: nobody is to be told of newer revisions of it."""
        self._updates.forget(target, model)
        self._tidy()

    # -- life ---------------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Go on with what the last process left."""
        self._dispatcher.open()
        for install in self._queue.list(("cancelled",)).items:
            if install.cleaning_up:
                self._leavings.clean(install, wait=0.0)
        self._updates.open()
        self._tidy()

    def settings_changed(self) -> None:
        """Quiet hours, or how many may run at once."""
        self._dispatcher.settings_changed()

    def close(self) -> None:
        self._dispatcher.close()

    # -- inside -------------------------------------------------------------------------------------------------

    def _checked(self, when: When) -> When:
        when = checked(when, self._clock(), self._preferences().time_zone)
        window = when.window if isinstance(when, WhenWindow | WhenUpdated) else None
        if window is not None and not has_time_beside(window, self._quiet, self._clock()):
            raise InvalidInput(
                "The quiet hours leave nothing of this window.",
                errors=(FieldError("when.window", "lies within the quiet hours"),),
                hint="Choose another window, or change the quiet hours on the Settings page.",
            )
        return when

    def _steer(self, id: str, generation: int | None, allowed: tuple[str, ...], **fields: Any) -> Install:
        return self._queue.change(id, generation=generation, allowed=allowed, by_person=True, **fields)

    def _halted(self, id: str, generation: int | None, allowed: tuple[str, ...], **fields: Any) -> Install:
        """The record as it was written: it may have been steered again since."""

        def change(kept: dict[str, Any]) -> Install:
            return self._steer(id, generation, allowed, **{"reason": None, "error": None, **kept, **fields})

        install = self._dispatcher.halt(id, change)
        self._dispatcher.stop(install, STOP_SECONDS)
        self._dispatcher.changed(install)
        return install

    def _install_update(self, install: Install, when: When) -> None:
        self.request(
            install.source,
            install.model,
            file=install.file,
            target=install.target,
            road=install.road_wished,
            when=when,
            asked_by="schedule",
        )

    def _changed(self, install: Install) -> Install:
        self._dispatcher.changed(install)
        return self.get(install.id)

    def _with_progress(self, install: Install) -> Install:
        run = self._dispatcher.live(install.id) if install.state == "running" else None
        if run is None or run.live.attempt != install.attempt:
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
