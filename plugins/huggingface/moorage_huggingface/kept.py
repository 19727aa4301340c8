"""What was read and may be read again without asking: bounded in number and age."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Kept(Generic[K, V]):
    """Values by key, those used last, up to `room` in sum and `seconds` in age (None: for ever). Thread-safe.

    `weight` says how much room a value takes; one that takes more than all is not kept.
    """

    def __init__(
        self,
        room: int,
        seconds: float | None,
        monotonic: Callable[[], float],
        weight: Callable[[V], int] = lambda value: 1,
    ) -> None:
        self._room = room
        self._seconds = seconds
        self._now = monotonic
        self._weight = weight
        self._lock = threading.Lock()
        self._entries: OrderedDict[K, tuple[float, V]] = OrderedDict()
        self._used = 0

    def get(self, key: K) -> V | None:
        with self._lock:
            entry = self._entries.get(key)
            if entry is None:
                return None
            if self._seconds is not None and self._now() - entry[0] > self._seconds:
                self._drop(key)
                return None
            self._entries.move_to_end(key)
            return entry[1]

    def put(self, key: K, value: V) -> None:
        with self._lock:
            self._drop(key)
            if self._weight(value) > self._room:
                return  # it would only drive out all the others
            self._entries[key] = (self._now(), value)
            self._used += self._weight(value)
            while self._used > self._room:
                self._drop(next(iter(self._entries)))

    def forget(self, key: K) -> None:
        with self._lock:
            self._drop(key)

    def _drop(self, key: K) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._used -= self._weight(entry[1])
