"""`search_models` against a Hub on loopback."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from moorage import AuthFailed, BadAnswer, ModelRef, RateLimited, SearchQuery, ServedBy, Unreachable
from moorage_huggingface.plugin import HuggingFacePlugin
from tests.fakes.faults import Fault, captive_portal, rate_limited
from tests.fakes.hub import FakeHub
from tests.fakes.repo import Repo
from tests.fakes.router import FakeRouter
from tests.fakes.router_models import RouterModel, RouterProvider
from tests.plugins.huggingface.conftest import Clock, MakeContext


def ids(plugin: HuggingFacePlugin, context: MakeContext, **query: Any) -> list[str]:
    return [hit.id for hit in plugin.search_models(SearchQuery.model_validate(query), context()).results]


def test_a_hit_says_what_the_hub_says(plugin: HuggingFacePlugin, context: MakeContext, hub: FakeHub) -> None:
    page = plugin.search_models(SearchQuery(text="tiny"), context())
    (hit,) = page.results
    assert (hit.source, hit.id, hit.author, hit.url) == (
        "huggingface",
        "acme/tiny-GGUF",
        "acme",
        f"{hub.url}/acme/tiny-GGUF",
    )
    assert (hit.downloads, hit.likes, hit.license, hit.task) == (500, 7, "apache-2.0", "text-generation")
    assert (hit.has_gguf, hit.parameters, hit.context_length) == (True, 3_000_000_000, 8192)
    repo = hub.repos["acme/tiny-GGUF"]
    assert (hit.updated_at, hit.created_at, hit.revision) == (repo.modified, repo.created, repo.sha)
    assert hit.served_by == ()
    assert (page.cursor, page.notice) == (None, None)


@pytest.mark.parametrize("limit", [30, 31])
def test_a_list_of_any_length_names_commits_and_providers(
    plugin: HuggingFacePlugin, context: MakeContext, hub: FakeHub, limit: int
) -> None:
    (hit,) = plugin.search_models(SearchQuery(text="served", limit=limit), context()).results
    assert (hit.revision, hit.created_at) == (hub.repos["acme/served"].sha, hub.repos["acme/served"].created)
    assert hit.served_by == (
        ServedBy(provider="groq", status="staging"),
        ServedBy(provider="novita", status="live"),
    )


def test_a_search_never_waits_for_prices(
    plugin: HuggingFacePlugin, context: MakeContext, router: FakeRouter, clock: Clock
) -> None:
    """They are there once a detail has read the router's list, for as long as that is kept."""
    router.add(RouterModel("acme/served", [RouterProvider("novita", pricing={"input": 0.5, "output": 1.5})]))

    def price() -> float | None:
        (hit,) = plugin.search_models(SearchQuery(text="served"), context()).results
        return {each.provider: each.input_price for each in hit.served_by or ()}["novita"]

    assert price() is None
    assert router.requests == []
    plugin.describe_model(ModelRef(source="huggingface", id="acme/served"), context())
    assert price() == 0.5
    clock.now += 301
    assert price() is None
    assert len(router.requests) == 1


def test_a_disabled_model_is_not_offered(plugin: HuggingFacePlugin, context: MakeContext) -> None:
    assert plugin.search_models(SearchQuery(text="withdrawn"), context()).results == ()


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"format": "gguf"}, ["acme/tiny-GGUF", "acme/gated-granted", "acme/gated"]),
        ({"app": "ollama"}, ["acme/tiny-GGUF"]),
        ({"license": "mit"}, ["acme/served"]),
        ({"language": "en"}, ["acme/tiny-GGUF"]),
        ({"gated": True, "format": "gguf"}, ["acme/gated-granted", "acme/gated"]),
        ({"gated": False, "task": "text-generation"}, ["acme/served", "acme/tiny-GGUF"]),
        ({"served_by": "all"}, ["acme/served"]),
        ({"served_by": "novita"}, ["acme/served"]),
        ({"served_by": "cerebras"}, []),
        ({"min_parameters": 1_000_000_000, "max_parameters": 8_000_000_000}, ["acme/tiny-GGUF"]),
        ({"author": "nobody"}, []),
        ({"text": "SERVED"}, ["acme/served"]),
        ({"served_by": "any"}, ["acme/served"]),
        ({"served_by": "groq"}, ["acme/served"]),
        ({"max_parameters": 69_999_999_999}, ["acme/tiny-GGUF"]),
        ({"min_parameters": 70_000_000_000}, ["acme/served"]),
        ({"min_parameters": 3_000_000_000, "max_parameters": 3_000_000_000}, ["acme/tiny-GGUF"]),
        ({"min_parameters": 3_000_000_001, "max_parameters": 3_500_000_000}, []),
        ({"app": "llama.cpp", "license": "apache-2.0", "language": "en"}, ["acme/tiny-GGUF"]),
        ({"license": "apache-2.0", "language": "de"}, []),
        ({"text": "acme tiny"}, ["acme/tiny-GGUF"]),
        ({"author": "acme", "task": "text-generation"}, ["acme/served", "acme/tiny-GGUF"]),
    ],
)
def test_the_hub_filters(
    plugin: HuggingFacePlugin, context: MakeContext, query: dict[str, Any], found: list[str]
) -> None:
    assert ids(plugin, context, **query) == found


@pytest.mark.parametrize(
    ("sort", "first"),
    [("downloads", "a"), ("likes", "b"), ("trending", "c"), ("created", "d"), ("updated", "e")],
)
def test_every_order(plugin: HuggingFacePlugin, context: MakeContext, hub: FakeHub, sort: str, first: str) -> None:
    late = datetime(2026, 1, 1, tzinfo=UTC)
    hub.add(
        Repo("sorted/a", downloads=9),
        Repo("sorted/b", likes=9),
        Repo("sorted/c", trending=9),
        Repo("sorted/d", created=late),
        Repo("sorted/e", modified=late),
    )
    found = ids(plugin, context, author="sorted", sort=sort)
    assert (found[0], len(found)) == (f"sorted/{first}", 5)


def test_pages_follow_each_other_by_cursor(plugin: HuggingFacePlugin, context: MakeContext, hub: FakeHub) -> None:
    hub.add(*[Repo(f"many/m{at:02d}", downloads=1000 + at % 3) for at in range(25)])
    seen: list[str] = []
    cursor: str | None = None
    pages = 0
    while True:
        page = plugin.search_models(SearchQuery(author="many", limit=10, cursor=cursor), context())
        seen += [hit.id for hit in page.results]
        pages, cursor = pages + 1, page.cursor
        if cursor is None:
            break
    assert pages == 3
    assert len(seen) == len(set(seen)) == 25
    assert [repo.downloads for repo in map(hub.repos.__getitem__, seen)] == sorted(
        (1000 + at % 3 for at in range(25)), reverse=True
    )


def test_a_link_of_another_host_is_never_followed(
    plugin: HuggingFacePlugin, context: MakeContext, hub: FakeHub
) -> None:
    """A mirror may hand on the Hub's own addresses (§1.2): only the cursor is taken from them."""
    hub.link_origin = "https://huggingface.co"
    hub.add(*[Repo(f"many/m{at:02d}") for at in range(4)])
    first = plugin.search_models(SearchQuery(author="many", limit=2), context(token="hf_good"))
    assert first.cursor is not None
    assert "://" not in first.cursor
    second = plugin.search_models(SearchQuery(author="many", limit=2, cursor=first.cursor), context(token="hf_good"))
    assert len({hit.id for hit in first.results + second.results}) == 4
    assert second.cursor is None


@pytest.mark.parametrize("cursor", ["https://evil.example/?x=1", "a&limit=1000", "../..", "x" * 5000])
def test_a_made_up_cursor_reaches_no_other_address(
    plugin: HuggingFacePlugin, context: MakeContext, hub: FakeHub, cursor: str
) -> None:
    with pytest.raises(BadAnswer, match="cursor"):
        plugin.search_models(SearchQuery(cursor=cursor), context(token="hf_good"))
    (seen,) = hub.requests
    assert (seen.path, seen.params("cursor"), seen.param("limit")) == ("/api/models", [cursor], "20")


def test_a_token_shows_what_it_may_see(plugin: HuggingFacePlugin, context: MakeContext) -> None:
    query = SearchQuery(text="secret")
    assert plugin.search_models(query, context()).results == ()
    assert [hit.id for hit in plugin.search_models(query, context(token="hf_member")).results] == ["acme/secret"]


@pytest.mark.parametrize("token", ["hf_unknown", "hf_revoked"])
def test_a_bad_token_does_not_break_public_reads(
    plugin: HuggingFacePlugin, context: MakeContext, hub: FakeHub, token: str
) -> None:
    page = plugin.search_models(SearchQuery(text="tiny"), context(token=token))
    assert [hit.id for hit in page.results] == ["acme/tiny-GGUF"]
    assert page.notice is not None
    assert "token" in page.notice
    assert token not in page.notice
    assert [seen.headers.get("authorization") for seen in hub.requests] == [f"Bearer {token}", None]


def test_a_bad_token_and_a_limit_behind_it(plugin: HuggingFacePlugin, context: MakeContext, hub: FakeHub) -> None:
    hub.faults.append(rate_limited(seconds=30))
    hub.faults[0].skip = 1
    with pytest.raises(RateLimited) as caught:
        plugin.search_models(SearchQuery(text="tiny"), context(token="hf_unknown"))
    assert caught.value.retry_after == 30


def test_a_hub_for_members_only_says_that_the_token_is_bad(
    plugin: HuggingFacePlugin, context: MakeContext, hub: FakeHub
) -> None:
    body = {"error": "Invalid credentials in Authorization header"}
    hub.faults.append(Fault(status=401, body=body, times=None))
    with pytest.raises(AuthFailed) as caught:
        plugin.search_models(SearchQuery(text="tiny"), context(token="hf_unknown"))
    assert caught.value.hint is not None
    assert "HF_TOKEN" in caught.value.hint


@pytest.mark.parametrize(
    ("fault", "seconds"),
    [(rate_limited(seconds=57), 57.0), (rate_limited(retry_after=9), 9.0), (rate_limited(), 5.0)],
)
def test_a_limit_says_how_long(
    plugin: HuggingFacePlugin, context: MakeContext, hub: FakeHub, fault: Fault, seconds: float
) -> None:
    hub.faults.append(Fault(**{**vars(fault), "used": 0}))
    with pytest.raises(RateLimited) as caught:
        plugin.search_models(SearchQuery(text="tiny"), context())
    assert caught.value.retry_after == seconds
    assert "HF_TOKEN" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Fault(status=503, body="<html>busy"), Unreachable),
        (Fault(reset_after=20, times=None), Unreachable),
        (captive_portal(), BadAnswer),
        (Fault(status=200, body={"error": "no"}), BadAnswer),
        (Fault(status=200, body=[{"odd": 1}]), BadAnswer),
    ],
)
def test_a_broken_hub(
    plugin: HuggingFacePlugin, context: MakeContext, hub: FakeHub, fault: Fault, kind: type[Exception]
) -> None:
    hub.faults.append(Fault(**{**vars(fault), "used": 0}))
    with pytest.raises(kind) as caught:
        plugin.search_models(SearchQuery(text="tiny"), context())
    assert "<" not in str(caught.value)


def test_one_odd_entry_hides_nothing_else(plugin: HuggingFacePlugin, context: MakeContext, hub: FakeHub) -> None:
    hub.faults.append(Fault(status=200, body=[{"odd": 1}, {"id": "acme/fine", "downloads": None, "tags": None}, 3]))
    assert ids(plugin, context, text="x") == ["acme/fine"]


def test_nobody_there(plugin: HuggingFacePlugin, context: MakeContext, nowhere: str) -> None:
    with pytest.raises(Unreachable) as caught:
        plugin.search_models(SearchQuery(text="x"), context(hub_endpoint=nowhere))
    for way in ("proxy", "Settings page", "mirror", "Plugins page", "make demo"):
        assert way in (caught.value.hint or "")
