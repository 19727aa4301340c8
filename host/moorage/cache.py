"""A bounded cache that knows fresh from stale."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

V = TypeVar("V")


class AgingCache(Generic[V]):
    """Only answers are kept, never errors. Thread-safe; `monotonic` in seconds.

    Who asks takes the `epoch` first and hands it in with the answer: what was asked before a `clear` is not kept.
    """

    def __init__(self, size: int, monotonic: Callable[[], float]) -> None:
        self._size = size
        self._now = monotonic
        self._lock = threading.Lock()
        self._entries: OrderedDict[Hashable, tuple[float, V]] = OrderedDict()
        self._epoch = 0

    @property
    def epoch(self) -> int:
        """How often it was cleared."""
        with self._lock:
            return self._epoch

    def get(self, key: Hashable, max_age: float) -> V | None:
        with self._lock:
            entry = self._entries.get(key)
            return entry[1] if entry is not None and self._now() - entry[0] <= max_age else None

    def put(self, key: Hashable, value: V, epoch: int) -> None:
        with self._lock:
            if epoch != self._epoch:
                return
            self._entries[key] = (self._now(), value)
            self._entries.move_to_end(key)
            while len(self._entries) > self._size:
                self._entries.popitem(last=False)

    def clear(self) -> None:
        with self._lock:
            self._entries.clear()
            self._epoch += 1
