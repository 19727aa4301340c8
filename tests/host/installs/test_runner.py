"""Who does the installs: a contract, and the runner that has a thread for each."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import cast

import pytest

from moorage.installs.run import Run
from moorage.installs.runner import Runner, ThreadRunner
from moorage.models import Install
from tests.host.installs.queue_contract import an_install


class Work:
    """Stands for a run: works until it is told to stop, and then for `lasts` seconds more."""

    def __init__(self, install: Install, lasts: float = 0.0) -> None:
        self.live = install
        self.begun = threading.Event()
        self.told = threading.Event()
        self.fails = False
        self._lasts = lasts

    def work(self) -> None:
        self.begun.set()
        self.told.wait(20)
        time.sleep(self._lasts)
        if self.fails:
            raise RuntimeError("a bug")

    def stop(self) -> None:
        self.told.set()


Made = dict[str, list[Work]]


class RunnerContract:
    @pytest.fixture
    def made(self) -> Made:
        return {}

    @pytest.fixture
    def ended(self) -> list[str]:
        return []

    def begin(self, runner: Runner, made: Made, id: str = "i1", target: str = "builtin") -> Work:
        runner.start(an_install(id, target=target))
        work = made[id][-1]
        assert work.begun.wait(5)
        return work

    def test_it_begins_at_once_and_is_at_work(self, runner: Runner, made: Made) -> None:
        work = self.begin(runner, made)
        assert runner.live("i1") is cast(Run, work)
        assert runner.at_work("builtin") == 1
        assert runner.at_work("another") == 0
        assert runner.live("i2") is None

    def test_its_end_is_told_once_it_is_over(self, runner: Runner, made: Made, ended: list[str]) -> None:
        work = self.begin(runner, made)
        work.stop()
        wait(lambda: ended == ["i1"])
        assert runner.at_work("builtin") == 0
        assert runner.live("i1") is None

    def test_a_stop_waits_for_the_end(self, runner: Runner, made: Made, ended: list[str]) -> None:
        self.begin(runner, made)
        runner.stop(an_install("i1"), wait=5.0)
        assert runner.at_work("builtin") == 0
        runner.stop(an_install("i1"), wait=5.0)
        assert runner.stop(an_install("nobody"), wait=5.0)

    def test_one_that_does_not_hear_is_at_work_still(self, runner: Runner, made: Made, ended: list[str]) -> None:
        work = self.begin(runner, made)
        work._lasts = 0.5
        began = time.monotonic()
        assert not runner.stop(an_install("i1"), wait=0.05)
        assert time.monotonic() - began < 0.4
        assert runner.at_work("builtin") == 1
        wait(lambda: ended == ["i1"])
        assert runner.at_work("builtin") == 0

    def test_a_second_run_is_not_taken_for_the_first(self, runner: Runner, made: Made, ended: list[str]) -> None:
        """It was paused and resumed before the first one had ended."""
        first = self.begin(runner, made)
        first._lasts = 0.3
        runner.stop(an_install("i1"))
        second = self.begin(runner, made)
        wait(lambda: ended == ["i1"])
        assert runner.live("i1") is cast(Run, second)
        assert runner.at_work("builtin") == 1

    def test_a_stop_of_an_earlier_attempt_leaves_a_later_one_alone(self, runner: Runner, made: Made) -> None:
        runner.start(an_install("i1", attempt=2))
        assert runner.stop(an_install("i1", attempt=1), wait=5.0), "that one is not at work any more"
        assert not made["i1"][0].told.is_set()
        assert runner.stop(an_install("i1", attempt=2), wait=5.0)

    def test_a_bug_in_one_ends_it_alone(self, runner: Runner, made: Made, ended: list[str]) -> None:
        bad, good = self.begin(runner, made, "i1"), self.begin(runner, made, "i2")
        bad.fails = True
        bad.stop()
        wait(lambda: ended == ["i1"])
        assert runner.live("i2") is cast(Run, good)

    def test_closing_stops_all_in_a_bounded_time(self, runner: Runner, made: Made) -> None:
        works = [self.begin(runner, made, f"i{number}") for number in range(3)]
        works[0]._lasts = 1.0
        began = time.monotonic()
        runner.close(0.3)
        assert time.monotonic() - began < 0.9
        assert all(work.told.is_set() for work in works)


class TestThreadRunner(RunnerContract):
    @pytest.fixture
    def runner(self, made: Made, ended: list[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Runner]:
        def make(install: Install) -> Run:
            made.setdefault(install.id, []).append(Work(install))
            return cast(Run, made[install.id][-1])

        monkeypatch.setattr(threading, "excepthook", lambda args: None)  # one of them has a bug, which is told there
        running = ThreadRunner(make, lambda run: ended.append(run.live.id))
        yield running
        running.close(5.0)


def wait(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)
