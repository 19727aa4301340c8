"""One model at a time in a child process: loaded on first use, unloaded when idle, replaced by the next."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from moorage import Cancelled, Unreachable, Unsupported
from moorage_llamacpp.child import Child, Wanted

TURN_SECONDS = 600.0
STEP_SECONDS = 0.1
STOP_SECONDS = 2.0  # a person who stops an answer expects silence within 3 s


class Engine:
    """Thread-safe. `close` ends the child; so does the end of this process, however it comes.

    One answer at a time, whoever asks: the rest wait for their turn.
    """

    def __init__(self, data_dir: Path, log: logging.Logger) -> None:
        self._data_dir = data_dir
        self._log = log
        self._changed = threading.Condition()
        self._child: Child | None = None
        self._taken = False
        self._closed = False
        self._used_at = 0.0
        self._idle_seconds = 600.0
        self._reaper: threading.Thread | None = None

    @property
    def loaded(self) -> str | None:
        """The name of the model in memory."""
        child = self._child
        return child.wanted.name if child is not None and child.alive else None

    @contextmanager
    def serving(self, wanted: Wanted, *, idle_seconds: float, cancelled: Callable[[], bool]) -> Iterator[Child]:
        """A child that has `wanted` loaded and answers nobody else while the block runs.

        Leave the block by an exception, as a closed generator does, and what the child was computing is stopped too.
        Unsupported when the model cannot be loaded, Unreachable when the engine stays busy, Cancelled.
        """
        with self._turn(TURN_SECONDS, cancelled):
            self._idle_seconds = idle_seconds
            child = self._loaded(wanted, cancelled)
            try:
                yield child
            except BaseException:
                # The engine does not see at once that nobody listens any more, and in a long prompt not for minutes.
                if child.alive and not child.rests_within(STOP_SECONDS):
                    self._log.info("%s was still busy with a stopped answer: ending it", child.wanted.name)
                    self._forget(child)
                raise

    def unload(self, name: str, *, wait: float) -> None:
        """Free the memory of this model if it is the one loaded; Unsupported when it still answers after `wait` s."""
        if self.loaded != name:
            return
        try:
            with self._turn(wait, lambda: False):
                child = self._child
                if child is not None and child.wanted.name == name:
                    self._forget(child)
        except Unreachable:
            raise Unsupported(f"{name} is answering right now.", hint="Stop that answer, then try again.") from None

    def close(self) -> None:
        """End the child, also in the middle of an answer, and wait until nothing of it is left."""
        with self._changed:
            self._closed = True
            child = self._child
            self._changed.notify_all()
        if child is not None:
            self._forget(child)
        with self._changed:
            # Whoever is loading or answering notices, and lets go.
            self._changed.wait_for(lambda: not self._taken, STOP_SECONDS)
        if self._reaper is not None:
            self._reaper.join(STOP_SECONDS)

    @contextmanager
    def _turn(self, seconds: float, cancelled: Callable[[], bool]) -> Iterator[None]:
        until = time.monotonic() + seconds
        with self._changed:
            while self._taken or self._closed:
                if self._closed or cancelled():
                    raise Cancelled("It was stopped.")
                if time.monotonic() > until:
                    raise Unreachable("The built-in engine is busy.", hint="Wait for its answer, or stop it.")
                self._changed.wait(STEP_SECONDS)
            self._taken = True
        try:
            yield
        finally:
            with self._changed:
                self._taken = False
                self._used_at = time.monotonic()
                self._changed.notify_all()

    def _loaded(self, wanted: Wanted, cancelled: Callable[[], bool]) -> Child:
        """The child for `wanted`; called by whoever has the turn."""
        child = self._child
        if child is not None:
            if child.alive and child.wanted == wanted:
                return child
            self._forget(child)
        fresh = Child.start(wanted, self._data_dir, cancelled=lambda: self._closed or cancelled())
        self._log.info("loaded %s", wanted.name)
        with self._changed:
            self._child = fresh
            closed = self._closed
            if not closed and self._reaper is None:
                self._reaper = threading.Thread(target=self._reap, name="llamacpp:idle", daemon=True)
                self._reaper.start()
        if closed:
            self._forget(fresh)
            raise Cancelled("It was stopped.")
        return fresh

    def _forget(self, child: Child) -> None:
        with self._changed:
            if self._child is child:
                self._child = None
        child.end()

    def _reap(self) -> None:
        """Unload what nobody has used for a while."""
        with self._changed:
            while not self._closed:
                child = self._child
                left = self._used_at + self._idle_seconds - time.monotonic()
                if child is None or self._taken:
                    self._changed.wait()
                elif left > 0:
                    self._changed.wait(left)
                else:
                    self._log.info("unloading %s: it was idle", child.wanted.name)
                    self._forget(child)
