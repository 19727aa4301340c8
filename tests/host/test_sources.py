"""Sources side by side: each answers in its own time, one that fails says why, and none hurts another."""

from __future__ import annotations

import base64
import itertools
import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from moorage import ModelDetail, ModelHit, ModelRef, RateLimited, SearchPage, SearchQuery, Unreachable, hookimpl
from moorage.errors import InvalidInput, Missing, PluginFailed
from moorage.host import Host
from moorage.models import SourceStatus
from moorage.plugins import hooks
from moorage.search import SearchFailed
from tests.conftest import MakeHost

DEADLINE = 0.7
Answer = Callable[[SearchQuery], Any]


class Source:
    """Answers as it is told, by default with pages of invented hits."""

    def __init__(self, name: str, answer: Answer | None = None, *, total: int = 3) -> None:
        self.name = name
        self.answer = answer or self.page
        self.total = total
        self.asked: list[SearchQuery] = []
        self.described: list[str] = []

    @hookimpl
    def search_models(self, query: SearchQuery) -> Any:
        self.asked.append(query)
        return self.answer(query)

    @hookimpl
    def describe_model(self, ref: ModelRef) -> ModelDetail:
        self.described.append(ref.id)
        return ModelDetail(source=ref.source, id=ref.id, revision="1")

    @property
    def ids(self) -> list[str]:
        return [f"{self.name}/{number}" for number in range(self.total)]

    def page(self, query: SearchQuery) -> SearchPage:
        start = int(query.cursor or 0)
        end = min(start + query.limit, self.total)
        hits = tuple(ModelHit(source=self.name, id=id) for id in self.ids[start:end])
        return SearchPage(results=hits, cursor=str(end) if end < self.total else None)


class Slow(Source):
    """Answers when it is let go, long after its deadline."""

    def __init__(self, name: str) -> None:
        super().__init__(name, self.wait)
        self.let_go = threading.Event()

    def wait(self, query: SearchQuery) -> SearchPage:
        self.let_go.wait(20)
        return self.page(query)


@pytest.fixture
def _deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(hooks.SECONDS, "search_models", DEADLINE)


@pytest.fixture
def slow(_deadline: None) -> Iterator[Slow]:
    source = Slow("slow")
    yield source
    source.let_go.set()


def raises(error: BaseException) -> Answer:
    def answer(query: SearchQuery) -> Any:
        raise error

    return answer


def host_of(make_host: MakeHost, *sources: Source, **more: Any) -> Host:
    return make_host(plugins={source.name: source for source in sources}, only=True, **more)


def told(host: Host, text: str = "x", **fields: Any) -> tuple[list[str], dict[str, SourceStatus]]:
    """The ids that were found, and what is said of each source."""
    outcome = host.search.search(SearchQuery(text=text, **fields))
    return [hit.id for hit in outcome.results], {status.source: status for status in outcome.sources}


# -- each with its own deadline ---------------------------------------------------------------------------------------


def test_a_slow_source_costs_its_own_deadline_and_nobody_elses_results(make_host: MakeHost, slow: Slow) -> None:
    quick = Source("quick")
    host = host_of(make_host, quick, slow)
    began = time.monotonic()
    ids, status = told(host)
    took = time.monotonic() - began
    assert ids == quick.ids
    assert DEADLINE <= took < 3 * DEADLINE
    assert status["quick"].ok
    assert status["quick"].seconds < DEADLINE
    assert not status["slow"].ok
    assert status["slow"].error == f"The plugin slow did not answer within {DEADLINE:g} s (search_models)."
    assert status["slow"].hint
    assert DEADLINE <= status["slow"].seconds < 3 * DEADLINE


@pytest.mark.usefixtures("_deadline")
def test_many_slow_sources_take_no_longer_than_one(make_host: MakeHost) -> None:
    slow = [Slow(f"slow-{number}") for number in range(5)]
    quick = Source("quick")
    host = host_of(make_host, *slow, quick)
    began = time.monotonic()
    ids, status = told(host)
    assert time.monotonic() - began < 3 * DEADLINE
    assert ids == quick.ids
    assert [name for name, each in status.items() if each.ok] == ["quick"]
    for source in slow:
        source.let_go.set()


def test_a_source_that_is_still_busy_is_not_asked_again_and_comes_back(make_host: MakeHost, slow: Slow) -> None:
    quick = Source("quick")
    host = host_of(make_host, quick, slow)
    told(host)
    began = time.monotonic()
    ids, status = told(host, "another")
    assert time.monotonic() - began < DEADLINE / 2, "nobody waits for it a second time"
    assert ids == quick.ids
    assert "still busy" in (status["slow"].error or "")
    assert len(slow.asked) == 1
    slow.let_go.set()
    until = time.monotonic() + 5
    while not told(host, f"at {time.monotonic()}")[1]["slow"].ok:
        assert time.monotonic() < until
        time.sleep(0.02)


def test_only_a_slow_one(make_host: MakeHost, slow: Slow) -> None:
    host = host_of(make_host, slow)
    with pytest.raises(SearchFailed, match="did not answer within") as raised:
        host.search.search(SearchQuery(text="x"))
    assert [status.source for status in raised.value.sources] == ["slow"]


# -- one that fails says why ------------------------------------------------------------------------------------------

FAILURES: dict[str, tuple[Answer, str]] = {
    "limited": (
        raises(RateLimited("Too many questions.", retry_after=9, hint="Wait a little.")),
        "Too many questions.",
    ),
    "away": (raises(Unreachable("The harbour is closed.", hint="Come back.")), "The harbour is closed."),
    "bug": (raises(KeyError("results")), "failed in search_models: KeyError"),
    "exit": (raises(SystemExit(1)), "failed in search_models: SystemExit"),
    "text": (lambda query: "nonsense", "answered search_models with a str, not SearchPage"),
    "list": (lambda query: [], "answered search_models with a list, not SearchPage"),
    "generator": (lambda query: (number for number in range(3)), "answered search_models with a generator"),
}


@pytest.mark.parametrize("kind", FAILURES)
def test_one_that_fails_says_why_and_hurts_nobody(make_host: MakeHost, kind: str) -> None:
    answer, words = FAILURES[kind]
    good, bad = Source("good"), Source("bad", answer)
    host = host_of(make_host, good, bad)
    ids, status = told(host)
    assert ids == good.ids
    assert (status["good"].ok, status["good"].error, status["good"].hint) == (True, None, None)
    assert not status["bad"].ok
    assert words in (status["bad"].error or "")
    assert status["bad"].hint
    assert 0 <= status["bad"].seconds < 5
    assert "Traceback" not in str(status["bad"])
    bugs = [failure.hook for failure in host.plugins.get("bad").last_failures]
    assert bugs == ([] if kind in ("limited", "away") else ["search_models"])
    assert host.plugins.get("bad").state == "ready"


def test_all_kinds_of_failures_at_once(make_host: MakeHost, slow: Slow) -> None:
    bad = [Source(f"bad-{kind}", answer) for kind, (answer, _) in FAILURES.items()]
    good, other = Source("good"), Source("other", total=1)
    host = host_of(make_host, *bad, slow, good, other)
    ids, status = told(host)
    assert ids == ["good/0", "other/0", "good/1", "good/2"]
    assert {name for name, each in status.items() if each.ok} == {"good", "other"}
    for kind, (_, words) in FAILURES.items():
        assert words in (status[f"bad-{kind}"].error or "")
    assert {status.source for status in host.search.troubles()} == {"slow", *(source.name for source in bad)}


def test_when_all_fail_each_is_named(make_host: MakeHost, tmp_path: Path) -> None:
    host = host_of(make_host, Source("a", FAILURES["away"][0]), Source("b", FAILURES["limited"][0]))
    with pytest.raises(SearchFailed) as raised:
        host.search.search(SearchQuery(text="x"))
    assert [status.error for status in raised.value.sources] == ["The harbour is closed.", "Too many questions."]
    only = host_of(make_host, Source("b", FAILURES["limited"][0]), home=tmp_path / "other")
    with pytest.raises(RateLimited) as limited:
        only.search.search(SearchQuery(text="x"))
    assert limited.value.retry_after == 9


def test_a_source_that_keeps_failing_is_left_alone_and_the_others_are_not(make_host: MakeHost) -> None:
    good, bad = Source("good"), Source("bad", FAILURES["bug"][0])
    host = host_of(make_host, good, bad)
    for number in range(8):
        ids, status = told(host, f"{number}")
        assert ids == good.ids
    assert len(bad.asked) == 5
    assert "left alone for a moment" in (status["bad"].error or "")


def test_a_source_may_say_nothing(make_host: MakeHost) -> None:
    ids, status = told(host_of(make_host, Source("good"), Source("none", lambda query: None)))
    assert ids == ["good/0", "good/1", "good/2"]
    assert status["none"].ok


def test_what_was_good_a_moment_ago_stands_in_for_one_that_fails(make_host: MakeHost) -> None:
    a, b = Source("a", total=1), Source("b", total=1)
    host = host_of(make_host, a, b)
    told(host)
    now = [61.0]
    host.search._now = host.search._pages._now = lambda: time.monotonic() + now[0]
    b.answer = FAILURES["away"][0]
    ids, status = told(host)
    assert ids == ["a/0", "b/0"]
    assert (status["b"].ok, status["b"].cached, status["b"].error) == (False, True, "The harbour is closed.")
    assert (status["a"].ok, status["a"].cached) == (True, False)


# -- pages ------------------------------------------------------------------------------------------------------------


def walk(host: Host, limit: int, sources: tuple[str, ...] = ()) -> list[list[str]]:
    """The ids of all pages, to the end."""
    pages, cursor = [], None
    for _ in range(1000):
        outcome = host.search.search(SearchQuery(text="x", limit=limit, cursor=cursor), sources)
        pages.append([hit.id for hit in outcome.results])
        cursor = outcome.next
        if cursor is None:
            return pages
    raise AssertionError("it has no end")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(totals=st.lists(st.integers(0, 25), min_size=1, max_size=4), limit=st.integers(1, 12))
def test_pages_over_several_sources_lose_and_double_nothing(
    make_host: MakeHost, tmp_path_factory: pytest.TempPathFactory, totals: list[int], limit: int
) -> None:
    sources = [Source(f"s{number}", total=total) for number, total in enumerate(totals)]
    host = host_of(make_host, *sources, home=tmp_path_factory.mktemp("home"))
    pages = walk(host, limit)
    seen = list(itertools.chain(*pages))
    assert sorted(seen) == sorted(itertools.chain(*(source.ids for source in sources)))
    for source in sources:
        assert [id for id in seen if id.startswith(f"{source.name}/")] == source.ids, "each in its own order"
    assert all(len(page) <= limit * len(sources) for page in pages)
    assert len(pages) == max(1, *(-(-total // limit) for total in totals))
    host.close()


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 200])
def test_pages_of_one_of_several(make_host: MakeHost, limit: int) -> None:
    a, b = Source("a", total=7), Source("b", total=5)
    host = host_of(make_host, a, b)
    assert list(itertools.chain(*walk(host, limit, ("b",)))) == b.ids
    assert a.asked == []


def test_a_source_that_has_no_more_is_not_asked_for_more(make_host: MakeHost) -> None:
    short, long = Source("short", total=1), Source("long", total=6)
    walk(host_of(make_host, short, long), 2)
    assert (len(short.asked), len(long.asked)) == (1, 3)


def test_the_cursor_of_each_is_its_own_and_goes_to_nobody_else(make_host: MakeHost) -> None:
    odd = "ä\n\"';</script>" + "x" * 300

    def answer(query: SearchQuery) -> SearchPage:
        return SearchPage(results=(), cursor=odd if query.cursor is None else None)

    a, b = Source("a", answer), Source("b", total=2)
    walk(host_of(make_host, a, b), 1)
    assert [query.cursor for query in a.asked] == [None, odd]
    assert [query.cursor for query in b.asked] == [None, "1"]


def test_a_source_that_fails_on_a_later_page_loses_nothing(make_host: MakeHost) -> None:
    """What comes next can still be had from it, once it answers again."""
    a, b = Source("a", total=4), Source("b", total=4)
    host = host_of(make_host, a, b)
    first = host.search.search(SearchQuery(text="x", limit=2))
    a.answer = FAILURES["away"][0]
    second = host.search.search(SearchQuery(text="x", limit=2, cursor=first.next))
    assert [hit.id for hit in second.results] == ["b/2", "b/3"]
    assert [status.error for status in second.sources] == ["The harbour is closed.", None]
    a.answer = a.page
    assert second.next is not None
    third = host.search.search(SearchQuery(text="x", limit=2, cursor=second.next))
    assert [hit.id for hit in third.results] == ["a/2", "a/3"]
    assert third.next is None


# -- what is no page, though it looks like one ------------------------------------------------------------------------

NONSENSE: dict[str, Any] = {
    "a text": "nonsense",
    "a number": 5,
    "nothing": None,
    "texts": ("a/0", "a/1"),
    "a hit with a number for an id": (ModelHit.model_construct(source="bad", id=5),),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("results", NONSENSE.values(), ids=NONSENSE)
def test_a_page_that_was_never_checked_is_that_sources_fault(make_host: MakeHost, results: Any) -> None:
    """`model_construct` makes anything, and so does a plugin that has its own version of pydantic's checks."""
    good = Source("good")
    bad = Source("bad", lambda query: SearchPage.model_construct(results=results, cursor=None, notice=None))
    ids, status = told(host_of(make_host, good, bad))
    assert ids == good.ids
    assert not status["bad"].ok
    assert status["bad"].error


def test_a_source_speaks_for_itself_only(make_host: MakeHost) -> None:
    """A hit that names another source would be described and installed from there."""
    good, bad = Source("good"), Source("bad")
    bad.answer = lambda query: SearchPage(results=(ModelHit(source="good", id="good/9"),))
    outcome = host_of(make_host, good, bad).search.search(SearchQuery(text="x"))
    assert "good/9" not in [hit.id for hit in outcome.results if hit.source == "good"]


# -- which are asked --------------------------------------------------------------------------------------------------


def test_only_the_sources_that_were_named_are_asked(make_host: MakeHost) -> None:
    a, b, c = Source("a"), Source("b"), Source("c")
    host = host_of(make_host, a, b, c)
    outcome = host.search.search(SearchQuery(text="x"), ["c", "a", "c"])
    assert [status.source for status in outcome.sources] == ["c", "a"]
    assert [hit.source for hit in outcome.results] == ["c", "a"] * 3
    assert b.asked == []
    with pytest.raises(InvalidInput, match="no source named d") as raised:
        host.search.search(SearchQuery(text="x"), ["a", "d"])
    assert raised.value.errors[0].message == "must be one of a, b, c"


def test_a_failure_of_one_that_was_not_asked_is_not_told(make_host: MakeHost, slow: Slow) -> None:
    host = host_of(make_host, Source("a"), slow)
    outcome = host.search.search(SearchQuery(text="x"), ["a"])
    assert [status.source for status in outcome.sources] == ["a"]


def test_a_source_that_is_switched_off_is_gone_and_comes_back(make_host: MakeHost) -> None:
    a, b = Source("a", total=4), Source("b", total=4)
    host = host_of(make_host, a, b)
    first = host.search.search(SearchQuery(text="x", limit=2))
    only_b = host.search.search(SearchQuery(text="x", limit=2), ["b"])
    host.plugins.disable("b")
    assert host.search.sources() == ("a",)
    ids, status = told(host)
    assert (ids, list(status)) == (a.ids, ["a"])
    with pytest.raises(InvalidInput, match="no source named b"):
        host.search.search(SearchQuery(text="x"), ["b"])
    with pytest.raises(Missing):
        host.search.describe("b", "b/0")
    for cursor in (first.next, only_b.next):
        with pytest.raises(InvalidInput) as raised:
            host.search.search(SearchQuery(text="x", limit=2, cursor=cursor))
        assert [error.field for error in raised.value.errors] == ["cursor"]
    asked = len(b.asked)
    told(host, "y")
    assert len(b.asked) == asked
    host.plugins.enable("b")
    more = host.search.search(SearchQuery(text="x", limit=2, cursor=first.next))
    assert [hit.id for hit in more.results] == ["a/2", "b/2", "a/3", "b/3"]


def test_a_source_that_is_switched_off_in_the_middle_of_a_search(make_host: MakeHost, slow: Slow) -> None:
    host = host_of(make_host, Source("a"), slow)
    found: list[tuple[list[str], dict[str, SourceStatus]]] = []
    thread = threading.Thread(target=lambda: found.append(told(host)))
    thread.start()
    while not slow.asked:
        time.sleep(0.01)
    host.plugins.disable("slow")
    thread.join(5)
    ((ids, _),) = found
    assert ids == ["a/0", "a/1", "a/2"]


def test_a_cursor_of_a_stranger_asks_nobody(make_host: MakeHost) -> None:
    a = Source("a")
    host = host_of(make_host, a)
    for value in ({"b": "1"}, {"a": 1}, {"a": None}, ["a"], {}, "a", 5, None):
        forged = base64.urlsafe_b64encode(json.dumps(value).encode()).decode()
        with pytest.raises(InvalidInput):
            host.search.search(SearchQuery(text="x", cursor=forged))
    assert a.asked == []


# -- one model --------------------------------------------------------------------------------------------------------


def test_a_model_is_asked_of_its_own_source_only(make_host: MakeHost) -> None:
    a, b = Source("a"), Source("b")
    host = host_of(make_host, a, b)
    assert host.search.describe("b", "same/id").source == "b"
    assert (a.described, b.described) == ([], ["same/id"])
    assert host.search.describe("a", "same/id").source == "a"


def test_a_plugin_that_is_no_source_is_none(make_host: MakeHost) -> None:
    class Describes:
        @hookimpl
        def describe_model(self, ref: ModelRef) -> ModelDetail:
            raise AssertionError("it is never asked")

    host = make_host(plugins={"a": Source("a"), "other": Describes()}, only=True)
    assert host.search.sources() == ("a",)
    with pytest.raises(Missing):
        host.search.describe("other", "x")


def test_describing_fails_as_that_source_does(make_host: MakeHost) -> None:
    class Broken(Source):
        @hookimpl
        def describe_model(self, ref: ModelRef) -> ModelDetail:
            raise ZeroDivisionError

    host = host_of(make_host, Source("a"), Broken("b"))
    with pytest.raises(PluginFailed, match="The plugin b failed in describe_model"):
        host.search.describe("b", "x")
    assert host.search.describe("a", "x").id == "x"
