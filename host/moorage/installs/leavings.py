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

    def clean(self, install: Install, wait: float = ANSWER_SECONDS) -> None:
        """Remove what it leaves, on a thread of its own; waits for that for so many seconds."""
        thread = threading.Thread(target=self._clean, args=(install,), name=f"clean:{install.id}", daemon=True)
        thread.start()
        thread.join(wait)

    def _clean(self, install: Install) -> None:
        try:
            if not self._ended(install, RUN_SECONDS):
                self._later(install.id, AGAIN_SECONDS)
                return
            self._downloader.remove_partial(install.id)
            self._take_back(install)
            with suppress(Conflict, Missing):  # tried again, or taken out of the history, in between
                self._queue.change(install.id, allowed=("cancelled",), cleaning_up=False)
            self._tidy()
        except MoorageError as error:
            log.warning("what the cancelled install %s leaves could not be removed yet: %s", install.id, error)
            self._later(install.id, AGAIN_SECONDS)

    def _take_back(self, install: Install) -> None:
        """Take the model off the target, if it came by this install and nobody wants it again by now."""
        if install.replaces is not False or install.model_name is None:
            return
        try:
            target = self._providers.resolve(install.target)
        except MoorageError:
            return  # the target is no target any more
        with suppress(Missing):
            if not self._queue.get(install.id).cleaning_up:
                return
            with suppress(NotFound):
                self._plugins.remove_model(target, install.model_name)
            self._removed(install.target)
