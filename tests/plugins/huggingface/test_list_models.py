"""`list_models` against a router and an Inference Endpoint on loopback."""

from __future__ import annotations

import pytest

from moorage import (
    AuthFailed,
    BadAnswer,
    ProviderModel,
)
from moorage_huggingface.plugin import HuggingFacePlugin
from tests.fakes.faults import Fault
from tests.fakes.router import FakeRouter
from tests.fakes.router_models import RouterModel, RouterProvider
from tests.plugins.huggingface.conftest import MakeContext, provider


def test_what_the_router_serves(plugin: HuggingFacePlugin, context: MakeContext, router: FakeRouter) -> None:
    router.add(
        RouterModel("acme/seeing", [RouterProvider("novita", context_length=9)], input_modalities=("text", "image"))
    )
    served = plugin.list_models(provider(), context(token="hf_good"))
    assert served == [
        ProviderModel(name="acme/served", capabilities=("completion", "tools")),
        ProviderModel(name="acme/seeing", context_length=9, capabilities=("completion", "vision")),
    ]
    assert plugin.list_models(provider(), context()) == served  # the list is for everyone


def test_a_bad_token_does_not_hide_the_list(
    plugin: HuggingFacePlugin, context: MakeContext, router: FakeRouter
) -> None:
    router.faults.append(Fault("/v1/models", status=401, body={"error": "Invalid username or password."}))
    assert len(plugin.list_models(provider(), context(token="hf_unknown"))) == 1
    router.models_need_token = True
    with pytest.raises(AuthFailed):
        plugin.list_models(provider(), context(token="hf_unknown"))


def test_what_an_endpoint_serves(plugin: HuggingFacePlugin, context: MakeContext, endpoint: FakeRouter) -> None:
    to = provider("tgi", endpoint=f"{endpoint.url}/v1")
    assert plugin.list_models(to, context()) == [ProviderModel(name="acme/mine")]
    endpoint.faults.append(Fault("/v1/models", status=404))
    assert plugin.list_models(to, context()) == [ProviderModel(name="tgi")]
    endpoint.faults.append(Fault("/v1/models", status=401))
    with pytest.raises(AuthFailed, match="needs a token"):
        plugin.list_models(to, context())
    endpoint.faults.append(Fault("/v1/models", status=200, body={"data": None}))
    with pytest.raises(BadAnswer):
        plugin.list_models(to, context())
    endpoint.faults.append(Fault("/v1/models", status=200, body={"data": [{"odd": 1}, {"id": "fine"}]}))
    assert plugin.list_models(to, context()) == [ProviderModel(name="fine")]
