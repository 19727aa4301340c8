"""What every timer promises; the tests of each one inherit these."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime, timedelta

from moorage.schedule import Timer

STEP = timedelta(seconds=0.15)


class TimerContract:
    """`pass_time` lets so much time pass for the timer, in truth or not."""

    def test_it_wakes_once_at_its_time(
        self, timer: Timer, clock: Callable[[], datetime], pass_time: Callable[[timedelta], None]
    ) -> None:
        woken: list[datetime] = []
        timer.at("a", clock() + 2 * STEP, lambda: woken.append(clock()))
        due = clock() + STEP
        pass_time(STEP / 3)
        assert not woken
        pass_time(6 * STEP)
        assert len(woken) == 1
        assert woken[0] >= due

    def test_a_time_that_has_passed_is_now(
        self, timer: Timer, clock: Callable[[], datetime], pass_time: Callable[[timedelta], None]
    ) -> None:
        woken: list[str] = []
        timer.at("late", clock() - timedelta(days=3), lambda: woken.append("late"))
        pass_time(4 * STEP)
        assert woken == ["late"]

    def test_the_last_time_that_was_set_counts(
        self, timer: Timer, clock: Callable[[], datetime], pass_time: Callable[[timedelta], None]
    ) -> None:
        woken: list[str] = []
        timer.at("a", clock() + STEP, lambda: woken.append("first"))
        timer.at("a", clock() + 2 * STEP, lambda: woken.append("second"))
        pass_time(6 * STEP)
        assert woken == ["second"]

    def test_what_was_dropped_wakes_nobody(
        self, timer: Timer, clock: Callable[[], datetime], pass_time: Callable[[timedelta], None]
    ) -> None:
        woken: list[str] = []
        timer.drop("never set")
        timer.at("dropped", clock() + STEP, lambda: woken.append("dropped"))
        timer.drop("dropped")
        timer.at("kept", clock() + 2 * STEP, lambda: woken.append("kept"))
        pass_time(6 * STEP)
        assert woken == ["kept"]
        timer.drop("kept")

    def test_the_woken_may_set_the_next_time_itself(
        self, timer: Timer, clock: Callable[[], datetime], pass_time: Callable[[timedelta], None]
    ) -> None:
        third = threading.Event()
        woken: list[datetime] = []

        def wake() -> None:
            woken.append(clock())
            if len(woken) < 3:
                timer.at("again", clock() + STEP, wake)
            else:
                third.set()

        timer.at("again", clock() + STEP, wake)
        pass_time(12 * STEP)
        assert third.is_set()
        assert len(woken) == 3

    def test_after_its_close_nobody_is_woken(
        self, timer: Timer, clock: Callable[[], datetime], pass_time: Callable[[timedelta], None]
    ) -> None:
        woken: list[str] = []
        timer.at("a", clock() + STEP, lambda: woken.append("a"))
        timer.close()
        timer.at("b", clock() + STEP, lambda: woken.append("b"))
        timer.drop("a")
        pass_time(5 * STEP)
        assert not woken
