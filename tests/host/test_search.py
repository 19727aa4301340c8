"""Searching over several sources: merged, cached, paged; one that fails does not hurt the others."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from moorage import ModelHit, SearchPage, SearchQuery, Unreachable, hookimpl
from moorage.errors import InvalidInput, Missing, RateLimited
from moorage.search import SearchFailed
from tests.conftest import MakeHost


class Source:
    """Pages of invented hits; `error` is raised when it is set."""

    def __init__(self, name: str, total: int = 5) -> None:
        self.name = name
        self.total = total
        self.error: Exception | None = None
        self.asked: list[SearchQuery] = []

    @hookimpl
    def search_models(self, query: SearchQuery) -> SearchPage:
        self.asked.append(query)
        if self.error is not None:
            raise self.error
        start = int(query.cursor or 0)
        end = min(start + query.limit, self.total)
        hits = tuple(ModelHit(source=self.name, id=f"{self.name}/{n}") for n in range(start, end))
        return SearchPage(results=hits, cursor=str(end) if end < self.total else None)


def hosts(make_host: MakeHost, *sources: Source) -> Any:
    return make_host(plugins={source.name: source for source in sources}, only=True)


def test_sources_are_merged_in_turn_and_paged_each_by_its_own_cursor(make_host: MakeHost) -> None:
    host = hosts(make_host, Source("a", 5), Source("b", 3))
    seen, cursor = [], None
    while True:
        outcome = host.search.search(SearchQuery(text="x", limit=2, cursor=cursor))
        seen += [hit.id for hit in outcome.results]
        cursor = outcome.next
        if cursor is None:
            break
    assert seen == ["a/0", "b/0", "a/1", "b/1", "a/2", "b/2", "a/3", "a/4"]


def test_one_source_can_be_asked_alone(make_host: MakeHost) -> None:
    a, b = Source("a"), Source("b")
    host = hosts(make_host, a, b)
    host.search.search(SearchQuery(text="x"), ["b"])
    assert (len(a.asked), len(b.asked)) == (0, 1)
    with pytest.raises(InvalidInput, match="no source named c"):
        host.search.search(SearchQuery(text="x"), ["c"])
    with pytest.raises(InvalidInput):
        host.search.search(SearchQuery(text="x", cursor="forged"))


def test_a_cursor_that_no_search_here_made(make_host: MakeHost) -> None:
    host = hosts(make_host, Source("a"), Source("b"))
    only_b = host.search.search(SearchQuery(text="x", limit=2), ["b"]).next
    for text in ("[" * 5000, '{"nowhere": "2"}', '{"a": "2", "nowhere": "2"}', "{}"):
        forged = base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")
        with pytest.raises(InvalidInput) as raised:
            host.search.search(SearchQuery(text="x", cursor=forged))
        assert [error.field for error in raised.value.errors] == ["cursor"]
    with pytest.raises(InvalidInput):
        host.search.search(SearchQuery(text="x", cursor=only_b), ["a"])


def test_a_failing_source_is_named(make_host: MakeHost) -> None:
    a, b = Source("a"), Source("b")
    a.error = Unreachable("a is down.", hint="Wait.")
    outcome = hosts(make_host, a, b).search.search(SearchQuery(text="x"))
    told = {status.source: status for status in outcome.sources}
    assert (told["a"].ok, told["a"].error, told["a"].hint) == (False, "a is down.", "Wait.")
    assert told["b"].ok
    assert len(outcome.results) == 5


def test_troubles_are_remembered_until_it_answers_again(make_host: MakeHost) -> None:
    a = Source("a")
    host = hosts(make_host, a)
    a.error = Unreachable("a is down.")
    assert [status.ok for status in host.search.check()] == [False]
    assert [status.error for status in host.search.troubles()] == ["a is down."]
    a.error = None
    host.search.search(SearchQuery(text="x"))
    assert host.search.troubles() == ()


def test_all_failing_is_an_error(make_host: MakeHost) -> None:
    a = Source("a")
    host = hosts(make_host, a)
    a.error = Unreachable("a is down.")
    with pytest.raises(SearchFailed) as caught:
        host.search.search(SearchQuery(text="x"))
    assert caught.value.status == 502
    assert not caught.value.sources[0].ok
    a.error = RateLimited("Slow down.", retry_after=7)
    with pytest.raises(RateLimited) as limited:
        host.search.search(SearchQuery(text="x"))
    assert limited.value.retry_after == 7


def test_pages_are_kept_for_a_minute_and_a_stale_one_beats_an_error(make_host: MakeHost) -> None:
    a = Source("a")
    host = hosts(make_host, a)
    now = [0.0]
    host.search._now = host.search._pages._now = lambda: now[0]
    assert not host.search.search(SearchQuery(text="x")).sources[0].cached
    assert host.search.search(SearchQuery(text="x")).sources[0].cached
    assert len(a.asked) == 1
    now[0] = 61.0
    a.error = Unreachable("a is down.")
    outcome = host.search.search(SearchQuery(text="x"))
    assert len(outcome.results) == 5
    assert (outcome.sources[0].ok, outcome.sources[0].cached, outcome.sources[0].error) == (False, True, "a is down.")
    now[0] = 4000.0
    with pytest.raises(SearchFailed):
        host.search.search(SearchQuery(text="x"))
    a.error = None
    assert host.search.search(SearchQuery(text="x")).sources[0].ok, "an error is never kept"


def test_a_source_that_is_not_there(make_host: MakeHost) -> None:
    with pytest.raises(Missing):
        hosts(make_host, Source("a")).search.describe("b", "x/y")
