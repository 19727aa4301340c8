"""One rate for all downloads together."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

SHORTEST = 0.02  # seconds: what is less is added up, since every sleep takes a little longer than it should
CATCH_UP = 0.2  # seconds: so much lost time, as while the disk syncs, is made good


class Throttle:
    """Says how long to wait after so many bytes. `rate` in bytes per second, None for as fast as can be; it is asked
    each time, so that a changed setting takes effect while downloads run, also for those that wait."""

    def __init__(self, rate: Callable[[], int | None], now: Callable[[], float] = time.monotonic) -> None:
        self._rate = rate
        self._now = now
        self._lock = threading.Lock()
        self._taken = 0.0  # bytes, by all
        self._paid = 0.0  # the bytes for which the time has passed
        self._at = now()
        self._last: int | None = None  # the rate at that time

    def take(self, amount: int) -> float:
        """Take so many bytes, and give the ticket for `left`."""
        with self._lock:
            self._pay()
            self._taken += amount
            return self._taken

    def left(self, ticket: float) -> float:
        """Seconds until the time of these bytes has passed, at the rate of now."""
        with self._lock:
            rate = self._pay()
            left = 0.0 if rate is None else (ticket - self._paid) / rate
            return left if left >= SHORTEST else 0.0

    def _pay(self) -> int | None:
        """Time that nobody used is saved up for a moment only."""
        last, now = self._last, self._now()
        if last is None:
            self._paid = self._taken
        else:
            self._paid = min(self._taken + last * CATCH_UP, self._paid + last * (now - self._at))
        self._last, self._at = self._rate(), now
        return self._last
