"""`complete` and `list_models` against a router and an Inference Endpoint on loopback."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from moorage import (
    AuthFailed,
    BadAnswer,
    Cancelled,
    ChatMessage,
    CompletionEvent,
    CompletionRequest,
    CreditsGone,
    InvalidConfig,
    MoorageError,
    NotFound,
    PluginContext,
    Provider,
    ProviderModel,
    RateLimited,
    TextDelta,
    Tool,
    ToolCall,
    Unreachable,
    Unsupported,
)
from moorage.http import CallScope
from moorage_huggingface.config import Options
from moorage_huggingface.plugin import complete, list_models
from tests.fakes.faults import Fault, captive_portal, rate_limited
from tests.fakes.router import FakeRouter
from tests.fakes.router_models import DOES_NOT_EXIST, DROPPED, SERVER_ERROR, Manner, RouterModel, RouterProvider
from tests.plugins.huggingface.conftest import MakeContext, provider
from tests.plugins.huggingface.recordings import label, named, read
from tests.plugins.huggingface.test_recorded_streams import ENDLESS, FAILING, Heard, replay

DICE = Tool(
    name="roll_dice",
    description="Roll dice.",
    parameters={"type": "object", "properties": {"sides": {"type": "integer"}}, "required": ["sides"]},
    run=lambda arguments: "4",
)


def request(to: Provider, text: str = "hello there", **more: Any) -> CompletionRequest:
    messages = more.pop("messages", (ChatMessage(role="user", content=text),))
    return CompletionRequest(provider=to, model=more.pop("model", to.model), messages=messages, **more)


def said(to: Provider, context: PluginContext, text: str = "hello there", **more: Any) -> Heard:
    return Heard.of(complete(request(to, text, **more), context))


def sent(router: FakeRouter) -> dict[str, Any]:
    body: dict[str, Any] = router.seen("POST", "/v1/chat/completions")[-1].json
    return body


def key_sent(router: FakeRouter) -> str | None:
    return router.seen("POST", "/v1/chat/completions")[-1].headers.get("authorization")


@pytest.fixture
def endpoint() -> Iterator[FakeRouter]:
    """An Inference Endpoint of one's own: another origin than the router."""
    with FakeRouter(endpoint=True) as started:
        started.add(RouterModel("acme/mine"))
        yield started


# Answers


def test_an_answer_streams_in(context: MakeContext, router: FakeRouter) -> None:
    whole = said(provider(), context(token="hf_good"))
    assert whole.text == "Message 1 had 2 words: hello there"
    assert whole.finish == ["stop"]
    assert len(whole.usage) == 1
    assert whole.usage[0].input_tokens == 2
    assert sent(router) == {
        "model": "acme/served",
        "messages": [{"role": "user", "content": "hello there"}],
        "stream": True,
        "stream_options": {"include_usage": True},
    }


@pytest.mark.parametrize("style", ["novita", "deepseek", "groq"])
@pytest.mark.parametrize("reasoning", ["reasoning", "reasoning_content", "think"])
def test_thoughts_and_a_tool_call(context: MakeContext, router: FakeRouter, style: Any, reasoning: Any) -> None:
    router.add(RouterModel("acme/served", style=style, reasoning=reasoning))
    to, here = provider(), context(token="hf_good")
    asked = said(to, here, "roll dice with 6 sides", tools=(DICE,))
    assert asked.reasoning.strip() == "The user wrote 5 words."
    ((id, name, arguments),) = asked.calls.values()
    assert (name, json.loads(arguments), asked.finish) == ("roll_dice", {"sides": 6}, ["tool_calls"])
    messages = (
        ChatMessage(role="user", content="roll dice with 6 sides"),
        ChatMessage(role="assistant", tool_calls=(ToolCall(id=id, name=name, arguments=arguments),)),
        ChatMessage(role="tool", content="4", tool_call_id=id, name=name),
    )
    answer = said(to, here, messages=messages, tools=(DICE,))
    assert answer.text == "The tool said: 4"
    assert sent(router)["tools"][0]["function"]["name"] == "roll_dice"


@pytest.mark.parametrize(
    "manner",
    [
        Manner(crlf=True),
        Manner(split_every=1),
        Manner(comment_every=1, split_every=3),
        Manner(end="eof"),
        Manner(end="cut"),
    ],
)
def test_odd_streams_are_whole(context: MakeContext, router: FakeRouter, manner: Manner) -> None:
    router.manner = manner
    whole = said(provider(), context(token="hf_good"), "grüße 🙂")
    assert whole.text == "Message 1 had 2 words: grüße 🙂"
    assert whole.finish == ["stop"]
    assert len(whole.usage) == 1


def test_a_stream_without_its_end_has_no_finish(context: MakeContext, router: FakeRouter) -> None:
    router.manner = Manner(end="eof", end_after=2)
    assert said(provider(), context(token="hf_good")).finish == []
    router.manner = Manner(end="cut", end_after=2)
    with pytest.raises(Unreachable):
        said(provider(), context(token="hf_good"))


def test_an_error_after_200_says_what_the_service_said(context: MakeContext, router: FakeRouter) -> None:
    router.manner = Manner(end="error", end_after=2)
    stream = complete(request(provider()), context(token="hf_good"))
    assert isinstance(next(stream), TextDelta)
    with pytest.raises(Unsupported, match="Tool call validation failed"):
        list(stream)


def test_closing_leaves_the_router_at_once(context: MakeContext, router: FakeRouter) -> None:
    router.manner = Manner(endless=True)
    stream = complete(request(provider()), context(token="hf_good"))
    assert isinstance(next(stream), TextDelta)
    stream.close()  # type: ignore[attr-defined]
    wait_until_left(router)


def test_a_stop_reaches_a_router_that_says_nothing(context: MakeContext, router: FakeRouter, scope: CallScope) -> None:
    router.manner = Manner(first_delay=60)
    timer = threading.Timer(0.2, scope.cancel)
    timer.start()
    started = time.monotonic()
    with pytest.raises(Cancelled):
        said(provider(), context(token="hf_good"))
    assert time.monotonic() - started < 3
    timer.join()
    wait_until_left(router)


def wait_until_left(router: FakeRouter) -> None:
    until = time.monotonic() + 3
    while router.seen("POST", "/v1/chat/completions")[0].closed_at is None:
        assert time.monotonic() < until, "the router still believes that somebody listens"
        time.sleep(0.01)


def replays() -> list[Path]:
    return named("router/**/*.sse") + named("upstream/*.sse")


@pytest.mark.parametrize("path", replays(), ids=label)
def test_recorded_streams_over_the_wire(context: MakeContext, router: FakeRouter, path: Path) -> None:
    data = path.read_bytes()
    router.script([data[at : at + 500] for at in range(0, len(data), 500)])
    if label(path) in FAILING:
        with pytest.raises(Unsupported, match="did not match schema"):
            said(provider(), context(token="hf_good"))
        return
    whole = said(provider(), context(token="hf_good"))
    assert whole == replay(data)
    assert bool(whole.finish) is (label(path) not in ENDLESS)


def test_one_whole_answer_where_a_stream_was_asked_for(context: MakeContext, router: FakeRouter) -> None:
    body = read("router/chat_nostream_together.json")["response"]["body_json"]
    router.script(json.dumps(body, indent=1).encode(), content_type="application/json; charset=utf-8")
    whole = said(provider(), context(token="hf_good"))
    assert whole.text == body["choices"][0]["message"]["content"]
    assert whole.finish == [body["choices"][0]["finish_reason"]]
    router.script(b'{"error": {"message": "no", "code": 429}}', content_type="application/json")
    with pytest.raises(RateLimited):
        said(provider(), context(token="hf_good"))


# What is sent


@pytest.mark.parametrize(
    ("routing", "model", "asked"),
    [
        (None, "acme/served", "acme/served"),
        ("cheapest", "acme/served", "acme/served:cheapest"),
        ("novita", "acme/served", "acme/served:novita"),
        ("cheapest", "acme/served:fastest", "acme/served:fastest"),
    ],
)
def test_routing_is_a_suffix(
    context: MakeContext, router: FakeRouter, routing: str | None, model: str, asked: str
) -> None:
    said(provider(routing=routing), context(token="hf_good"), model=model)
    assert sent(router)["model"] == asked


def test_options_are_sent_and_the_cap_of_the_call_wins(context: MakeContext, router: FakeRouter) -> None:
    options = Options(temperature=0.5, top_p=0.9, max_tokens=100, seed=7, stop=["END"], reasoning_effort="low")
    said(provider(), context(token="hf_good"), options=options)
    body = sent(router)
    assert {"temperature": 0.5, "top_p": 0.9, "max_tokens": 100, "seed": 7}.items() <= body.items()
    assert (body["stop"], body["reasoning_effort"]) == (["END"], "low")
    assert said(provider(), context(token="hf_good"), options=options, max_tokens=3).finish == ["length"]
    assert sent(router)["max_tokens"] == 3


@pytest.mark.parametrize("suffix", ["", "/", "/v1", "/v1/"])
def test_the_router_is_found_with_and_without_v1(context: MakeContext, router: FakeRouter, suffix: str) -> None:
    assert said(provider(), context(token="hf_good", router_endpoint=router.url + suffix)).finish == ["stop"]


# Keys


def test_a_providers_own_key_comes_first(context: MakeContext, router: FakeRouter) -> None:
    said(provider(api_key="hf_own"), context(token="hf_good"))
    assert key_sent(router) == "Bearer hf_own"
    said(provider(), context(token="hf_good"))
    assert key_sent(router) == "Bearer hf_good"
    said(provider(endpoint=f"{router.url}/v1"), context(token="hf_good"))
    assert key_sent(router) == "Bearer hf_good"


def test_the_saved_token_goes_to_no_other_host(context: MakeContext, router: FakeRouter, endpoint: FakeRouter) -> None:
    to = provider("tgi", endpoint=endpoint.url)
    assert said(to, context(token="hf_good")).finish == ["stop"]
    list_models(to, context(token="hf_good"))
    assert all("authorization" not in seen.headers for seen in endpoint.requests)
    assert sent(endpoint)["model"] == "tgi"
    assert router.requests == []
    said(provider("tgi", endpoint=endpoint.url, api_key="hf_own"), context(token="hf_good"))
    assert key_sent(endpoint) == "Bearer hf_own"


def test_routing_is_not_for_endpoints_of_ones_own(context: MakeContext, endpoint: FakeRouter) -> None:
    said(provider("tgi", endpoint=endpoint.url, routing="cheapest"), context())
    assert sent(endpoint)["model"] == "tgi"


def test_without_a_key_nothing_is_sent(context: MakeContext, router: FakeRouter) -> None:
    with pytest.raises(AuthFailed) as caught:
        said(provider(), context())
    for word in ("Plugins page", "HF_TOKEN", "Make calls to Inference Providers"):
        assert word in (caught.value.hint or "")
    assert router.requests == []


# Refusals


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


# Lists


def test_what_the_router_serves(context: MakeContext, router: FakeRouter) -> None:
    router.add(
        RouterModel("acme/seeing", [RouterProvider("novita", context_length=9)], input_modalities=("text", "image"))
    )
    served = list_models(provider(), context(token="hf_good"))
    assert served == [
        ProviderModel(name="acme/served", capabilities=("completion", "tools")),
        ProviderModel(name="acme/seeing", context_length=9, capabilities=("completion", "vision")),
    ]
    assert list_models(provider(), context()) == served  # the list is for everyone


def test_a_bad_token_does_not_hide_the_list(context: MakeContext, router: FakeRouter) -> None:
    router.faults.append(Fault("/v1/models", status=401, body={"error": "Invalid username or password."}))
    assert len(list_models(provider(), context(token="hf_unknown"))) == 1
    router.models_need_token = True
    with pytest.raises(AuthFailed):
        list_models(provider(), context(token="hf_unknown"))


def test_what_an_endpoint_serves(context: MakeContext, endpoint: FakeRouter) -> None:
    to = provider("tgi", endpoint=f"{endpoint.url}/v1")
    assert list_models(to, context()) == [ProviderModel(name="acme/mine")]
    endpoint.faults.append(Fault("/v1/models", status=404))
    assert list_models(to, context()) == [ProviderModel(name="tgi")]
    endpoint.faults.append(Fault("/v1/models", status=401))
    with pytest.raises(AuthFailed, match="needs a token"):
        list_models(to, context())
    endpoint.faults.append(Fault("/v1/models", status=200, body={"data": None}))
    with pytest.raises(BadAnswer):
        list_models(to, context())
    endpoint.faults.append(Fault("/v1/models", status=200, body={"data": [{"odd": 1}, {"id": "fine"}]}))
    assert list_models(to, context()) == [ProviderModel(name="fine")]


def test_reading_keeps_up_with_a_fast_service(context: MakeContext, router: FakeRouter) -> None:
    """The aim is 30,000 chunks a second; a shared, busy machine gets a third of it before this fails."""
    words = 20_000
    router.add(RouterModel("acme/served", words=words))
    here = context(token="hf_good")
    list(complete(request(provider()), here))  # the server makes its bytes once
    started = time.perf_counter()
    events: list[CompletionEvent] = list(complete(request(provider()), here))
    seconds = time.perf_counter() - started
    assert sum(isinstance(event, TextDelta) for event in events) == words
    assert words / seconds > 10_000
