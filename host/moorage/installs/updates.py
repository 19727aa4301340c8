"""Looking for newer revisions of installed models whose owners want to hear of them."""

from __future__ import annotations

import logging
from collections.abc import Callable

from moorage.clock import Clock
from moorage.errors import Conflict, MoorageError
from moorage.events import EventBus
from moorage.installs.queue import InstallQueue
from moorage.models import Install, ModelDetail, NewerRevision, When, WhenUpdated, WhenWindow
from moorage.search import Search

log = logging.getLogger("moorage.installs")


class Updates:
    """`install` asks for the file of an install again, at a time."""

    def __init__(
        self,
        queue: InstallQueue,
        search: Search,
        events: EventBus,
        clock: Clock,
        install: Callable[[Install, When], object],
    ) -> None:
        self._queue = queue
        self._search = search
        self._events = events
        self._clock = clock
        self._install = install

    def look(self) -> None:
        """Ask the sources once; one that fails is asked again the next time."""
        for install in self._queue.list(("installed",)).items:
            if isinstance(install.when, WhenUpdated):
                try:
                    self._look_at(install, install.when)
                except Conflict:
                    continue  # it was changed or removed at this moment
                except MoorageError as error:
                    log.warning("no look for a newer revision of %s: %s", install.model, error)

    def _look_at(self, install: Install, rule: WhenUpdated) -> None:
        detail = self._search.describe(install.source, install.model)
        if detail.revision == install.revision:
            return
        if _hashes(detail, install.file) in (None, install.hashes):
            # The commit is about something else, such as the model card, or the file is gone from it.
            self._queue.change(install.id, allowed=("installed",), revision=detail.revision)
            return
        if install.update is None or install.update.revision != detail.revision:
            found = NewerRevision(revision=detail.revision, found_at=self._clock())
            install = self._queue.change(install.id, allowed=("installed",), update=found)
            self._events.publish(
                "install.updated", install.id, model=install.model, revision=detail.revision, rule=rule.on_update
            )
        if rule.on_update == "install":
            self._install(install, WhenWindow(window=rule.window) if rule.window is not None else "now")


def _hashes(detail: ModelDetail, name: str) -> tuple[str | None, ...] | None:
    for file in detail.files:
        if file.name == name:
            return tuple(part.sha256 for part in file.parts)
    return None
