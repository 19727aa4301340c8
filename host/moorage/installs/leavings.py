"""What a cancelled install leaves: its partial files, and its model where it is on the target already.

The record says that there is something to remove in the same write that says it is cancelled, so that a kill in the
middle of it, or a target that is away, only puts it off.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import suppress

from moorage.errors import Conflict, Missing, MoorageError, NotFound
from moorage.fetch import Downloader
from moorage.installs.queue import InstallQueue
from moorage.models import Install
from moorage.plugins import Plugins
from moorage.providers import Providers

log = logging.getLogger("moorage.installs")
ANSWER_SECONDS = 1.2  # who cancels waits so long to hear that all is gone
RUN_SECONDS = 30.0  # a run that was told to stop may hold a file for so long
AGAIN_SECONDS = 300.0
STEP_SECONDS = 0.25


class Leavings:
    """`ended(install, seconds)` waits for the end of its run; `later(id, seconds)` has `clean` called again;
    `removed(target)` hears of a target that has a model less.
    """

    def __init__(
        self,
        queue: InstallQueue,
        plugins: Plugins,
        providers: Providers,
        downloader: Downloader,
        ended: Callable[[Install, float], bool],
        later: Callable[[str, float], None],
        removed: Callable[[str], None],
        tidy: Callable[[], None],
    ) -> None:
        self._queue = queue
        self._plugins = plugins
        self._providers = providers
        self._downloader = downloader
        self._ended = ended
        self._later = later
        self._removed = removed
        self._tidy = tidy
        self._changed = threading.Condition()
        self._going: set[tuple[str, str]] = set()  # (target, model) that are being removed at this moment

    def clean(self, install: Install, wait: float = ANSWER_SECONDS) -> None:
        """Remove what it leaves, on a thread of its own; waits for that for so many seconds."""
        thread = threading.Thread(target=self._clean, args=(install,), name=f"clean:{install.id}", daemon=True)
        thread.start()
        thread.join(wait)

    def wait_until_gone(self, target: str, model: str, stopped: Callable[[], bool]) -> None:
        """Before a model is brought: the same one may be on its way out."""
        with self._changed:
            while (target, model) in self._going and not stopped():
                self._changed.wait(STEP_SECONDS)

    def _clean(self, install: Install) -> None:
        try:
            if not self._ended(install, RUN_SECONDS):
                self._later(install.id, AGAIN_SECONDS)
                return
            self._downloader.remove_partial(install.id)
            if install.replaces is False and install.model_name is not None:
                self._take_back(install, install.model_name)
            with suppress(Conflict, Missing):  # tried again, or taken out of the history, in between
                self._queue.change(install.id, allowed=("cancelled",), cleaning_up=False)
            self._tidy()
        except MoorageError as error:
            log.warning("what the cancelled install %s leaves could not be removed yet: %s", install.id, error)
            self._later(install.id, AGAIN_SECONDS)

    def _take_back(self, install: Install, model: str) -> None:
        """Take the model off the target, unless somebody wants it again by now."""
        target = install.target
        with self._changed:
            if self._is_wanted(install):
                return
            self._going.add((target, model))
        try:
            with suppress(NotFound, Missing):  # it never got there, or the target is no target any more
                self._plugins.remove_model(self._providers.resolve(target), model)
            self._removed(target)
        finally:
            with self._changed:
                self._going.discard((target, model))
                self._changed.notify_all()

    def _is_wanted(self, install: Install) -> bool:
        for other in self._queue.same(install.source, install.model, install.file, install.target):
            if other.state not in ("failed", "cancelled") or (other.id == install.id and not other.cleaning_up):
                return True
        return False
