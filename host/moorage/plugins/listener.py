"""Delivers events to one plugin, in order, on a thread of the plugin's own."""

from __future__ import annotations

import threading
from collections.abc import Callable

from moorage.context import PluginContext
from moorage.errors import MoorageError
from moorage.events import Event, EventBus
from moorage.http import CallScope
from moorage.plugins.record import PluginRecord

CLOSE_SECONDS = 1.0


class Listener:
    """A plugin that hangs in `on_event` holds up nobody but itself: its queue drops the oldest.

    `seconds` is how long the HTTP of one call may take; `context` makes what the call may use.
    """

    def __init__(
        self, record: PluginRecord, bus: EventBus, seconds: float, context: Callable[[CallScope], PluginContext]
    ) -> None:
        self._record = record
        self._hook = record.hooks["on_event"]
        self._seconds = seconds
        self._context = context
        self._scope = CallScope(seconds)
        self._closed = threading.Event()
        self._subscription = bus.subscribe(size=1000)
        self._thread = threading.Thread(target=self._deliver, name=f"{record.name}:on_event", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """What was published before is still delivered, if that is soon done."""
        self._subscription.close()
        self._thread.join(CLOSE_SECONDS)
        self._closed.set()
        self._scope.cancel()

    def _deliver(self) -> None:
        for event in self._subscription:
            self._scope = CallScope(self._seconds)  # before the look at `_closed`: `close` cancels one or stops here
            if self._closed.is_set():
                return
            if self._record.callable:  # in the state needs-config it is loaded, but not called
                self._call(event)

    def _call(self, event: Event) -> None:
        available: dict[str, object] = {"event": event}
        # Nobody waits for it, so a failure says nothing of whether the plugin can answer.
        try:
            if "context" in self._hook.arguments:
                available["context"] = self._context(self._scope)
            self._hook(**available)
        except MoorageError as error:
            if not self._closed.is_set():  # what we cut off is no failure of the plugin
                self._record.note_failure("on_event", str(error))
        except BaseException as error:  # noqa: BLE001 - the border to plugin code
            self._record.note_failure("on_event", f"{type(error).__name__}: {error}", error)
