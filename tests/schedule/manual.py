"""A clock and a timer that a test moves: a night passes in no time."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta


class ManualTimer:
    """A `Timer` and the clock it goes by. `advance` calls whoever asked for a moment, in order, at that moment."""

    def __init__(self, now: str | datetime) -> None:
        self.now = datetime.fromisoformat(now) if isinstance(now, str) else now
        if self.now.tzinfo is None:
            self.now = self.now.replace(tzinfo=UTC)
        self.closed = False
        self._set: dict[str, tuple[datetime, Callable[[], None]]] = {}

    def clock(self) -> datetime:
        return self.now

    @property
    def ids(self) -> set[str]:
        return set(self._set)

    def due(self, id: str) -> datetime | None:
        return self._set[id][0] if id in self._set else None

    def at(self, id: str, when: datetime, wake: Callable[[], None]) -> None:
        if not self.closed:
            self._set[id] = (max(when, self.now), wake)

    def drop(self, id: str) -> None:
        self._set.pop(id, None)

    def close(self) -> None:
        self.closed = True
        self._set.clear()

    def advance(self, to: str | datetime | timedelta) -> None:
        """Move on; nothing is called for the time that a test skips with `sleep`."""
        end = self._moment(to)
        while due := sorted((when, id) for id, (when, _) in self._set.items() if when <= end):
            when, id = due[0]
            _, wake = self._set.pop(id)
            self.now = max(self.now, when)
            wake()
        self.now = end

    def sleep(self, to: str | datetime | timedelta) -> None:
        """The machine is off or asleep until then: the wall clock moves on, and nobody is called before."""
        self.now = self._moment(to)

    def _moment(self, to: str | datetime | timedelta) -> datetime:
        if isinstance(to, timedelta):
            return self.now + to
        moment = datetime.fromisoformat(to) if isinstance(to, str) else to
        return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
