"""`complete` against a router and an Inference Endpoint on loopback."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from moorage import (
    AuthFailed,
    Cancelled,
    ChatMessage,
    CompletionEvent,
    RateLimited,
    TextDelta,
    Tool,
    ToolCall,
    Unreachable,
    Unsupported,
)
from moorage.http import CallScope
from moorage_huggingface.config import Options
from moorage_huggingface.plugin import HuggingFacePlugin
from tests.fakes.router import FakeRouter
from tests.fakes.router_models import Manner, RouterModel
from tests.plugins.huggingface.conftest import MakeContext, provider
from tests.plugins.huggingface.recordings import label, named, read
from tests.plugins.huggingface.speaking import ENDLESS, FAILING, key_sent, replay, request, said, sent

DICE = Tool(
    name="roll_dice",
    description="Roll dice.",
    parameters={"type": "object", "properties": {"sides": {"type": "integer"}}, "required": ["sides"]},
    run=lambda arguments: "4",
)


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
    stream = HuggingFacePlugin().complete(request(provider()), context(token="hf_good"))
    assert isinstance(next(stream), TextDelta)
    with pytest.raises(Unsupported, match="Tool call validation failed"):
        list(stream)


def test_closing_leaves_the_router_at_once(context: MakeContext, router: FakeRouter) -> None:
    router.manner = Manner(endless=True)
    stream = HuggingFacePlugin().complete(request(provider()), context(token="hf_good"))
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
    HuggingFacePlugin().list_models(to, context(token="hf_good"))
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


def test_reading_keeps_up_with_a_fast_service(context: MakeContext, router: FakeRouter) -> None:
    """A tenth of what a quiet machine does, and still more than any service sends."""
    words = 20_000
    router.add(RouterModel("acme/served", words=words))
    here = context(token="hf_good")
    list(HuggingFacePlugin().complete(request(provider()), here))  # the server makes its bytes once
    started = time.perf_counter()
    events: list[CompletionEvent] = list(HuggingFacePlugin().complete(request(provider()), here))
    seconds = time.perf_counter() - started
    assert sum(isinstance(event, TextDelta) for event in events) == words
    assert words / seconds > 30_000
