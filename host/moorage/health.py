"""Is everything that should run running? One line per part, for people and for supervisors."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from moorage.models import HealthPart
from moorage.plugins import Plugins
from moorage.store import Store


class Health:
    """`host.health`."""

    def __init__(self, store: Store, home: Path, plugins: Plugins, scheduler_runs: Callable[[], bool]) -> None:
        self._store = store
        self._home = home
        self._plugins = plugins
        self._scheduler_runs = scheduler_runs

    def parts(self) -> tuple[HealthPart, ...]:
        return (self._of_store(), self._of_scheduler(), self._of_plugins())

    def _of_store(self) -> HealthPart:
        if not os.access(self._home, os.W_OK):
            return HealthPart(name="store", ok=False, detail="the data directory cannot be written")
        notices: Sequence[str] = self._store.notices
        return HealthPart(name="store", ok=True, detail=" ".join(notices) or "readable and writable")

    def _of_scheduler(self) -> HealthPart:
        ok = self._scheduler_runs()
        return HealthPart(name="scheduler", ok=ok, detail="runs" if ok else "has stopped")

    def _of_plugins(self) -> HealthPart:
        """A plugin that failed is its own page's business; the part is well when the host could load what it found."""
        states = Counter(plugin.state for plugin in self._plugins.list())
        detail = ", ".join(f"{number} {state}" for state, number in sorted(states.items()))
        return HealthPart(name="plugins", ok=states["ready"] > 0, detail=detail or "none was found")
