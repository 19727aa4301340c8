"""Typed events: frozen facts in the past tense, and the bus that carries them.

Plugins, the browser's event stream, the log and the metrics all subscribe here. An event never holds a secret.
"""

from __future__ import annotations

import queue
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator
from typing import Any, Literal

from moorage.models import Model, Time

EventType = Literal[
    "plugin.loaded",
    "plugin.failed",
    "provider.saved",
    "provider.removed",
    "agent.saved",
    "agent.removed",
    "search.finished",
    "search.found",
    "install.requested",
    "install.started",
    "install.progressed",
    "install.waiting",
    "install.installed",
    "install.failed",
    "install.updated",
    "install.changed",
    "model.removed",
    "schedule.fired",
    "chat.started",
    "chat.ended",
    "catalog.violated",
    "settings.saved",
]


class Event(Model):
    """What happened: `about` is the id of the thing, `data` a few plain facts. `id` counts up, also over restarts."""

    id: int
    type: EventType
    at: Time
    about: str
    data: dict[str, Any]


class Subscription:
    """A bounded queue of events for one reader; the oldest is dropped when the reader does not keep up."""

    def __init__(self, bus: EventBus, size: int) -> None:
        self._bus = bus
        self._events: queue.Queue[Event | None] = queue.Queue(size)

    def put(self, event: Event | None) -> None:
        while True:
            try:
                self._events.put_nowait(event)
                return
            except queue.Full:
                try:
                    self._events.get_nowait()
                except queue.Empty:
                    continue

    def get(self, timeout: float | None = None) -> Event | None:
        """The next event; None at the end of the bus, queue.Empty after `timeout` seconds without one."""
        return self._events.get(timeout=timeout)

    def __iter__(self) -> Iterator[Event]:
        while (event := self._events.get()) is not None:
            yield event

    def close(self) -> None:
        self._bus.unsubscribe(self)
        self.put(None)


class EventBus:
    """Carries events to subscriptions in the order in which they were published; publishing never waits for a reader.

    The last `replay` events are kept, so that a browser that reconnects misses nothing.
    """

    def __init__(self, clock: Callable[[], Time], replay: int = 1000) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        # From the time in ms: an id of this process is above all those of a process before it.
        self._next_id = int(clock().timestamp() * 1000)
        self._recent: deque[Event] = deque(maxlen=replay)
        self._subscriptions: list[Subscription] = []
        self._counts: Counter[str] = Counter()

    def publish(self, type: EventType, about: str, /, **data: Any) -> Event:
        """Publish a fact; `data` holds plain JSON values."""
        with self._lock:
            event = Event(id=self._next_id, type=type, at=self._clock(), about=about, data=data)
            self._next_id += 1
            self._recent.append(event)
            self._counts[type] += 1
            for subscription in self._subscriptions:
                subscription.put(event)
        return event

    def subscribe(self, *, after: int | None = None, size: int = 10_000) -> Subscription:
        """A subscription to what comes, preceded by the kept events with an id above `after` when it is given."""
        subscription = Subscription(self, size)
        with self._lock:
            # An id above all of ours is from before the machine's clock was set back: everything kept is news.
            if after is not None:
                for event in self._recent:
                    if event.id > after or after >= self._next_id:
                        subscription.put(event)
            self._subscriptions.append(subscription)
        return subscription

    def counts(self) -> dict[str, int]:
        """How many events of each type there were since the start."""
        with self._lock:
            return dict(self._counts)

    def unsubscribe(self, subscription: Subscription) -> None:
        with self._lock:
            if subscription in self._subscriptions:
                self._subscriptions.remove(subscription)

    def close(self) -> None:
        with self._lock:
            for subscription in self._subscriptions:
                subscription.put(None)
            self._subscriptions.clear()
