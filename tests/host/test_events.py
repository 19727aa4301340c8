"""Events: in order, to everybody, replayed to those who come back, and never waiting for a reader."""

from __future__ import annotations

import queue
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError

from moorage.clock import utc_now
from moorage.events import Event, EventBus, Subscription
from tests.api import Api
from tests.api import Event as ApiEvent
from tests.conftest import MakeHost
from tests.site import site


def numbers(subscription: Subscription) -> list[int]:
    """The ids that are waiting now."""
    found = []
    while True:
        try:
            event = subscription.get(0.0)
        except queue.Empty:
            return found
        if event is None:
            return found
        found.append(event.id)


def first_ms() -> datetime:
    """A clock that makes the first event number 1."""
    return datetime(1970, 1, 1, microsecond=1000, tzinfo=UTC)


def publish(bus: EventBus, count: int) -> list[Event]:
    return [bus.publish("settings.saved", "host", number=number) for number in range(count)]


def test_everybody_hears_the_same_in_order() -> None:
    bus = EventBus(utc_now)
    one, two = bus.subscribe(), bus.subscribe()
    published = publish(bus, 100)
    assert numbers(one) == numbers(two) == [event.id for event in published]
    assert bus.counts() == {"settings.saved": 100}
    with pytest.raises(ValidationError):
        published[0].about = "changed"  # type: ignore[misc]  # that it is refused is the test


def test_many_publishers_make_one_order() -> None:
    bus = EventBus(first_ms)
    subscription = bus.subscribe()
    threads = [threading.Thread(target=publish, args=(bus, 200)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert numbers(subscription) == list(range(1, 1601))


def test_who_comes_back_misses_nothing_that_is_kept() -> None:
    bus = EventBus(first_ms, replay=10)
    publish(bus, 4)
    assert numbers(bus.subscribe()) == []
    assert numbers(bus.subscribe(after=0)) == [1, 2, 3, 4]
    assert numbers(bus.subscribe(after=2)) == [3, 4]
    assert numbers(bus.subscribe(after=4)) == []
    publish(bus, 20)
    assert numbers(bus.subscribe(after=2)) == list(range(15, 25)), "what is kept is bounded"
    assert numbers(bus.subscribe(after=900)) == list(range(15, 25)), "an id of the process before"


def test_ids_go_on_after_a_restart() -> None:
    began = datetime(2026, 5, 21, tzinfo=UTC)
    before, after = EventBus(lambda: began), EventBus(lambda: began + timedelta(seconds=1))
    last_seen = publish(before, 2)[-1].id
    missed = [event.id for event in publish(after, 5)]
    assert missed[0] > last_seen
    assert numbers(after.subscribe(after=last_seen)) == missed, "nothing is skipped"


def test_a_reader_that_sleeps_delays_nobody_and_loses_the_oldest() -> None:
    bus = EventBus(first_ms)
    asleep = bus.subscribe(size=5)
    awake = bus.subscribe()
    began = time.monotonic()
    publish(bus, 1000)
    assert time.monotonic() - began < 2
    assert len(numbers(awake)) == 1000
    assert numbers(asleep) == [996, 997, 998, 999, 1000]


def test_the_end_of_the_bus_ends_its_readers() -> None:
    bus = EventBus(first_ms)
    subscription = bus.subscribe()
    publish(bus, 2)
    bus.close()
    assert [event.id for event in subscription] == [1, 2]
    gone = EventBus(utc_now).subscribe()
    gone.close()
    assert list(gone) == []


def test_last_event_id_over_http(tmp_path: Path) -> None:
    with site(tmp_path) as running, Api(running.url) as api:
        running.host.preferences.save({"contextLength": 8192})
        running.host.preferences.save({"contextLength": 2048})
        first, second = (event for event in _first(api, 0, "settings.saved", 2))
        assert (first.type, second.type) == ("settings.saved", "settings.saved")
        assert second.id > first.id
        assert [event.id for event in _first(api, first.id, "settings.saved", 1)] == [second.id]
        assert set(second.data) >= {"id", "type", "at", "about", "data"}


def _first(api: Api, last_id: int, kind: str, count: int) -> list[ApiEvent]:
    found = []
    for event in api.events(last_id=last_id):
        if event.type == kind:
            found.append(event)
        if len(found) == count:
            break
    return found


def test_no_event_holds_a_secret(make_host: MakeHost) -> None:
    host = make_host()
    subscription = host.events.subscribe(after=0)
    host.providers.create("P", "huggingface", {"model": "a/b", "apiKey": "hf_secret_of_an_event_0000"})
    host.plugins.save_config("huggingface", {"token": "hf_another_secret_0000"}, 0)
    host.close()
    told = [event.model_dump_json() for event in subscription]
    assert any("provider.saved" in text for text in told)
    assert not any("secret" in text for text in told)


def test_a_damaged_file_is_said_wherever_people_look(make_host: MakeHost, tmp_path: Path) -> None:
    host = make_host(home=tmp_path / "home")
    host.agents.create({"name": "A", "llm": {"provider": "builtin", "model": "m"}})
    host.close()
    damaged = next(path for path in (tmp_path / "home").rglob("agents*") if path.is_file())
    damaged.write_bytes(damaged.read_bytes()[:-20])
    with site(tmp_path / "home") as running, Api(running.url) as api:
        assert running.host.store.notices
        assert any(damaged.name in notice for notice in running.host.store.notices)
        assert damaged.name in api.page("/")
