"""Waking what was asked for later."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta

import pytest

from moorage.clock import utc_now
from moorage.installs.schedule import Schedule


class Woken:
    """The ids that were woken; `heard` is set at the first."""

    def __init__(self) -> None:
        self.ids: list[str] = []
        self.heard = threading.Event()

    def __call__(self, id: str) -> None:
        self.ids.append(id)
        self.heard.set()


@pytest.fixture
def woken() -> Woken:
    return Woken()


@pytest.fixture
def schedule(woken: Woken) -> Iterator[Schedule]:
    made = Schedule(woken, utc_now)
    yield made
    made.close()


def test_what_was_dropped_wakes_nobody(schedule: Schedule, woken: Woken) -> None:
    schedule.drop("never set")
    schedule.later("dropped", 0.2)
    schedule.drop("dropped")
    schedule.at("kept", utc_now() + timedelta(seconds=0.4))
    assert woken.heard.wait(5)
    assert woken.ids == ["kept"]
    schedule.drop("kept")


def test_a_drop_of_what_fires_at_that_moment(schedule: Schedule, monkeypatch: pytest.MonkeyPatch) -> None:
    from apscheduler.schedulers.background import BackgroundScheduler

    monkeypatch.setattr(BackgroundScheduler, "get_job", lambda self, id: object())  # it was there a moment ago
    schedule.later("other", 60)
    schedule.drop("fired")
