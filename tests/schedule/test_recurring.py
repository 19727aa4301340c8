"""What recurs counts once for each time, whoever shares the store and whatever was missed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from moorage.schedule import Recurring
from moorage.schedule.recurring import Fire
from moorage.store.tinydb import TinyDBStore
from tests.schedule.manual import ManualTimer

MINUTE = timedelta(minutes=1)
START = "2026-05-21T10:00:00Z"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[TinyDBStore]:
    made = TinyDBStore(tmp_path / "home", url=None)
    yield made
    made.close()


def begun(
    store: TinyDBStore, timer: ManualTimer, act: Callable[[datetime], None], *, catch_up: bool = True
) -> Recurring:
    recurring = Recurring(store, timer, timer.clock)
    recurring.every("minutely", MINUTE, act, catch_up=catch_up, first=timer.now + MINUTE)
    return recurring


def fires(store: TinyDBStore) -> list[Fire]:
    return list(store.collection("fires", Fire).query(order_by="at").items)


def test_sixty_times_are_sixty_records(store: TinyDBStore) -> None:
    timer, acted = ManualTimer(START), list[datetime]()
    begun(store, timer, acted.append)
    timer.advance(timedelta(hours=1))
    assert len(fires(store)) == len(acted) == len(set(acted)) == 60
    assert acted == [datetime.fromisoformat(START) + MINUTE * (number + 1) for number in range(60)]
    assert all(fire.done for fire in fires(store))


def test_sixty_times_with_four_who_share_the_store(store: TinyDBStore) -> None:
    """As with four processes on one database: each time is somebody's, and nobody else's."""
    timers = [ManualTimer(START) for _ in range(4)]
    acted: list[datetime] = []
    for timer in timers:
        begun(store, timer, acted.append)
    for _ in range(60):
        threads = [threading.Thread(target=timer.advance, args=(MINUTE,)) for timer in timers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(fires(store)) == len(acted) == len(set(acted)) == 60


@pytest.mark.parametrize(("catch_up", "made_up"), [(True, 1), (False, 0)])
def test_ten_minutes_off_are_made_up_for_once_or_not_at_all(store: TinyDBStore, catch_up: bool, made_up: int) -> None:
    timer, acted = ManualTimer(START), list[datetime]()
    begun(store, timer, acted.append, catch_up=catch_up)
    timer.advance(3 * MINUTE)
    timer.close()
    later = ManualTimer(timer.now + 10 * MINUTE + timedelta(seconds=20))
    begun(store, later, acted.append, catch_up=catch_up)
    later.advance(timedelta(seconds=1))
    assert len(acted) == 3 + made_up
    later.advance("2026-05-21T10:20:00Z")
    assert len(acted) == len(set(acted)) == 3 + made_up + 7
    assert acted[-1] == datetime.fromisoformat("2026-05-21T10:20:00Z")


@pytest.mark.parametrize("catch_up", [True, False])
def test_a_machine_that_slept_over_ten_times(store: TinyDBStore, catch_up: bool) -> None:
    """The process lived on: the time it had set comes late, once, and the rest has passed."""
    timer, acted = ManualTimer(START), list[datetime]()
    begun(store, timer, acted.append, catch_up=catch_up)
    timer.sleep(10 * MINUTE + timedelta(seconds=20))
    timer.advance(timedelta(seconds=1))
    assert len(acted) == 1
    timer.advance(MINUTE)
    assert len(acted) == 2


def test_what_was_put_and_not_acted_on_is_acted_on_after_a_start(store: TinyDBStore) -> None:
    def dies(_: datetime) -> None:
        raise KeyboardInterrupt

    timer = ManualTimer(START)
    begun(store, timer, dies)
    with pytest.raises(KeyboardInterrupt):
        timer.advance(MINUTE)
    assert [fire.done for fire in fires(store)] == [False]
    acted: list[datetime] = []
    begun(store, ManualTimer(timer.now), acted.append)
    assert acted == [datetime.fromisoformat(START) + MINUTE]
    assert [fire.done for fire in fires(store)] == [True]


def test_old_times_are_forgotten(store: TinyDBStore) -> None:
    timer = ManualTimer(START)
    begun(store, timer, lambda _: None)
    timer.advance(150 * MINUTE)
    assert len(fires(store)) == 100
