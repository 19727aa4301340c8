"""Our searches are the questions that the official client asks, word for word, and find the same."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, get_args

import pytest
from huggingface_hub import HfApi
from huggingface_hub.hf_api import ExpandModelProperty_T

from moorage import SearchQuery
from moorage_huggingface.plugin import HuggingFacePlugin
from tests.fakes.hub import FakeHub
from tests.fakes.repo import Repo
from tests.plugins.huggingface.conftest import MakeContext

# What they ask for is theirs to say; the question is the rest.
FORM = ("expand", "expand[]", "limit")


@pytest.fixture
def hub(hub: FakeHub) -> FakeHub:
    hub.add(
        Repo("acme/newer", created=datetime(2026, 5, 5, tzinfo=UTC), likes=99, trending=7, downloads=1),
        Repo("acme/fresh", modified=datetime(2026, 6, 6, tzinfo=UTC), languages=("de", "en"), license="mit"),
    )
    return hub


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ({"text": "acme tiny"}, {"search": "acme tiny"}),
        ({"format": "gguf"}, {"filter": ["gguf"]}),
        (
            {"format": "gguf", "license": "apache-2.0", "language": "en"},
            {"filter": ["gguf", "license:apache-2.0", "en"]},
        ),
        ({"language": "de", "license": "mit"}, {"filter": ["license:mit", "de"]}),
        ({"task": "text-generation"}, {"pipeline_tag": "text-generation"}),
        ({"author": "acme"}, {"author": "acme"}),
        ({"app": "ollama"}, {"apps": "ollama"}),
        ({"app": "llama.cpp"}, {"apps": "llama.cpp"}),
        ({"gated": True}, {"gated": True}),
        ({"gated": False}, {"gated": False}),
        ({"served_by": "all"}, {"inference_provider": "all"}),
        ({"served_by": "any"}, {"inference_provider": "all"}),
        ({"served_by": "novita"}, {"inference_provider": "novita"}),
        ({"min_parameters": 2_000_000_000}, {"num_parameters": "min:2B"}),
        ({"max_parameters": 4_000_000_000}, {"num_parameters": "max:4B"}),
        ({"min_parameters": 350_000_000, "max_parameters": 128_000_000_000}, {"num_parameters": "min:350M,max:128B"}),
        ({"sort": "likes"}, {"sort": "likes"}),
        ({"sort": "trending"}, {"sort": "trending_score"}),
        ({"sort": "created"}, {"sort": "created_at"}),
        ({"sort": "updated"}, {"sort": "last_modified"}),
        (
            {"text": "t", "format": "gguf", "gated": False, "app": "ollama", "max_parameters": 9_000_000_000},
            {"search": "t", "filter": ["gguf"], "gated": False, "apps": ["ollama"], "num_parameters": "max:9B"},
        ),
    ],
)
def test_the_same_question_and_the_same_answer(
    plugin: HuggingFacePlugin, context: MakeContext, hub: FakeHub, ours: dict[str, Any], theirs: dict[str, Any]
) -> None:
    found = [hit.id for hit in plugin.search_models(SearchQuery(**ours), context()).results]
    asked = question(hub)
    expected = [
        model.id for model in HfApi(endpoint=hub.url, token=False).list_models(**{"sort": "downloads"} | theirs)
    ]
    assert asked == question(hub)
    assert found == [id for id in expected if not hub.repos[id].disabled]
    assert found


def question(hub: FakeHub) -> list[tuple[str, str]]:
    (seen,) = hub.seen("GET", "/api/models")[-1:]
    return sorted((name, value.lower()) for name, value in seen.query if name not in FORM)


def test_every_field_is_one_that_they_know(plugin: HuggingFacePlugin, context: MakeContext, hub: FakeHub) -> None:
    """The client refuses a name of `expand` that it does not know, as the Hub does with a 400."""
    plugin.search_models(SearchQuery(), context())
    assert set(hub.requests[-1].params("expand")) <= set(get_args(ExpandModelProperty_T))
