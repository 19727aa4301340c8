"""Every filter of a search in the Hub's words."""

from __future__ import annotations

import pytest

from moorage import SearchQuery
from moorage_huggingface.query import search_params


def sent(query: SearchQuery) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in search_params(query):
        found.setdefault(name, []).append(value)
    return found


def test_every_field_is_sent() -> None:
    query = SearchQuery(
        text="  tiny chat ",
        limit=50,
        cursor="abc==",
        format="gguf",
        app="ollama",
        task="text-generation",
        author="acme",
        license="mit",
        language="de",
        gated=False,
        min_parameters=1_000_000_000,
        max_parameters=8_000_000_000,
        served_by="all",
        sort="updated",
    )
    params = sent(query)
    assert params.pop("expand[]")
    assert params == {
        "sort": ["lastModified"],
        "limit": ["50"],
        "search": ["tiny chat"],
        "filter": ["gguf", "license:mit", "de"],
        "apps": ["ollama"],
        "pipeline_tag": ["text-generation"],
        "author": ["acme"],
        "gated": ["false"],
        "inference_provider": ["all"],
        "num_parameters": ["min:1000000000,max:8000000000"],
        "cursor": ["abc=="],
    }


def test_what_is_not_asked_is_not_sent() -> None:
    assert set(sent(SearchQuery())) == {"sort", "limit", "expand[]"}
    assert sent(SearchQuery(max_parameters=5))["num_parameters"] == ["max:5"]
    assert sent(SearchQuery(min_parameters=0))["num_parameters"] == ["min:0"]
    assert sent(SearchQuery(gated=True))["gated"] == ["true"]


@pytest.mark.parametrize(("limit", "asked"), [(20, True), (30, True), (31, False), (200, False)])
def test_chat_templates_come_with_short_pages_only(limit: int, asked: bool) -> None:
    assert ("gguf" in sent(SearchQuery(limit=limit))["expand[]"]) is asked


@pytest.mark.parametrize(
    ("sort", "word"),
    [
        ("downloads", "downloads"),
        ("likes", "likes"),
        ("trending", "trendingScore"),
        ("created", "createdAt"),
        ("updated", "lastModified"),
    ],
)
def test_sort_words(sort: str, word: str) -> None:
    assert sent(SearchQuery.model_validate({"sort": sort}))["sort"] == [word]
