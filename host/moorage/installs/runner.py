"""Who does the installs that were claimed: in this process, on a thread each."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Protocol

from moorage.installs.run import Run
from moorage.models import Install


class Runner(Protocol):
    def start(self, install: Install) -> None:
        """Begin to work on an install that was claimed; returns at once."""
        ...

    def stop(self, install: Install, wait: float = 0.0) -> bool:
        """Stop the work on it, whose record was changed before, and wait so many seconds for its end.

        Only what is at work by the attempt of this record or an earlier one: it may have been tried again meanwhile.
        Whether that has ended; true where nothing was at work.
        """
        ...

    def at_work(self, target: str) -> int:
        """How many runs are at work on a target, those too that were told to stop and have not ended yet."""
        ...

    def live(self, id: str) -> Run | None:
        """The run at work on an install, with its latest progress."""
        ...

    def close(self, wait: float) -> None:
        """Stop all; their records say that they go on."""
        ...


class ThreadRunner:
    """A `Runner`; `make` makes the run of an install, `on_end` hears when one is over."""

    def __init__(self, make: Callable[[Install], Run], on_end: Callable[[Run], None]) -> None:
        self._make = make
        self._on_end = on_end
        self._lock = threading.Lock()
        self._runs: dict[str, Run] = {}
        self._threads: dict[Run, threading.Thread] = {}

    def start(self, install: Install) -> None:
        run = self._make(install)
        thread = threading.Thread(target=self._work, args=(run,), name=f"install:{install.id}", daemon=True)
        with self._lock:
            self._runs[install.id] = run
            self._threads[run] = thread
            thread.start()  # within the lock: whoever stops it waits for a thread that has begun

    def stop(self, install: Install, wait: float = 0.0) -> bool:
        with self._lock:
            at_work = {
                run: thread
                for run, thread in self._threads.items()
                if run.live.id == install.id and run.live.attempt <= install.attempt
            }
        for run in at_work:
            run.stop()
        until = time.monotonic() + wait
        for thread in at_work.values():
            if thread is not threading.current_thread():
                thread.join(max(0.0, until - time.monotonic()))
        return not any(thread.is_alive() for thread in at_work.values())

    def at_work(self, target: str) -> int:
        with self._lock:
            return sum(run.live.target == target for run in self._threads)

    def live(self, id: str) -> Run | None:
        with self._lock:
            return self._runs.get(id)

    def close(self, wait: float) -> None:
        with self._lock:
            threads = dict(self._threads)
        for run in threads:
            run.stop()
        until = time.monotonic() + wait
        for thread in threads.values():
            thread.join(max(0.0, until - time.monotonic()))

    def _work(self, run: Run) -> None:
        try:
            run.work()
        finally:
            with self._lock:
                self._threads.pop(run, None)
                if self._runs.get(run.live.id) is run:
                    del self._runs[run.live.id]
            self._on_end(run)
