"""Newer revisions of installed models: looked for once a day and shown; who wants to hear of them, or have them."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from moorage.clock import Clock
from moorage.errors import Conflict, Missing, MoorageError
from moorage.events import EventBus
from moorage.installs.queue import InstallQueue
from moorage.installs.targets import Targets
from moorage.models import Install, ModelDetail, NewerRevision, When, WhenUpdated, WhenWindow
from moorage.schedule import Recurring
from moorage.search import Search

log = logging.getLogger("moorage.installs")
DAY = timedelta(days=1)
UPDATES = "updates"  # the name of the daily look among the schedules


class Updates:
    """`install` asks for the file of an install again, at a time."""

    def __init__(
        self,
        queue: InstallQueue,
        search: Search,
        targets: Targets,
        events: EventBus,
        recurring: Recurring,
        clock: Clock,
        install: Callable[[Install, When], object],
    ) -> None:
        self._queue = queue
        self._search = search
        self._targets = targets
        self._events = events
        self._recurring = recurring
        self._clock = clock
        self._install = install
        self._looking = False

    def open(self) -> None:
        """Look daily if anything is installed; and hand over what a kill had left with an older revision."""
        watched = self._watched()
        for install in watched:
            same = self._queue.same(install.source, install.model, install.file, install.target)
            newest = next(other for other in same if other.state == "installed")
            if newest.id != install.id:
                self.hand_over(newest)
        if self._installed():
            self.look_daily()

    def look_daily(self) -> None:
        if self._looking:
            return
        self._looking = True
        self._recurring.every(UPDATES, DAY, self._look_aside, catch_up=True, first=self._clock() + DAY)

    def look(self) -> None:
        """Ask the sources once; one that fails is asked again the next time."""
        for install in self._installed():
            try:
                self._look_at(install, install.when if isinstance(install.when, WhenUpdated) else None)
            except (Conflict, Missing):
                continue  # it was changed or removed at this moment
            except MoorageError as error:
                log.warning("no look for a newer revision of %s: %s", install.model, error)

    def hand_over(self, install: Install) -> None:
        """What was to happen when a newer revision appears holds for the newer revision too.

        It is written there first: whatever ends this in between, nothing is lost.
        """
        older = [
            other
            for other in self._queue.same(install.source, install.model, install.file, install.target)
            if other.id != install.id and other.state == "installed"
        ]
        rule = next((other.when for other in older if isinstance(other.when, WhenUpdated)), None)
        if rule is not None:
            self._set(install.id, when=rule)
        for other in older:
            if other.update is not None or isinstance(other.when, WhenUpdated):
                self._set(other.id, when="now", update=None)

    def forget(self, target: str, model: str) -> None:
        """The model was taken off its target."""
        for install in self._queue.list(("installed",)).items:
            if install.target == target and install.model_name == model:
                self._set(install.id, when="now", update=None)

    def _watched(self) -> list[Install]:
        installed = self._queue.list(("installed",)).items
        return [install for install in installed if isinstance(install.when, WhenUpdated)]

    def _installed(self) -> list[Install]:
        """The newest record of each file on each target."""
        newest: dict[tuple[str, ...], Install] = {}
        for install in self._queue.list(("installed",)).items:
            newest.setdefault((install.source, install.model, install.file, install.target), install)
        return list(newest.values())

    def _set(self, id: str, **fields: Any) -> None:
        with suppress(Conflict, Missing):
            self._queue.change(id, allowed=("installed",), **fields)

    def _look_aside(self, _: datetime) -> None:
        """The schedule's thread is for waking only."""
        threading.Thread(target=self.look, name=UPDATES, daemon=True).start()

    def _look_at(self, install: Install, rule: WhenUpdated | None) -> None:
        """Without a rule a newer revision is shown with the model and among the news, and nobody is told."""
        if install.model_name is not None and self._targets.lacks(install.target, install.model_name):
            self._set(install.id, when="now", update=None)
            return
        detail = self._search.describe(install.source, install.model)
        if detail.revision == install.revision:
            return
        hashes = _hashes(detail, install.file)
        if hashes is None or (hashes == install.hashes and None not in hashes):
            # The file is gone from this commit, or the commit is about something else, such as the model card.
            self._queue.change(install.id, allowed=("installed",), revision=detail.revision)
            return
        if install.update is None or install.update.revision != detail.revision:
            found = NewerRevision(revision=detail.revision, found_at=self._clock())
            install = self._queue.change(install.id, allowed=("installed",), update=found)
            if rule is not None:
                self._events.publish(
                    "install.updated", install.id, model=install.model, revision=detail.revision, rule=rule.on_update
                )
        if rule is not None and rule.on_update == "install" and not self._was_refused(install, detail.revision):
            self._install(install, WhenWindow(window=rule.window) if rule.window is not None else "now")

    def _was_refused(self, install: Install, revision: str) -> bool:
        """Whether a person has cancelled this very update: it does not come back by itself."""
        same = self._queue.same(install.source, install.model, install.file, install.target)
        return any(other.state == "cancelled" and other.revision == revision for other in same)


def _hashes(detail: ModelDetail, name: str) -> tuple[str | None, ...] | None:
    for file in detail.files:
        if file.name == name:
            return tuple(part.sha256 for part in file.parts)
    return None
