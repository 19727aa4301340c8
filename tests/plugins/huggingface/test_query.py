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
        "num_parameters": ["min:1B,max:8B"],
        "cursor": ["abc=="],
    }


def test_what_is_not_asked_is_not_sent() -> None:
    assert set(sent(SearchQuery())) == {"sort", "limit", "expand[]"}
    assert sent(SearchQuery(max_parameters=5))["num_parameters"] == ["max:5"]
    assert sent(SearchQuery(min_parameters=0))["num_parameters"] == ["min:0"]
    assert sent(SearchQuery(gated=True))["gated"] == ["true"]


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        (1_000_000_000, 8_000_000_000, "min:1B,max:8B"),
        (350_000_000, 1_500_000_000, "min:350M,max:1500M"),
        (0, 24_000_000_000, "min:0,max:24B"),
        (1_234_567, None, "min:1234567"),
        (None, 999, "max:999"),
        (0, 0, "min:0,max:0"),
    ],
)
def test_parameters_are_written_as_the_hub_does(low: int | None, high: int | None, words: str) -> None:
    assert sent(SearchQuery(min_parameters=low, max_parameters=high))["num_parameters"] == [words]


@pytest.mark.parametrize(("asked", "word"), [("all", "all"), ("any", "all"), ("novita", "novita")])
def test_who_serves_it(asked: str, word: str) -> None:
    assert sent(SearchQuery(served_by=asked))["inference_provider"] == [word]


@pytest.mark.parametrize("limit", [1, 30, 31, 200])
def test_a_list_says_what_a_detail_needs(limit: int) -> None:
    asked = sent(SearchQuery(limit=limit))["expand[]"]
    assert {"sha", "createdAt", "private", "disabled", "gated", "inferenceProviderMapping"} <= set(asked)
    assert len(asked) == len(set(asked))
    assert "siblings" not in asked  # without sizes, and many kB


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


@pytest.mark.parametrize(
    ("typed", "searched"),
    [
        ("https://huggingface.co/acme/tiny-GGUF", "acme/tiny-GGUF"),
        ("https://huggingface.co/acme/tiny-GGUF/tree/main?library=gguf", "acme/tiny-GGUF"),
        ("ollama run hf.co/acme/tiny-GGUF:Q4_K_M", "acme/tiny-GGUF"),
        ("www.HuggingFace.co/acme/tiny", "acme/tiny"),
        ("acme/tiny", "acme/tiny"),
        ("tiny huggingface.co", "tiny huggingface.co"),
        ("nothf.co/acme/tiny", "nothf.co/acme/tiny"),
    ],
)
def test_a_pasted_address_is_the_model_that_it_names(typed: str, searched: str) -> None:
    assert ("search", searched) in search_params(SearchQuery(text=typed))
