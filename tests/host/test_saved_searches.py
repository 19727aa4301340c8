"""Saved searches: what is news and what is not, the daily look, and what its rule takes."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from moorage.errors import Conflict, InvalidInput, Missing, RateLimited, Unreachable
from moorage.host import Host
from moorage.models import Install, ModelHit, NewerRevision, Problem, SavedSearchNews
from moorage.saved_searches import taking
from moorage.saved_searches.rounds import TIMER
from moorage.saved_searches.seen import LIMIT, Seen
from tests.conftest import MakeHost
from tests.host.installs.story import until
from tests.host.pond import BEGAN, GB, Pond
from tests.schedule.manual import ManualTimer

START = "2026-05-21T10:00:00Z"
DAY = timedelta(days=1)
RULE = {"maxPerDay": 1}

Begin = Callable[..., tuple[Host, ManualTimer]]


@pytest.fixture
def pond() -> Pond:
    made = Pond()
    made.add("mallard-7b", "teal-3b")
    return made


@pytest.fixture
def begin(make_host: MakeHost, pond: Pond) -> Begin:
    """A host at a moment; further ones on the same home are after a restart."""

    def make(now: str | datetime = START, *others: Pond) -> tuple[Host, ManualTimer]:
        timer = ManualTimer(now)
        plugins = {each.name: each for each in (pond, *others)}
        return make_host(plugins=plugins, only=True, clock=timer.clock, timer=timer), timer

    return make


def saved(host: Host, **more: Any) -> SavedSearchNews:
    return host.saved_searches.create({"name": "Ducks", "query": {"format": "gguf"}, **more})


def ids(search: SavedSearchNews, *, unread: bool = False) -> list[str]:
    return [find.id for find in search.news if not (unread and find.read)]


def changed(search: SavedSearchNews, **values: Any) -> dict[str, Any]:
    return {**search.model_dump(by_alias=True, include={"name", "query", "daily", "rule"}), **values}


def why(search: SavedSearchNews) -> dict[str, str | None]:
    return {find.id: find.skipped for find in search.news}


def queued(host: Host) -> list[str]:
    """Oldest first."""
    return [install.model for install in sorted(host.installs.list().items, key=lambda install: install.order)]


def next_day(host: Host, timer: ManualTimer, search: SavedSearchNews) -> SavedSearchNews:
    """The daily look, until it is done."""
    before = host.saved_searches.get(search.id).last_run_at
    timer.advance(DAY)
    until(lambda: host.saved_searches.get(search.id).last_run_at != before)
    until(lambda: host.saved_searches._rounds._at_work is None)
    return host.saved_searches.get(search.id)


# -- what is news -----------------------------------------------------------------------------------------------------


def test_the_first_look_is_silent_and_what_comes_later_is_news_once(begin: Begin, pond: Pond) -> None:
    host, _ = begin()
    search = saved(host)
    assert (ids(search), search.unread, search.last_error) == ([], 0, None)
    assert search.last_run_at is not None
    pond.add("wigeon-1b")
    found = host.saved_searches.run(search.id)
    assert ids(found) == ["wigeon-1b"]
    assert (found.unread, found.news[0].created_at) == (1, BEGAN + timedelta(hours=2))
    assert ids(host.saved_searches.run(search.id)) == ["wigeon-1b"]


def test_it_asks_in_its_own_order_and_for_the_newest(begin: Begin, pond: Pond) -> None:
    host, _ = begin()
    pond.limit = 1
    search = saved(host, query={"q": "b", "author": "pond", "sort": "downloads"})
    asked = [(query.text, query.author, query.sort, query.limit) for query in pond.queries]
    assert asked == [("b", "pond", "downloads", 100), ("b", "pond", "created", 100)]
    pond.add("wigeon-1b")
    assert ids(host.saved_searches.run(search.id)) == ["wigeon-1b"], "by downloads it is not on the first page"
    saved(host, query={"q": "b", "sort": "created"})
    assert [query.sort for query in pond.queries[-2:]] == ["created", "created"], "once is enough"
    assert pond.queries[-2].author == "pond"


def test_the_event_says_what_was_found(begin: Begin, pond: Pond) -> None:
    host, timer = begin()
    search = saved(host)
    pond.add(*(f"duck-{number}" for number in range(7)))
    next_day(host, timer, search)
    host.saved_searches.run(search.id)
    events = [event for event in host.events.subscribe(after=0)._events.queue if event is not None]
    found = [event for event in events if event.type == "search.found"]
    assert [event.about for event in found] == [search.id]
    data = found[0].data
    assert (data["name"], data["new"], len(data["models"])) == ("Ducks", 7, 5)
    assert [event.about for event in events if event.type == "schedule.fired"] == [search.id]


def test_a_source_that_fails_is_neither_seen_nor_news(begin: Begin, pond: Pond) -> None:
    lake = Pond("lake")
    lake.add("swan-70b")
    host, timer = begin(START, lake)
    search = saved(host)
    lake.error = Unreachable("The lake is frozen.")
    pond.add("wigeon-1b")
    lake.add("goose-13b")
    found = next_day(host, timer, search)
    assert (ids(found), found.last_error) == (["wigeon-1b"], "lake: The lake is frozen.")
    lake.error = None
    found = next_day(host, timer, search)
    assert (ids(found), found.last_error) == (["goose-13b", "wigeon-1b"], None)


def test_a_source_that_answers_for_the_first_time_has_no_news(begin: Begin, pond: Pond) -> None:
    lake = Pond("lake")
    lake.add("swan-70b")
    lake.error = Unreachable("The lake is frozen.")
    host, _ = begin(START, lake)
    search = saved(host)
    assert search.last_error == "lake: The lake is frozen."
    lake.error = None
    assert ids(host.saved_searches.run(search.id)) == []
    lake.add("goose-13b")
    assert ids(host.saved_searches.run(search.id)) == ["goose-13b"]


def test_half_an_answer_of_a_source_is_none(begin: Begin, pond: Pond) -> None:
    host, _ = begin()
    search = saved(host)
    pond.add("wigeon-1b")
    pond.error_of = lambda query: Unreachable("Gone.") if query.sort == "created" else None
    found = host.saved_searches.run(search.id)
    assert (ids(found), found.last_error) == ([], "pond: Gone.")
    pond.error_of = lambda query: None
    assert ids(host.saved_searches.run(search.id)) == ["wigeon-1b"]


def test_a_source_that_gives_more_than_was_asked_for_is_cut(begin: Begin, pond: Pond) -> None:
    host, _ = begin()
    search = saved(host)
    pond.limit = 1000
    pond.add(*(f"duck-{number:03}" for number in range(300)))
    pond.ignores_limit = True
    assert len(ids(host.saved_searches.run(search.id))) == 198


def test_another_question_begins_anew_and_keeps_what_was_found(begin: Begin, pond: Pond) -> None:
    host, _ = begin()
    search = saved(host, query={"q": "teal"})
    pond.add("teal-1b")
    search = host.saved_searches.run(search.id)
    values = changed(search, query={"q": "mallard"})
    other = host.saved_searches.update(search.id, values, search.version)
    assert (ids(other), other.query.q) == (["teal-1b"], "mallard")
    pond.add("mallard-1b")
    assert ids(host.saved_searches.run(search.id)) == ["mallard-1b", "teal-1b"]


def test_read_is_what_was_there_when_it_was_looked_at(begin: Begin, pond: Pond) -> None:
    host, timer = begin()
    search = saved(host)
    pond.add("wigeon-1b")
    looked_at = host.saved_searches.run(search.id)
    timer.sleep(timedelta(hours=1))
    pond.add("eider-2b")
    host.saved_searches.run(search.id)
    read = host.saved_searches.mark_read(search.id, looked_at.news[0].found_at)
    assert (ids(read, unread=True), read.unread) == (["eider-2b"], 1)
    assert host.saved_searches.list().items[0].unread == 1
    assert host.saved_searches.mark_read(search.id).unread == 0
    assert host.saved_searches.count().finds == 0


def test_finds_are_bounded_and_the_unread_stay_longest(begin: Begin, pond: Pond) -> None:
    host, timer = begin()
    search = saved(host)
    for batch in range(3):
        pond.add(*(f"duck-{batch}-{number:03}" for number in range(100)))
        search = host.saved_searches.run(search.id)
        if batch == 1:
            search = host.saved_searches.mark_read(search.id)
        timer.sleep(timedelta(hours=1))
    assert (len(search.news), search.unread) == (200, 100)
    assert {id.split("-")[1] for id in ids(search)} == {"1", "2"}


def test_what_is_seen_is_bounded_and_what_was_forgotten_is_not_news() -> None:
    at = BEGAN + timedelta(days=100)

    def hits(*numbers: int, dated: bool = True) -> list[ModelHit]:
        when = BEGAN + timedelta(days=90)
        return [ModelHit(source="s", id=str(n), created_at=when if dated else None) for n in numbers]

    seen = Seen()
    for day in range(50):
        new = hits(*range(day * 100, day * 100 + 100))
        seen = seen.after(at + timedelta(days=day), [*hits(1, 2, 3), *new])
    assert sum(len(past.keys) for past in seen.rounds) == LIMIT
    assert seen.unknown(hits(1, 2, 3, 4999)) == [], "what is listed again and again is known"
    assert seen.unknown(hits(150)) == [], "it was forgotten, and it was there before that"
    new = ModelHit(source="s", id="150", created_at=at + timedelta(days=49))
    assert seen.unknown([new, new]) == [new]
    assert [hit.id for hit in seen.unknown(hits(150, dated=False))] == ["150"], "nothing tells it from a new one"


def test_a_round_that_is_larger_than_the_limit_is_kept_whole() -> None:
    crowd = [ModelHit(source="s", id=str(number)) for number in range(LIMIT + 10)]
    seen = Seen().after(BEGAN, crowd[:5]).after(BEGAN + DAY, crowd)
    assert seen.unknown(crowd) == []


# -- the daily look ---------------------------------------------------------------------------------------------------


def test_it_looks_once_a_day_at_the_same_time(begin: Begin, pond: Pond) -> None:
    host, timer = begin()
    search = saved(host)
    assert search.next_run_at == timer.now + DAY
    timer.advance(DAY - timedelta(seconds=1))
    assert host.saved_searches.get(search.id).last_run_at == datetime.fromisoformat(START)
    pond.add("wigeon-1b")
    timer.advance(timedelta(seconds=1))
    until(lambda: host.saved_searches.count().finds == 1)
    until(lambda: host.saved_searches.get(search.id).next_run_at == datetime.fromisoformat(START) + 2 * DAY)


def test_a_look_by_hand_does_not_move_the_daily_one(begin: Begin) -> None:
    host, timer = begin()
    search = saved(host)
    timer.advance(timedelta(hours=20))
    assert host.saved_searches.run(search.id).next_run_at == datetime.fromisoformat(START) + DAY


def test_what_was_missed_is_made_up_for_once(begin: Begin, pond: Pond) -> None:
    host, timer = begin()
    search = saved(host)
    host.close()
    pond.add("wigeon-1b")
    asked = len(pond.queries)
    host, timer = begin(timer.now + 5 * DAY + timedelta(hours=3))
    timer.advance(timedelta(seconds=1))
    until(lambda: host.saved_searches.count().finds == 1)
    until(lambda: host.saved_searches._rounds._at_work is None)
    assert len(pond.queries) == asked + 2
    assert host.saved_searches.get(search.id).next_run_at == datetime.fromisoformat(START) + 6 * DAY
    timer.advance(timedelta(minutes=10))
    assert len(pond.queries) == asked + 2


def test_many_that_are_due_come_one_after_another(begin: Begin, pond: Pond) -> None:
    host, timer = begin()
    made = [saved(host, name=f"Ducks {number}") for number in range(4)]
    asked = len(pond.queries)
    timer.advance(DAY)
    for done in range(1, 5):
        until(lambda done=done: len(pond.queries) == asked + 2 * done)  # type: ignore[misc]
        until(lambda: host.saved_searches._rounds._at_work is None)
        assert TIMER in timer.ids
        timer.advance(timedelta(seconds=2))
    timer.advance(timedelta(minutes=1))
    assert len(pond.queries) == asked + 8
    assert {host.saved_searches.get(search.id).next_run_at for search in made} == {
        datetime.fromisoformat(START) + 2 * DAY
    }


def test_one_that_is_not_daily_looks_when_it_is_told_to(begin: Begin, pond: Pond) -> None:
    host, timer = begin()
    search = saved(host, daily=False)
    assert search.next_run_at is None
    assert TIMER not in timer.ids
    timer.advance(3 * DAY)
    assert len(pond.queries) == 2
    values = changed(search, daily=True)
    assert host.saved_searches.update(search.id, values, search.version).next_run_at == timer.now + DAY
    assert timer.due(TIMER) == timer.now + DAY


def test_a_source_that_asks_us_to_wait_is_asked_again_after_that(begin: Begin, pond: Pond) -> None:
    host, timer = begin()
    search = saved(host)
    pond.error = RateLimited("Too many.", retry_after=300.0)
    timer.advance(DAY)
    until(lambda: host.saved_searches.get(search.id).last_error == "pond: Too many.")
    until(lambda: timer.due(TIMER) == timer.now + timedelta(seconds=300))
    pond.error = None
    timer.advance(timedelta(seconds=300))
    until(lambda: host.saved_searches.get(search.id).last_error is None)
    until(lambda: host.saved_searches.get(search.id).next_run_at == datetime.fromisoformat(START) + 2 * DAY)


def test_killed_in_the_middle_of_a_look_it_looks_again(begin: Begin, pond: Pond) -> None:
    host, timer = begin()
    search = saved(host)
    held = host.saved_searches._looks.hold(timer.now + DAY)  # and then nothing more: the process is gone
    assert held is not None
    host.close()
    pond.add("wigeon-1b")
    host, timer = begin(timer.now + DAY)
    assert host.saved_searches._looks.hold(timer.now) is None, "whoever shares the store leaves it alone"
    timer.advance(timedelta(minutes=5))
    until(lambda: ids(host.saved_searches.get(search.id)) == ["wigeon-1b"])


def test_a_removed_one_is_gone_with_all_it_knew(begin: Begin, pond: Pond) -> None:
    host, timer = begin()
    search = saved(host)
    files = Path(host.settings.home) / "store" / "searches"
    assert [path.stem for path in files.glob("*.json")] == [search.id]
    host.saved_searches.delete(search.id)
    assert list(files.iterdir()) == []
    asked = len(pond.queries)
    timer.advance(3 * DAY)
    assert len(pond.queries) == asked
    for act in (host.saved_searches.get, host.saved_searches.run, host.saved_searches.delete):
        with pytest.raises(Missing):
            act(search.id)


def test_one_that_is_removed_while_it_looks_stays_removed(begin: Begin, pond: Pond) -> None:
    host, timer = begin()
    search = saved(host, rule=RULE)
    pond.add("wigeon-1b")
    asking, go = threading.Event(), threading.Event()

    def slow(query: Any) -> None:
        asking.set()
        go.wait(10)

    pond.error_of = slow
    timer.advance(DAY)
    assert asking.wait(10)
    host.saved_searches.delete(search.id)
    go.set()
    until(lambda: host.saved_searches._rounds._at_work is None)
    assert list((Path(host.settings.home) / "store" / "searches").iterdir()) == []
    assert host.saved_searches._looks.all() == []
    assert queued(host) == []


def test_what_a_kill_left_of_one_that_is_not_there_is_swept(begin: Begin) -> None:
    host, timer = begin()
    search = saved(host)
    host.saved_searches._documents.delete(search.id)
    timer.advance(DAY)
    until(lambda: host.saved_searches._looks.all() == [])
    assert list((Path(host.settings.home) / "store" / "searches").glob("*.json")) == []


def test_a_command_that_looks_runs_nothing(tmp_path: Path, make_host: MakeHost, begin: Begin, pond: Pond) -> None:
    host, timer = begin()
    saved(host)
    host.close()
    later = ManualTimer(timer.now + 2 * DAY)
    with Host.open(
        host.settings,
        discover=list,
        environment={},
        clock=later.clock,
        timer=later,
        works=False,
    ) as other:
        assert TIMER not in later.ids
        assert other.saved_searches.list().items[0].name == "Ducks"


# -- the rule ---------------------------------------------------------------------------------------------------------


def test_a_rule_takes_the_best_fitting_file_up_to_its_limit_of_the_day(begin: Begin, pond: Pond) -> None:
    host, timer = begin()
    search = saved(host, rule={"maxPerDay": 2})
    pond.add("a-1b", "b-1b", "c-1b")
    found = host.saved_searches.run(search.id)
    assert queued(host) == ["a-1b", "b-1b"], "in the order of the search"
    left = next(find for find in found.news if find.install is None)
    assert left.skipped == "The limit of 2 a day is reached."
    assert left.waits
    install = host.installs.list().items[0]
    assert (install.file, install.target, install.asked_by) == ("Q4_K_M.gguf", "pond-shore", "schedule")
    assert {find.install for find in found.news if find.install} == {item.id for item in host.installs.list().items}
    host.saved_searches.run(search.id)
    assert len(queued(host)) == 2, "a look by hand is no way around it"
    found = next_day(host, timer, search)
    assert queued(host)[2:] == [left.id]
    assert all(find.install and not find.waits for find in found.news)


def test_the_limit_holds_over_a_restart(begin: Begin, pond: Pond) -> None:
    host, timer = begin()
    search = saved(host, rule=RULE)
    pond.add("a-1b", "b-1b")
    host.saved_searches.run(search.id)
    host.close()
    host, timer = begin(timer.now + timedelta(hours=2))
    host.saved_searches.run(search.id)
    assert len(queued(host)) == 1


def test_yesterdays_come_before_todays(begin: Begin, pond: Pond) -> None:
    host, timer = begin()
    search = saved(host, rule=RULE)
    pond.add("a-1b", "b-1b")
    host.saved_searches.run(search.id)
    pond.add("c-1b")
    next_day(host, timer, search)
    assert queued(host) == ["a-1b", "b-1b"]


def test_the_day_is_that_of_the_time_zone(begin: Begin, pond: Pond) -> None:
    host, timer = begin("2026-05-21T10:00:00Z")
    host.preferences.save({"timeZone": "Pacific/Auckland"})  # 22:00 there
    search = saved(host, rule=RULE)
    pond.add("a-1b", "b-1b", "c-1b")
    host.saved_searches.run(search.id)
    timer.sleep("2026-05-21T11:59:00Z")
    host.saved_searches.run(search.id)
    assert len(queued(host)) == 1
    timer.sleep("2026-05-21T12:01:00Z")
    host.saved_searches.run(search.id)
    assert len(queued(host)) == 2
    host.preferences.save({"timeZone": "UTC"}, host.preferences.view().version)  # it is the 21st again
    host.saved_searches.run(search.id)
    assert len(queued(host)) == 2


@pytest.mark.parametrize(
    ("duck", "rule", "reason"),
    [
        ({"gate": "accept-licence"}, {}, "gated"),
        ({"gate": "sign-in"}, {}, "gated"),
        ({"files": {}}, {}, "no GGUF file"),
        ({"files": {"Q4_K_M": 60 * GB}}, {}, "too big for the memory"),
        ({"files": {"Q4_K_M": 60 * GB}}, {"tightToo": True}, "too big for the memory"),
        ({"files": {"Q4_K_M": 14 * GB}}, {}, "fit tightly"),
        ({}, {"maxBytes": GB // 2}, "1.0 GB, more than the limit of 500.0 MB"),
    ],
)
def test_what_is_not_taken_says_why(
    begin: Begin, pond: Pond, duck: dict[str, Any], rule: dict[str, Any], reason: str
) -> None:
    host, _ = begin()
    search = saved(host, rule={**RULE, **rule})
    pond.add("a-1b", **duck)
    pond.add("b-1b")
    found = host.saved_searches.run(search.id)
    assert reason in (why(found)["a-1b"] or "")
    assert queued(host) == ([] if "maxBytes" in rule else ["b-1b"]), "one that is not taken costs nothing of the limit"


def test_tight_too_and_a_limit_of_size_choose_the_file(begin: Begin, pond: Pond) -> None:
    host, _ = begin()
    search = saved(host, rule={**RULE, "tightToo": True, "maxBytes": 15 * GB})
    pond.add("a-1b", files={"Q4_K_M": 14 * GB, "Q8_0": 28 * GB})
    host.saved_searches.run(search.id)
    assert [install.file for install in host.installs.list().items] == ["Q4_K_M.gguf"]
    smaller = saved(host, name="Small", rule={**RULE, "maxBytes": 3 * GB})
    pond.add("b-1b", files={"Q4_K_M": 4 * GB, "Q2_K": 2 * GB})
    host.saved_searches.run(smaller.id)
    assert [item.file for item in host.installs.list().items if item.model == "b-1b"] == ["Q2_K.gguf"]


def test_what_may_pass_is_tried_for_a_week(begin: Begin, pond: Pond) -> None:
    host, timer = begin()
    search = saved(host, rule=RULE)
    pond.add("a-1b", files={})
    for _ in range(3):
        search = host.saved_searches.run(search.id)
        host.search.forget()
        assert search.news[0].waits
    pond.ducks[-1].files = {"Q4_K_M": GB}
    host.saved_searches.run(search.id)
    assert queued(host) == ["a-1b"]
    pond.add("b-1b")
    pond.problems = (Problem(code="disk-full", message="No room."),)
    for day in range(7):
        search = next_day(host, timer, search)
        assert search.news[0].waits == (day < 6), day
        host.search.forget()
    assert why(search)["b-1b"] == "No room."
    pond.problems = ()
    assert next_day(host, timer, search).news[0].install is None


def test_a_source_that_cannot_be_asked_is_asked_the_next_day(begin: Begin, pond: Pond) -> None:
    host, timer = begin()
    search = saved(host, rule=RULE)
    pond.add("a-1b")
    pond.describe_error = Unreachable("The pond is frozen.")
    assert why(host.saved_searches.run(search.id)) == {"a-1b": "The pond is frozen."}
    pond.describe_error = None
    next_day(host, timer, search)
    assert queued(host) == ["a-1b"]


def test_a_target_that_was_removed_is_said(begin: Begin, pond: Pond) -> None:
    host, _ = begin()
    target = host.providers.create("Pier", "pond", {})
    search = saved(host, rule={**RULE, "target": target.id})
    pond.add("a-1b")
    host.providers.delete(target.id)
    assert why(host.saved_searches.run(search.id)) == {"a-1b": "Its target was removed."}


def test_in_its_window(begin: Begin, pond: Pond) -> None:
    host, _ = begin()
    host.preferences.save({"timeZone": "Europe/Berlin"})
    search = saved(host, rule={**RULE, "window": {"from": "01:00", "to": "06:00"}})
    assert search.rule is not None
    assert search.rule.window is not None
    assert search.rule.window.time_zone == "Europe/Berlin"
    pond.add("a-1b")
    host.saved_searches.run(search.id)
    install = host.installs.list().items[0]
    assert (install.state, install.starts_at) == ("scheduled", datetime.fromisoformat("2026-05-21T23:00:00Z"))


def test_what_is_there_already_costs_nothing_of_the_limit(begin: Begin, pond: Pond) -> None:
    host, _ = begin()
    search = saved(host, rule=RULE)
    pond.add("a-1b", "b-1b")
    there, _ = host.installs.request("pond", "a-1b", file="Q4_K_M.gguf", target="pond-shore")
    found = host.saved_searches.run(search.id)
    assert queued(host) == ["a-1b", "b-1b"]
    assert next(find.install for find in found.news if find.id == "a-1b") == there.id


@pytest.mark.parametrize("asked", [False, True])
def test_killed_around_the_request_it_is_asked_for_once(
    begin: Begin, pond: Pond, monkeypatch: pytest.MonkeyPatch, asked: bool
) -> None:
    """After it was counted, before it was asked for or before its install was written down."""
    host, timer = begin()
    search = saved(host, rule=RULE)
    pond.add("a-1b")
    request = host.installs.request

    def dies(*args: Any, **more: Any) -> Any:
        if asked:
            request(*args, **more)
        raise KeyboardInterrupt

    monkeypatch.setattr(host.installs, "request", dies)
    with pytest.raises(KeyboardInterrupt):
        host.saved_searches.run(search.id)
    host.close()
    pond.add("b-1b")
    host, timer = begin(timer.now + timedelta(minutes=1))
    found = host.saved_searches.run(search.id)
    assert queued(host) == ["a-1b"], "nothing is lost, and the limit holds"
    assert next(find.install for find in found.news if find.id == "a-1b") == host.installs.list().items[0].id
    next_day(host, timer, search)
    assert queued(host) == ["a-1b", "b-1b"]


def test_counted_yesterday_and_not_asked_for_it_counts_today(
    begin: Begin, pond: Pond, monkeypatch: pytest.MonkeyPatch
) -> None:
    host, timer = begin()
    search = saved(host, rule=RULE)
    pond.add("a-1b")

    def dies(*args: Any, **more: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(host.installs, "request", dies)
    with pytest.raises(KeyboardInterrupt):
        host.saved_searches.run(search.id)
    host.close()
    pond.add("b-1b")
    host, _ = begin(timer.now + DAY + timedelta(hours=1))
    host.saved_searches.run(search.id)
    assert queued(host) == ["a-1b"]


def test_a_cancelled_one_does_not_come_back(begin: Begin, pond: Pond) -> None:
    host, timer = begin()
    search = saved(host, rule={**RULE, "window": {"from": "01:00", "to": "02:00"}})
    pond.add("a-1b")
    found = host.saved_searches.run(search.id)
    host.installs.cancel(found.news[0].install or "")
    next_day(host, timer, search)
    assert len(queued(host)) == 1


def test_few_are_looked_at_in_one_go(begin: Begin, pond: Pond, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(taking, "LOOKS", 2)
    host, _ = begin()
    search = saved(host, rule={"maxPerDay": 20})
    pond.add("a-1b", "b-1b", "c-1b")
    found = host.saved_searches.run(search.id)
    assert len(queued(host)) == 2
    assert [find.skipped for find in found.news if find.waits] == ["It is looked at with the next run."]
    host.saved_searches.run(search.id)
    assert len(queued(host)) == 3


def test_a_rule_is_for_what_comes_after_it(begin: Begin, pond: Pond) -> None:
    host, _ = begin()
    search = saved(host)
    pond.add("a-1b")
    search = host.saved_searches.run(search.id)
    values = changed(search, rule=RULE)
    host.saved_searches.update(search.id, values, search.version)
    pond.add("b-1b")
    host.saved_searches.run(search.id)
    assert queued(host) == ["b-1b"]


# -- keeping them -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"name": " "}, "name"),
        ({"name": "x" * 121}, "name"),
        ({"query": {}}, "query.q"),
        ({"query": {"source": ["pond"], "sort": "likes"}}, "query.q"),
        ({"query": {"q": "a", "source": ["sea"]}}, "query.source"),
        ({"query": {"minParameters": 5, "maxParameters": 4}}, "query.minParameters"),
        ({"rule": {"maxPerDay": 0}}, "rule.maxPerDay"),
        ({"rule": {"maxPerDay": 21}}, "rule.maxPerDay"),
        ({"rule": {"maxBytes": 0}}, "rule.maxBytes"),
        ({"rule": {"target": "nobody"}}, "rule.target"),
        ({"rule": {"window": {"from": "01:00", "to": "01:00"}}}, "rule.window.to"),
        ({"rule": {"window": {"from": "01:00", "to": "02:00", "timeZone": "Middle/Earth"}}}, "rule.window.timeZone"),
    ],
)
def test_a_wrong_one_names_its_field_and_is_not_kept(begin: Begin, values: dict[str, Any], field: str) -> None:
    host, _ = begin()
    with pytest.raises(InvalidInput) as caught:
        saved(host, **values)
    assert [error.field for error in caught.value.errors] == [field]
    assert host.saved_searches.list().items == ()


def test_a_stale_change_is_refused_and_a_look_is_no_change(begin: Begin, pond: Pond) -> None:
    host, _ = begin()
    search = saved(host)
    pond.add("a-1b")
    host.saved_searches.run(search.id)
    values = changed(search, name="Other ducks")
    other = host.saved_searches.update(search.id, values, search.version)
    assert (other.name, other.version) == ("Other ducks", 2)
    with pytest.raises(Conflict):
        host.saved_searches.update(search.id, values, search.version)


def test_news_are_of_all_searches_and_of_installed_models(begin: Begin, pond: Pond) -> None:
    host, timer = begin()
    ducks, teals = saved(host), saved(host, name="Teals", query={"q": "teal"})
    pond.add("wigeon-1b")
    host.saved_searches.run(ducks.id)
    timer.sleep(timedelta(hours=1))
    install, _ = host.installs.request("pond", "mallard-7b", file="Q4_K_M.gguf", target="pond-shore")
    until(lambda: host.installs.get(install.id).state == "installed")
    host.installs._queue.change(install.id, update=NewerRevision(revision="c2", found_at=timer.now))
    timer.sleep(timedelta(hours=1))
    pond.add("teal-1b")
    host.saved_searches.run(teals.id)
    page = host.saved_searches.news(limit=2)
    assert [(item.kind, item.search_name) for item in page.items] == [("find", "Teals"), ("revision", None)]
    assert isinstance(page.items[1].install, Install)
    rest = host.saved_searches.news(limit=2, cursor=page.next)
    assert [item.find.id for item in rest.items if item.find] == ["wigeon-1b"]
    assert rest.next is None
    assert host.saved_searches.count().model_dump() == {"finds": 2, "revisions": 1}
    with pytest.raises(InvalidInput):
        host.saved_searches.news(limit=2, cursor="rubbish")
