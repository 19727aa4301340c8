"""Saved searches when several things happen at once, and when something breaks."""

from __future__ import annotations

import threading
import time
from datetime import timedelta
from typing import Any

import pytest

from moorage import RateLimited, SearchQuery
from moorage.errors import MoorageError, StoreError
from tests.host.installs.story import until
from tests.host.pond import Pond
from tests.host.test_saved_searches import DAY, RULE, START, Begin, begin, changed, pond, queued, saved

__all__ = ["begin", "pond"]  # fixtures


def test_a_rule_that_is_switched_off_during_a_look_takes_nothing(begin: Begin, pond: Pond) -> None:
    host, _ = begin()
    search = saved(host, rule=RULE)
    pond.add("wigeon-1b")
    removed: list[bool] = []

    def remove(query: SearchQuery) -> MoorageError | None:
        if not removed:
            removed.append(True)
            now = host.saved_searches.get(search.id)
            host.saved_searches.update(search.id, changed(now, rule=None), now.version)
        return None

    pond.error_of = remove
    host.saved_searches.run(search.id)
    assert queued(host) == []


def test_what_is_unread_is_counted_when_it_is_written(
    begin: Begin, pond: Pond, monkeypatch: pytest.MonkeyPatch
) -> None:
    host, _ = begin()
    search = saved(host)
    pond.add("wigeon-1b")
    host.saved_searches.run(search.id)
    service = host.saved_searches
    count, reading, found = service._counted, threading.Event(), threading.Event()

    def late(id: str, **more: Any) -> None:
        if not more:  # of who marks as read
            reading.set()
            assert found.wait(5)
        count(id, **more)

    monkeypatch.setattr(service, "_counted", late)
    reader = threading.Thread(target=lambda: service.mark_read(search.id))
    reader.start()
    assert reading.wait(5)
    pond.add("teal-9b")
    service.run(search.id)
    found.set()
    reader.join()
    assert service.get(search.id).unread == service.count().finds == 1
    assert [news.find.id for news in service.news(limit=10).items if news.find] == ["teal-9b"]


def test_clicks_share_one_look(begin: Begin, pond: Pond) -> None:
    host, _ = begin()
    search = saved(host)
    before = len(pond.queries)

    def slow(query: SearchQuery) -> MoorageError | None:
        time.sleep(0.1)
        return None

    pond.error_of = slow
    clicks = [threading.Thread(target=lambda: host.saved_searches.run(search.id)) for _ in range(8)]
    for click in clicks:
        click.start()
    for click in clicks:
        click.join()
    assert len(pond.queries) - before == 2, "two orders, once"


def test_a_source_that_asks_us_to_wait_holds_up_its_own_search_only(begin: Begin, pond: Pond) -> None:
    lake = Pond("lake")
    lake.add("swan-1b")
    host, timer = begin(START, lake)
    saved(host, name="Lake", query={"q": "b", "source": ["lake"]})
    timer.advance(timedelta(seconds=30))
    other = saved(host, name="Pond", query={"q": "b", "source": ["pond"]})
    lake.error = RateLimited("Slow down.", retry_after=3600)
    timer.advance(DAY - timedelta(seconds=30))
    until(lambda: host.saved_searches._rounds._at_work is None)
    before = host.saved_searches.get(other.id).last_run_at
    for _ in range(5):
        timer.advance(timedelta(minutes=1))
        until(lambda: host.saved_searches._rounds._at_work is None)
    assert host.saved_searches.get(other.id).last_run_at != before


def test_a_fault_is_said_and_comes_again_the_next_day_only(
    begin: Begin, pond: Pond, monkeypatch: pytest.MonkeyPatch
) -> None:
    host, timer = begin()
    search = saved(host, rule=RULE)
    pond.add("bad-1b")
    monkeypatch.setattr(host.saved_searches._taker, "take", lambda *_: 1 / 0)
    before = len(pond.queries)
    for step in (DAY, *[timedelta(minutes=6)] * 5):
        timer.advance(step)
        until(lambda: host.saved_searches._rounds._at_work is None)
    assert len(pond.queries) - before == 2
    now = host.saved_searches.get(search.id)
    assert "the log says why" in (now.last_error or "")
    assert now.next_run_at is not None
    assert now.next_run_at > timer.now


def test_an_older_install_is_not_taken_for_its_own(begin: Begin, pond: Pond, monkeypatch: pytest.MonkeyPatch) -> None:
    host, timer = begin()
    search = saved(host, rule=RULE)
    pond.add("wigeon-1b")
    old, _ = host.installs.request("pond", "wigeon-1b", file="Q4_K_M.gguf", target="pond-shore")
    host.installs.cancel(old.id)
    until(lambda: host.installs.get(old.id).state == "cancelled")
    timer.advance(timedelta(minutes=1))
    with monkeypatch.context() as broken:

        def fail(*_: Any, **__: Any) -> Any:
            raise StoreError("The disk is full for a moment.")

        broken.setattr(host.installs, "request", fail)
        host.saved_searches.run(search.id)
    find = host.saved_searches.run(search.id).news[0]
    assert find.install not in (None, old.id)


def test_a_search_that_is_removed_while_news_are_listed(
    begin: Begin, pond: Pond, monkeypatch: pytest.MonkeyPatch
) -> None:
    host, _ = begin()
    search = saved(host)
    pond.add("wigeon-1b")
    host.saved_searches.run(search.id)
    service = host.saved_searches
    get = service._documents.get

    def remove(id: str) -> Any:
        found = get(id)
        service._memories.drop(id)
        return found

    monkeypatch.setattr(service._documents, "get", remove)
    assert service.news(limit=5).items == ()
