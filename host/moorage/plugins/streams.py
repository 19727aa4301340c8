"""Driving a plugin's generator on a reader thread, and taking what it yields in batches.

One bounded queue per stream: a slow consumer slows the plugin, and the consumer takes everything that is ready at
once, so that under load one write carries many events.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator
from typing import Any, Generic, TypeVar

from moorage.errors import Cancelled, MoorageError
from moorage.plugins.calls import plugin_bug
from moorage.plugins.record import PluginRecord

E = TypeVar("E")
CAPACITY = 1024


class PluginStream(Generic[E]):
    """The events of one generator hook. Always `close` it: that stops the plugin and what it is connected to."""

    def __init__(
        self, record: PluginRecord, hook: str, start: Callable[[], Iterator[E] | None], cancel: Callable[[], None]
    ) -> None:
        self._record = record
        self._hook = hook
        self._cancel = cancel
        self._events: deque[E] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._ended = False
        self._error: BaseException | None = None
        self._reason: MoorageError | None = None
        self._thread = threading.Thread(target=self._read, args=(start,), name=f"{record.name}:{hook}", daemon=True)
        record.attach(self)
        self._thread.start()

    def take(self, timeout: float | None = None) -> list[E] | None:
        """All events that are ready, waiting up to `timeout` seconds for the first.

        An empty list after the time-out, None at the end. Raises the generator's error when its events are consumed:
        an error of `moorage.errors` without keys, anything else as PluginFailed. After `close` it raises the reason, or
        Cancelled, also while the plugin has not heard of it yet.
        """
        with self._changed:
            if not self._events and not self._ended and not self._closed:
                self._changed.wait(timeout)
            if self._events:
                batch = list(self._events)
                self._events.clear()
                self._changed.notify_all()
                return batch
            if self._closed:
                raise self._reason or Cancelled("It was stopped.")
            if not self._ended:
                return []
            if self._error is not None:
                raise self._error
            return None

    def __iter__(self) -> Iterator[E]:
        while (batch := self.take()) is not None:
            yield from batch

    def close(self, reason: MoorageError | None = None) -> None:
        """Stop the plugin: from any thread, at any moment, without waiting for it. `take` raises the reason."""
        with self._changed:
            already = self._closed
            self._closed = True
            if not already:
                self._reason = reason
            self._changed.notify_all()
        if not already and not self._ended:
            self._cancel()

    def join(self, timeout: float) -> bool:
        """Wait until the plugin's generator has ended; False when it has not within `timeout` seconds."""
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _read(self, start: Callable[[], Iterator[E] | None]) -> None:
        error: BaseException | None = None
        iterator: Any = None
        try:
            iterator = start()
            for event in iterator or ():
                if not self._offer(event):
                    break
            if isinstance(iterator, Generator):
                iterator.close()
            self._record.breaker.record(ok=True)
        except MoorageError as raised:
            error = self._record.cleaned(raised)
            self._record.breaker.record(ok=True)
        except BaseException as raised:  # noqa: BLE001 - the border to plugin code
            # A generator that is cut off mid-read may raise anything: that is no fault of the plugin.
            error = raised if self._closed else plugin_bug(self._record, self._hook, raised)
        self._record.detach(self)
        with self._changed:
            self._error = error
            self._ended = True
            self._changed.notify_all()

    def _offer(self, event: E) -> bool:
        with self._changed:
            while len(self._events) >= CAPACITY and not self._closed:
                self._changed.wait()
            if self._closed:
                return False
            self._events.append(event)
            self._changed.notify_all()
            return True
