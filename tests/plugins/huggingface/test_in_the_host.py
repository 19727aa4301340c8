"""The plugin as the host drives it: found by its entry point, set by the environment, its keys kept apart."""

from __future__ import annotations

import json
from typing import Any

import pytest

from moorage.errors import InvalidInput
from moorage.models import SearchQuery
from tests.conftest import MakeHost
from tests.fakes.hub import FakeHub
from tests.fakes.router import FakeRouter


@pytest.fixture
def environment(hub: FakeHub, router: FakeRouter) -> dict[str, str]:
    return {"HF_ENDPOINT": f"{hub.url}/", "HF_TOKEN": "hf_good\n", "MOORAGE_ROUTER_ENDPOINT": f"{router.url}/v1"}


def test_the_environment_is_honoured(make_host: MakeHost, hub: FakeHub, environment: dict[str, str]) -> None:
    host = make_host(environment=environment)
    assert host.plugins.get("huggingface").state == "ready"
    outcome = host.search.search(SearchQuery(text="tiny"), ["huggingface"])
    assert [hit.id for hit in outcome.results] == ["acme/tiny-GGUF"]
    assert hub.requests[-1].headers["authorization"] == "Bearer hf_good"
    detail = host.search.describe("huggingface", "acme/gated-granted")
    assert detail.gate.state == "open"
    view = host.plugins.config("huggingface")
    assert "hf_good" not in view.model_dump_json()
    assert view.sources["token"] == "environment"


def test_a_saved_provider_answers_with_the_saved_token(
    make_host: MakeHost, router: FakeRouter, environment: dict[str, str]
) -> None:
    host = make_host(environment=environment)
    result = host.providers.test(type="huggingface", config={"model": "acme/served", "routing": "fastest"})
    assert result.ok, result.error
    assert router.requests[-1].headers["authorization"] == "Bearer hf_good"
    assert router.requests[-1].json["model"] == "acme/served:fastest"


@pytest.mark.parametrize(
    ("token", "model", "part"),
    [("", "acme/served", "key"), ("hf_poor", "acme/served", "credits"), ("hf_good", "acme/unknown", "model")],
)
def test_the_test_names_what_failed(
    make_host: MakeHost, environment: dict[str, str], token: str, model: str, part: str
) -> None:
    host = make_host(environment=environment | {"HF_TOKEN": token})
    result = host.providers.test(type="huggingface", config={"model": model})
    assert result.error is not None
    assert result.error.part == part


def test_a_wrong_model_is_named_by_its_field(make_host: MakeHost, environment: dict[str, str]) -> None:
    host = make_host(environment=environment)
    with pytest.raises(InvalidInput) as caught:
        host.providers.create(name="x", type="huggingface", config={"model": "acme/served:novita"})
    assert [error.field for error in caught.value.errors] == ["config.model"]


def test_nothing_is_listed(make_host: MakeHost, environment: dict[str, str]) -> None:
    host = make_host(environment=environment)
    view: dict[str, Any] = json.loads(host.catalog.view().model_dump_json())
    assert view["catalog"]["huggingface"] == []
