"""Who serves a model at which price: the Hub's mapping joined with the router's list."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from moorage import ModelDetail, ModelRef, ServedBy
from moorage_huggingface.plugin import HuggingFacePlugin
from tests.fakes.faults import Fault, captive_portal, rate_limited
from tests.fakes.hub import FakeHub
from tests.fakes.repo import Repo
from tests.fakes.router import FakeRouter
from tests.fakes.router_models import RouterModel, RouterProvider
from tests.plugins.huggingface.conftest import Clock, MakeContext

PLAIN = (ServedBy(provider="groq", status="staging"), ServedBy(provider="novita", status="live"))
PRICED = (
    ServedBy(provider="groq", status="staging"),
    ServedBy(provider="novita", status="live", context_length=4096, input_price=0.5, output_price=1.5, tools=True),
)


@pytest.fixture
def router(router: FakeRouter) -> FakeRouter:
    offer = RouterProvider("novita", context_length=4096, pricing={"input": 0.5, "output": 1.5}, supports_tools=True)
    router.add(RouterModel("acme/served", [offer]))
    return router


def describe(plugin: HuggingFacePlugin, context: MakeContext, id: str = "acme/served", **settings: Any) -> ModelDetail:
    return plugin.describe_model(ModelRef(source="huggingface", id=id), context(**settings))


def asked(router: FakeRouter) -> list[str]:
    return [seen.path for seen in router.requests]


def test_the_list_is_read_once_in_five_minutes(
    plugin: HuggingFacePlugin, context: MakeContext, hub: FakeHub, router: FakeRouter, clock: Clock
) -> None:
    hub.add(Repo("acme/also", providers={"novita": {}}))
    assert describe(plugin, context).served_by == PRICED
    assert describe(plugin, context, "acme/also").served_by == (ServedBy(provider="novita", status="live"),)
    clock.now += 299
    assert describe(plugin, context).served_by == PRICED
    assert asked(router) == ["/v1/models"]
    clock.now += 2
    router.add(RouterModel("acme/served", [RouterProvider("novita", pricing={"input": 9.0, "output": 9.0})]))
    assert describe(plugin, context).served_by[1].input_price == 9.0
    assert asked(router) == ["/v1/models"] * 2


def test_nobody_is_asked_about_what_nobody_serves(
    plugin: HuggingFacePlugin, context: MakeContext, router: FakeRouter
) -> None:
    detail = describe(plugin, context, "acme/tiny-GGUF")
    assert (detail.served_by, detail.partial, asked(router)) == ((), False, [])


def test_what_the_list_knows_beyond_the_mapping(
    plugin: HuggingFacePlugin, context: MakeContext, router: FakeRouter
) -> None:
    """The router may be ahead of the Hub; where its list is there already, that costs nothing."""
    router.add(RouterModel("acme/tiny-GGUF", [RouterProvider("novita")]))
    describe(plugin, context)
    assert [each.provider for each in describe(plugin, context, "acme/tiny-GGUF").served_by] == ["novita"]
    assert asked(router) == ["/v1/models"]


def test_those_who_come_at_once_read_it_once(
    plugin: HuggingFacePlugin, context: MakeContext, router: FakeRouter
) -> None:
    router.faults.append(Fault("/v1/models", delay=0.2))
    found: list[tuple[ServedBy, ...]] = []
    here = [context() for _ in range(4)]
    ref = ModelRef(source="huggingface", id="acme/served")
    threads = [threading.Thread(target=lambda c=c: found.append(plugin.describe_model(ref, c).served_by)) for c in here]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [PRICED] * 4
    assert asked(router) == ["/v1/models"]


@pytest.mark.parametrize("status", [404, 405, 501])
def test_a_router_without_a_list_is_asked_by_name(
    plugin: HuggingFacePlugin, context: MakeContext, router: FakeRouter, status: int
) -> None:
    router.faults.append(Fault("/v1/models", status=status, times=None))
    assert describe(plugin, context).served_by == PRICED
    assert describe(plugin, context).served_by == PRICED
    assert asked(router) == ["/v1/models", *["/v1/models/acme/served"] * 2]
    router.models.clear()
    detail = describe(plugin, context)
    assert (detail.served_by, detail.partial) == (PLAIN, False)  # it does not know the model: that is an answer


@pytest.mark.parametrize("body", ["<html>", {"data": None}, 5])
def test_a_list_that_cannot_be_read_is_asked_by_name(
    plugin: HuggingFacePlugin, context: MakeContext, router: FakeRouter, body: Any
) -> None:
    router.faults.append(Fault("/v1/models", status=200, body=body if not isinstance(body, int) else b"5"))
    detail = describe(plugin, context)
    assert (detail.served_by, detail.partial) == (PRICED, False)
    assert describe(plugin, context).served_by == PRICED
    assert asked(router) == ["/v1/models", "/v1/models/acme/served", "/v1/models"]


@pytest.mark.parametrize(
    ("fault", "word"),
    [
        (Fault(status=500, body={"error": "out of order"}), "out of order"),
        (Fault(status=502, body="<html>Bad gateway"), "502"),
        (Fault(status=401, body={"error": "Invalid username or password."}), "does not accept"),
        (Fault(status=403, body={"error": "Not for you."}), "Not for you"),
        (rate_limited(retry_after=30), "30 s"),
        (Fault(reset_after=0), "cut"),
        (captive_portal(), "could not be"),
        (Fault(status=200, body={"id": 3}), "could not be read"),
    ],
)
def test_a_router_that_fails_makes_a_partial_detail(
    plugin: HuggingFacePlugin, context: MakeContext, router: FakeRouter, clock: Clock, fault: Fault, word: str
) -> None:
    """Never taken for "nobody says a price": the detail says what is missing, and later it is there."""
    broken = Fault(**{**vars(fault), "times": None, "used": 0})
    router.faults.append(broken)
    detail = describe(plugin, context, token="hf_good")
    assert (detail.served_by, detail.partial, detail.gate.state) == (PLAIN, True, "open")
    assert "inference providers" in (detail.notice or "")
    assert word in (detail.notice or "")
    router.faults.clear()
    clock.now += 31
    whole = describe(plugin, context, token="hf_good")
    assert (whole.served_by, whole.partial, whole.notice) == (PRICED, False, None)


def test_a_router_that_fails_is_left_alone_for_a_moment(
    plugin: HuggingFacePlugin, context: MakeContext, router: FakeRouter, clock: Clock
) -> None:
    router.faults.append(Fault(status=500, times=None))
    for _ in range(3):
        detail = describe(plugin, context)
        assert detail.partial
        assert "500" in (detail.notice or "")
    assert len(router.requests) == 1
    clock.now += 16
    router.faults.clear()
    assert describe(plugin, context).served_by == PRICED


def test_a_router_that_is_silent_costs_seconds_once(
    plugin: HuggingFacePlugin, context: MakeContext, router: FakeRouter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("moorage_huggingface.served.ANSWER_SECONDS", 0.1)
    router.faults.append(Fault(delay=5, times=None))
    assert all(describe(plugin, context).partial for _ in range(3))
    assert len(router.requests) == 1


def test_another_router_is_another_list(
    plugin: HuggingFacePlugin, context: MakeContext, router: FakeRouter, nowhere: str
) -> None:
    assert describe(plugin, context).served_by == PRICED
    elsewhere = describe(plugin, context, router_endpoint=nowhere)
    assert (elsewhere.served_by, elsewhere.partial) == (PLAIN, True)


def test_the_list_is_for_everyone(plugin: HuggingFacePlugin, context: MakeContext, router: FakeRouter) -> None:
    """A token that the router does not accept need not hide it."""
    router.faults.append(Fault("/v1/models", status=401, body={"error": "Invalid username or password."}))
    detail = describe(plugin, context, token="hf_good")
    assert (detail.served_by, detail.partial) == (PRICED, False)
    assert [seen.headers.get("authorization") for seen in router.requests] == ["Bearer hf_good", None]
