"""How patient an install is."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

HASHING = 20_000_000  # bytes per second of a slow disk, while the server reads or verifies in silence
TICK = 0.25  # how often progress is told at most


@dataclass(frozen=True, slots=True)
class Pacing:
    """In seconds. After `waits` restarts in a row that brought nothing new an install gives up."""

    stall: float = 75.0
    crawl: float = 120.0
    silence: float = 120.0
    waits: tuple[float, ...] = (3.0, 5.0, 15.0, 30.0, 60.0)
    now: Callable[[], float] = time.monotonic


def ticks(seconds: float) -> Iterator[None]:
    """Wait in small steps, so that closing the install is noticed."""
    for _ in range(max(1, round(seconds / TICK))):
        yield
        time.sleep(min(TICK, seconds))
