"""Delivers events to one plugin, in order, on a thread of the plugin's own."""

from __future__ import annotations

import threading

from moorage.events import EventBus
from moorage.plugins.record import PluginRecord


class Listener:
    """A plugin that hangs in `on_event` holds up nobody but itself: its queue drops the oldest."""

    def __init__(self, record: PluginRecord, bus: EventBus) -> None:
        self._record = record
        self._hook = record.hooks["on_event"]
        self._subscription = bus.subscribe(size=1000)
        self._thread = threading.Thread(target=self._deliver, name=f"{record.name}:on_event", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._subscription.close()
        self._thread.join(1.0)

    def _deliver(self) -> None:
        for event in self._subscription:
            try:
                self._hook(event=event)
            except BaseException as error:  # noqa: BLE001 - the border to plugin code
                # Nobody waits for it, so it says nothing of whether the plugin can answer.
                self._record.note_failure("on_event", f"{type(error).__name__}: {error}", error)
