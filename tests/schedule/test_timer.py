"""The timer by APScheduler, and the one that tests move, by one contract."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from moorage.clock import utc_now
from moorage.schedule import SchedulerTimer, Timer, timer
from tests.schedule.manual import ManualTimer
from tests.schedule.timer_contract import TimerContract


class TestSchedulerTimer(TimerContract):
    @pytest.fixture
    def timer(self) -> Iterator[Timer]:
        made = SchedulerTimer(utc_now)
        yield made
        made.close()

    @pytest.fixture
    def clock(self) -> Callable[[], datetime]:
        return utc_now

    @pytest.fixture
    def pass_time(self) -> Callable[[timedelta], None]:
        return lambda span: time.sleep(span.total_seconds())


class TestManualTimer(TimerContract):
    @pytest.fixture
    def timer(self) -> ManualTimer:
        return ManualTimer("2026-05-21T10:00:00Z")

    @pytest.fixture
    def clock(self, timer: ManualTimer) -> Callable[[], datetime]:
        return timer.clock

    @pytest.fixture
    def pass_time(self, timer: ManualTimer) -> Callable[[timedelta], None]:
        return timer.advance


def test_a_drop_of_what_fires_at_that_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    from apscheduler.schedulers.background import BackgroundScheduler

    monkeypatch.setattr(BackgroundScheduler, "get_job", lambda self, id: object())  # it was there a moment ago
    made = SchedulerTimer(utc_now)
    made.at("other", utc_now() + timedelta(seconds=60), lambda: None)
    made.drop("fired")
    made.close()


def test_a_machine_that_slept_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The wall clock jumps over the time that was set, while the clock that threads wait by stands still."""
    monkeypatch.setattr(timer, "LOOK_UP_SECONDS", 0.3)
    from apscheduler.schedulers import base

    ahead = timedelta()

    class Wall(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:  # type: ignore[override]
            return datetime.now(tz) + ahead

    monkeypatch.setattr(base, "datetime", Wall)
    woken = threading.Event()
    made = SchedulerTimer(utc_now)
    try:
        made.at("in three hours", utc_now() + timedelta(hours=3), woken.set)
        assert not woken.wait(0.5)
        ahead = timedelta(hours=4)
        assert woken.wait(3), "it would have been called three hours of waking time later"
    finally:
        made.close()


def test_nothing_runs_while_nothing_is_set() -> None:
    before = threading.active_count()
    made = SchedulerTimer(utc_now)
    made.drop("nothing")
    assert threading.active_count() == before
    made.close()
