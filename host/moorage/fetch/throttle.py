"""One rate for all downloads together."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class Throttle:
    """Says how long to wait after so many bytes. `rate` in bytes per second, None for as fast as can be; it is asked
    each time, so that a changed setting takes effect while downloads run."""

    def __init__(self, rate: Callable[[], int | None], now: Callable[[], float] = time.monotonic) -> None:
        self._rate = rate
        self._now = now
        self._lock = threading.Lock()
        self._free_at = 0.0

    def spend(self, amount: int) -> float:
        """Seconds to wait before the next bytes may be taken."""
        rate = self._rate()
        if rate is None:
            return 0.0
        with self._lock:
            now = self._now()
            self._free_at = max(self._free_at, now) + amount / rate
            return self._free_at - now
