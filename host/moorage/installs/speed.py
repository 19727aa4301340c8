"""How fast a download is, and was."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

SECONDS = 10.0  # over which the present speed is measured
SAMPLES = 60  # of the past, one a second


class Speed:
    """Fed with the bytes that are here; `now` in monotonic seconds."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._recent: deque[tuple[float, int]] = deque()
        self._past: deque[float] = deque(maxlen=SAMPLES)
        self._marked: tuple[float, int] | None = None

    def add(self, completed: int) -> float | None:
        """Bytes per second over the last few seconds; None until that can be told."""
        now = self._now()
        if self._recent and completed < self._recent[-1][1]:
            self._recent.clear()
            self._marked = None
        self._recent.append((now, completed))
        while now - self._recent[0][0] > SECONDS:
            self._recent.popleft()
        self._sample(now, completed)
        seconds = now - self._recent[0][0]
        return (completed - self._recent[0][1]) / seconds if seconds >= 0.5 else None

    def past(self) -> tuple[float, ...]:
        """Bytes per second, about one value for each of the last seconds, oldest first."""
        return tuple(self._past)

    def _sample(self, now: float, completed: int) -> None:
        if self._marked is None:
            self._marked = (now, completed)
        elif (seconds := now - self._marked[0]) >= 1.0:
            self._past.append((completed - self._marked[1]) / seconds)
            self._marked = (now, completed)
