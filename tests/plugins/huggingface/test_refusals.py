"""What a router or an endpoint says no to, on the wire, and the errors that people read."""

from __future__ import annotations

import json
from typing import Any

import pytest

from moorage import (
    AuthFailed,
    BadAnswer,
    CreditsGone,
    InvalidConfig,
    MoorageError,
    NotFound,
    PluginContext,
    Provider,
    RateLimited,
    Unreachable,
    Unsupported,
)
from tests.fakes.faults import Fault, captive_portal, rate_limited
from tests.fakes.router import FakeRouter
from tests.fakes.router_models import DOES_NOT_EXIST, DROPPED, SERVER_ERROR, RouterModel, RouterProvider
from tests.plugins.huggingface.conftest import MakeContext, provider
from tests.plugins.huggingface.speaking import said


def refused(kind: type[MoorageError], to: Provider, context: PluginContext) -> str:
    with pytest.raises(kind) as caught:
        said(to, context)
    text = f"{caught.value} {caught.value.hint}"
    assert "hf_" not in text
    assert type(caught.value) is kind
    return text


@pytest.mark.parametrize(
    ("token", "kind", "word"),
    [
        ("hf_unknown", AuthFailed, "does not accept"),
        ("hf_poor", CreditsGone, "settings/billing"),
        ("hf_may_not", AuthFailed, "Make calls to Inference Providers"),
    ],
)
def test_tokens_that_do_not_do(context: MakeContext, token: str, kind: type[MoorageError], word: str) -> None:
    assert word in refused(kind, provider(), context(token=token))


@pytest.mark.parametrize(
    ("model", "kind", "word"),
    [
        (RouterModel("acme/served", [RouterProvider("novita", status="error")]), Unsupported, "serves acme/served"),
        (RouterModel("acme/other"), None, ""),
        (RouterModel("acme/served", error=DROPPED), Unsupported, "no longer served"),
        (RouterModel("acme/served", error=DOES_NOT_EXIST), NotFound, "acme/served"),
        (RouterModel("acme/served", error=SERVER_ERROR), Unreachable, "another inference provider"),
        (RouterModel("acme/served", error=(422, "Failed to deserialize the JSON")), Unsupported, "deserialize"),
        (RouterModel("acme/served", error=(502, "<html>Bad gateway</html>")), Unreachable, "502"),
    ],
)
def test_models_that_do_not_answer(
    context: MakeContext, router: FakeRouter, model: RouterModel, kind: type[MoorageError] | None, word: str
) -> None:
    router.add(model)
    if kind is None:
        assert said(provider(), context(token="hf_good")).finish == ["stop"]
    else:
        assert word in refused(kind, provider(), context(token="hf_good"))


def test_a_model_that_nobody_serves(context: MakeContext) -> None:
    text = refused(Unsupported, provider("acme/unknown"), context(token="hf_good"))
    assert "serves acme/unknown" in text
    assert "install it locally" in text
    assert "serves" in refused(Unsupported, provider(routing="groq"), context(token="hf_good"))


def test_a_router_that_asks_to_wait(context: MakeContext, router: FakeRouter) -> None:
    router.faults.append(rate_limited(retry_after=12))
    with pytest.raises(RateLimited) as caught:
        said(provider(), context(token="hf_good"))
    assert caught.value.retry_after == 12


def test_a_page_instead_of_an_answer(context: MakeContext, router: FakeRouter) -> None:
    router.faults.append(captive_portal())
    assert "web page" in refused(BadAnswer, provider(), context(token="hf_good"))
    router.script(b"not json", content_type="application/json")
    assert "address" in refused(BadAnswer, provider(), context(token="hf_good"))


def test_the_old_host_is_named(context: MakeContext, endpoint: FakeRouter) -> None:
    body = {"error": "https://api-inference.huggingface.co/ is no longer supported. Please use the router"}
    endpoint.faults.append(Fault(status=410, body=body))
    assert "router" in refused(InvalidConfig, provider("m", endpoint=endpoint.url), context())


def test_an_endpoint_asleep(context: MakeContext, endpoint: FakeRouter) -> None:
    endpoint.sleeping = 1
    to = provider("tgi", endpoint=endpoint.url)
    assert "asleep" in refused(Unreachable, to, context())
    assert said(to, context()).finish == ["stop"]


def test_nobody_there(context: MakeContext, nowhere: str) -> None:
    refused(Unreachable, provider("m", endpoint=nowhere), context())


@pytest.mark.parametrize(
    ("error", "kind", "word"),
    [
        ({"message": "boom"}, BadAnswer, "broke off its answer: boom"),
        ("boom", BadAnswer, "broke off its answer: boom"),
        ({"message": "boom", "code": 502}, Unreachable, "502"),
        ({"message": "boom", "type": "server_error", "code": None}, Unreachable, "boom"),
        ({"message": "boom", "type": "invalid_request_error"}, Unsupported, "boom"),
        ({"message": "boom", "code": "rate_limit_exceeded"}, RateLimited, "slow down"),
        ({"message": "boom", "code": "insufficient_quota"}, CreditsGone, "settings/billing"),
    ],
)
def test_kinds_of_errors_after_200(
    context: MakeContext, router: FakeRouter, error: Any, kind: type[MoorageError], word: str
) -> None:
    router.script(b"data: " + json.dumps({"error": error}).encode() + b"\n\n")
    assert word in refused(kind, provider(), context(token="hf_good"))
