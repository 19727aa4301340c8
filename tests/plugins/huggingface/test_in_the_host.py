"""The plugin as the host drives it: found by its entry point, set by the environment, its keys kept apart."""

from __future__ import annotations

import json
from typing import Any

import pytest

from moorage.errors import InvalidInput, RateLimited
from moorage.models import SearchQuery
from tests.conftest import MakeHost
from tests.fakes.faults import Fault
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


def test_what_was_searched_costs_one_call_more(make_host: MakeHost, hub: FakeHub, environment: dict[str, str]) -> None:
    host = make_host(environment=environment)
    hub.quotas["api"] = 100
    outcome = host.search.search(SearchQuery(text="tiny"), ["huggingface"])
    (hit,), (source,) = outcome.results, outcome.sources
    assert source.allowance is not None
    assert (source.allowance.remaining, source.allowance.limit) == (99, 100)
    detail = host.search.describe("huggingface", hit.id, hit.revision)
    assert (detail.revision, len(detail.files)) == (hit.revision, 5)
    assert [seen.path.rpartition("/")[0] for seen in hub.requests] == ["/api", "/api/models/acme/tiny-GGUF/tree"]
    # Each host has a plugin of its own: what one has read, another asks for.
    other = make_host(environment=environment, home=host.settings.home.with_name("other"))
    assert other.search.describe("huggingface", hit.id, hit.revision) == detail
    assert len(hub.requests) == 4


def test_a_partial_detail_is_asked_for_again(make_host: MakeHost, hub: FakeHub, environment: dict[str, str]) -> None:
    host = make_host(environment=environment)
    hub.faults.append(Fault("/acme/gated-granted/resolve/.+", status=503))
    detail = host.search.describe("huggingface", "acme/gated-granted")
    assert (detail.partial, detail.gate.state) == (True, "unknown")
    assert "files may be had" in (detail.notice or "")
    assert host.search.describe("huggingface", "acme/gated-granted").gate.state == "open"


def test_the_limit_is_told_without_asking_in_vain(
    make_host: MakeHost, hub: FakeHub, environment: dict[str, str]
) -> None:
    host = make_host(environment=environment | {"HF_TOKEN": ""})
    hub.quotas["api"] = 1
    host.search.search(SearchQuery(text="tiny"))
    with pytest.raises(RateLimited, match="used up") as caught:
        host.search.search(SearchQuery(text="served"))
    assert "huggingface.co/settings/tokens" in (caught.value.hint or "")
    assert len(hub.requests) == 1


def test_the_key_of_the_environment_is_checked(make_host: MakeHost, environment: dict[str, str]) -> None:
    check = make_host(environment=environment).plugins.check_key("huggingface")
    assert check is not None
    assert (check.account, check.kind) == ("ada", "read")
