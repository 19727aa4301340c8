"""What a cancelled install leaves: its partial files, and its model where it is on the target already.

The record says that there is something to remove in the same write that says it is cancelled, so that a kill in the
middle of it, or a target that is away, only puts it off.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import suppress

from moorage.errors import Conflict, Missing, MoorageError
from moorage.fetch import Downloader
from moorage.installs.queue import InstallQueue
from moorage.installs.targets import Targets
from moorage.models import Install

log = logging.getLogger("moorage.installs")
ANSWER_SECONDS = 1.2  # who cancels waits so long to hear that all is gone
RUN_SECONDS = 30.0  # a run that was told to stop may hold a file for so long
AGAIN_SECONDS = 300.0


class Leavings:
    """`ended(install, seconds)` waits for the end of its run; `later(id, seconds, wake)` calls later; `tidy` gives back
    the disk space of files that nothing needs.
    """

    def __init__(
        self,
        queue: InstallQueue,
        targets: Targets,
        downloader: Downloader,
        ended: Callable[[Install, float], bool],
        later: Callable[[str, float, Callable[[], None]], None],
        tidy: Callable[[], None],
    ) -> None:
        self._queue = queue
        self._targets = targets
        self._downloader = downloader
        self._ended = ended
        self._later = later
        self._tidy = tidy

    def clean(self, install: Install, wait: float = ANSWER_SECONDS) -> None:
        """Remove what it leaves, on a thread of its own; waits for that for so many seconds."""
        thread = threading.Thread(target=self._clean, args=(install,), name=f"clean:{install.id}", daemon=True)
        thread.start()
        thread.join(wait)

    def _clean(self, install: Install) -> None:
        try:
            if self._ended(install, RUN_SECONDS):
                self._downloader.remove_partial(install.id)
                if install.replaces is False and install.model_name is not None:
                    self._targets.take_back(install.target, install.model_name, lambda: self._is_wanted(install))
                with suppress(Conflict, Missing):  # tried again in between
                    self._queue.change(install.id, allowed=("cancelled",), cleaning_up=False)
                self._tidy()
                return
        except (MoorageError, OSError) as error:
            log.warning("what the cancelled install %s leaves could not be removed yet: %s", install.id, error)
        self._later(f"clean:{install.id}", AGAIN_SECONDS, lambda: self._again(install.id))

    def _again(self, id: str) -> None:
        with suppress(Missing):
            install = self._queue.get(id)
            if install.cleaning_up:
                self.clean(install, wait=0.0)

    def _is_wanted(self, install: Install) -> bool:
        for other in self._queue.same(install.source, install.model, install.file, install.target):
            if other.state not in ("failed", "cancelled") or (other.id == install.id and not other.cleaning_up):
                return True
        return False
