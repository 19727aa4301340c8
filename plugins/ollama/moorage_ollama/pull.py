"""How far a pull is, read from its lines. Pure.

A pull has several layers, one after another; each line tells of one. A layer may end without a line that says so, and
what is `completed` may fall when the server has to throw bytes away.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from moorage import InstallProgress

Phase = Literal["planning", "downloading", "verifying", "importing"]
MEGABYTE = 1_000_000


@dataclass(slots=True)
class Layer:
    total: int = 0
    completed: int = 0


class PullProgress:
    """Bytes over all layers, across the restarts of a pull. `expected` is what is known before the first line.

    `raw` is what the server says it has, for judging whether it moves; what is shown never goes down, and its total
    only grows.
    """

    def __init__(self, expected: int) -> None:
        self.phase: Phase = "planning"
        self.succeeded = False
        self._layers: dict[str, Layer] = {}
        self._current: str | None = None
        self._total = expected
        self._completed = 0
        self._told = False

    @property
    def raw(self) -> int:
        return sum(layer.completed for layer in self._layers.values())

    @property
    def total(self) -> int:
        return self._total

    def restart(self) -> None:
        """The pull was asked for anew; the server tells from the first layer on."""
        self._layers.clear()
        self._current = None
        self.phase = "planning"

    def feed(self, line: Mapping[str, Any]) -> InstallProgress:
        """Take one line (never an error line) and say how far the pull is."""
        status, digest = str(line.get("status") or ""), line.get("digest")
        if isinstance(digest, str) and digest:
            self._layer(digest, _count(line.get("total")), _count(line.get("completed")))
        elif status.startswith("pulling"):
            self.phase = "planning"
        elif status.startswith("verifying"):
            self._end_layer()
            self.phase = "verifying"
        elif status.startswith(("writing", "removing", "success")):
            self._end_layer()
            self.phase = "importing"
            self.succeeded = status == "success"
        return self.shown(self._loss())

    def shown(self, message: str | None = None) -> InstallProgress:
        """The progress as people see it."""
        self._total = max(self._total, sum(layer.total for layer in self._layers.values()))
        self._completed = max(self._completed, min(self.raw, self._total))
        known = self._total > 0
        return InstallProgress(
            phase=self.phase,
            completed=self._completed if known else None,
            total=self._total if known else None,
            message=message,
        )

    def _layer(self, digest: str, total: int, completed: int) -> None:
        if digest != self._current:
            self._end_layer()
            self._current = digest
        layer = self._layers.setdefault(digest, Layer())
        layer.total = max(layer.total, total)
        layer.completed = min(completed, layer.total)
        self.phase = "downloading"

    def _end_layer(self) -> None:
        """Layers come one after another, so whatever follows one says that it is complete."""
        if self._current is not None:
            layer = self._layers[self._current]
            layer.completed = layer.total
            self._current = None

    def _loss(self) -> str | None:
        """A sentence, once, when the server has clearly less than it had."""
        lost = self._completed - self.raw
        if self.phase != "downloading" or lost <= max(MEGABYTE, self._total // 100):
            self._told = self._told and lost > 0
            return None
        if self._told:
            return None
        self._told = True
        return f"The server fetches {lost / MEGABYTE:,.0f} MB again; the bar waits until it has caught up."


class StallWatch:
    """Does the download still move? The server goes on sending lines when it does not, so only their content tells.

    Stuck is: nothing new for `seconds`; or, in the last twentieth, under a twentieth of the speed so far for
    `crawl_seconds` (a known illness of the last part, which a new pull cures). `now` in monotonic seconds.
    """

    def __init__(self, seconds: float, crawl_seconds: float, now: Callable[[], float]) -> None:
        self._seconds = seconds
        self._crawl_seconds = crawl_seconds
        self._now = now
        self._raw: int | None = None
        self._moved_at = self._began_at = self._marked_at = now()
        self._began = self._marked = 0

    def stuck(self, raw: int, total: int) -> bool:
        now = self._now()
        if self._raw is None:
            self._began = self._marked = raw
            self._began_at = self._marked_at = now
        if raw != self._raw:
            self._raw, self._moved_at = raw, now
        return now - self._moved_at >= self._seconds or self._crawls(raw, total, now)

    def _crawls(self, raw: int, total: int, now: float) -> bool:
        if now - self._marked_at < self._crawl_seconds:
            return False
        lately = (raw - self._marked) / (now - self._marked_at)
        so_far = (raw - self._began) / (now - self._began_at)
        self._marked, self._marked_at = raw, now
        return raw > 0.95 * total and lately < 0.05 * so_far


def _count(value: Any) -> int:
    """Absent, and anything that is no count, is 0."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else 0
