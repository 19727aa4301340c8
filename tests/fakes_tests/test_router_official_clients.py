"""The fake router is believable where the official clients, unchanged, are content with it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from huggingface_hub import InferenceClient
from huggingface_hub.errors import HfHubHTTPError

from tests.fakes.repo import Token
from tests.fakes.router import FakeRouter
from tests.fakes.router_models import DROPPED, LIST_ERROR, Manner, RouterModel, RouterProvider

MODEL = "acme/chat"
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


@pytest.fixture
def router() -> Iterator[FakeRouter]:
    with FakeRouter() as started:
        started.tokens = {
            "hf_good": Token("ada"),
            "hf_poor": Token("bob", credits=False),
            "hf_reader": Token("cy", may_infer=False),
        }
        started.add(
            RouterModel(
                MODEL,
                [
                    RouterProvider(
                        "novita", pricing={"input": 1.0, "output": 9.0}, throughput=20.0, model_id="acme-chat-8b"
                    ),
                    RouterProvider(
                        "together", pricing={"input": 2.0, "output": 3.0}, throughput=90.0, context_length=8192
                    ),
                    RouterProvider("groq", status="error", throughput=999.0),
                    RouterProvider("featherless-ai"),
                ],
            )
        )
        yield started


def client(router: FakeRouter, key: str = "hf_good") -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{router.url}/v1", api_key=key, max_retries=0)


def say(text: str) -> list[Any]:
    return [{"role": "user", "content": text}]


def test_models_say_only_what_is_known(router: FakeRouter) -> None:
    with client(router) as openai_client:
        [model] = openai_client.models.list().data
        assert model.id == MODEL
        assert openai_client.models.retrieve(MODEL).owned_by == "acme"
        with pytest.raises(openai.NotFoundError):
            openai_client.models.retrieve("acme/none")
    entries = {entry["provider"]: entry for entry in model.model_extra["providers"]}  # type: ignore[index]
    assert entries["featherless-ai"] == {"provider": "featherless-ai", "status": "live", "is_model_author": False}
    assert entries["together"]["context_length"] == 8192


def test_an_answer_repeats_what_reached_the_model(router: FakeRouter) -> None:
    with client(router) as openai_client:
        answer = openai_client.chat.completions.create(model=MODEL, messages=say("ahoy there"))
        assert answer.choices[0].message.content == "Message 1 had 2 words: ahoy there"
        assert answer.usage is not None
        assert answer.usage.total_tokens == 9
        short = openai_client.chat.completions.create(model=MODEL, messages=say("ahoy there"), max_tokens=2)
        assert (short.choices[0].message.content, short.choices[0].finish_reason) == ("Message 1", "length")


@pytest.mark.parametrize(
    ("suffix", "provider"),
    [
        ("", "together"),
        (":fastest", "together"),
        (":cheapest", "together"),
        (":preferred", "novita"),
        (":novita", "novita"),
    ],
)
def test_the_suffix_chooses_the_provider(router: FakeRouter, suffix: str, provider: str) -> None:
    with client(router) as openai_client:
        raw = openai_client.chat.completions.with_raw_response.create(model=MODEL + suffix, messages=say("hi"))
        assert raw.headers["x-inference-provider"] == provider
        assert raw.parse().model == (MODEL if provider == "together" else "acme-chat-8b")


@pytest.mark.parametrize("suffix", [":groq", ":cohere", "-none"])
def test_a_model_that_nobody_serves(router: FakeRouter, suffix: str) -> None:
    with client(router) as openai_client, pytest.raises(openai.BadRequestError) as caught:
        openai_client.chat.completions.create(model=MODEL + suffix, messages=say("hi"))
    assert caught.value.code == "model_not_supported"


@pytest.mark.parametrize("style", ["novita", "deepseek", "groq"])
def test_streams_bring_thoughts_text_and_usage(router: FakeRouter, style: Any) -> None:
    router.add(RouterModel("acme/thinker", style=style, reasoning="reasoning"))
    text = thoughts = ""
    usage = []
    with client(router) as openai_client:
        for chunk in openai_client.chat.completions.create(
            model="acme/thinker", messages=say("héllo 🌊 sea"), stream=True, stream_options={"include_usage": True}
        ):
            if chunk.usage:
                usage.append(chunk.usage.total_tokens)
            for choice in chunk.choices:
                text += choice.delta.content or ""
                thoughts += getattr(choice.delta, "reasoning", None) or ""
    assert text == "Message 1 had 3 words: héllo 🌊 sea"
    assert thoughts == "The user wrote 3 words."
    assert usage == [16]


def stream_calls(openai_client: openai.OpenAI, model: str, messages: list[Any]) -> tuple[list[dict[str, Any]], int]:
    """The tool calls put together from their deltas, and how many deltas carried arguments."""
    calls: dict[int, dict[str, Any]] = {}
    pieces = 0
    for chunk in openai_client.chat.completions.create(model=model, messages=messages, tools=[WEATHER], stream=True):  # type: ignore[list-item]
        for part in chunk.choices[0].delta.tool_calls or [] if chunk.choices else []:
            assert part.function is not None
            call = calls.setdefault(
                part.index,
                {"id": part.id, "type": "function", "function": {"name": part.function.name, "arguments": ""}},
            )
            call["function"]["arguments"] += part.function.arguments or ""
            pieces += bool(part.function.arguments)
    return list(calls.values()), pieces


@pytest.mark.parametrize(("style", "whole"), [("deepseek", False), ("novita", False), ("groq", True)])
def test_tools_are_called_and_their_results_told(router: FakeRouter, style: Any, whole: bool) -> None:
    router.add(RouterModel("acme/tools", style=style))
    messages = say("get the weather in Oslo")
    with client(router) as openai_client:
        [call], pieces = stream_calls(openai_client, "acme/tools", messages)
        assert call["function"]["name"] == "get_weather"
        assert json.loads(call["function"]["arguments"]) == {"city": "Oslo"}
        assert (pieces == 1) is whole
        messages += [
            {"role": "assistant", "tool_calls": [call]},
            {"role": "tool", "tool_call_id": call["id"], "content": "rain, 7 degrees"},
        ]
        answer = openai_client.chat.completions.create(model="acme/tools", messages=messages, tools=[WEATHER])  # type: ignore[list-item]
        assert answer.choices[0].message.content == "The tool said: rain, 7 degrees"
        without = openai_client.chat.completions.create(model="acme/tools", messages=say("hello"), tools=[WEATHER])  # type: ignore[list-item]
        assert without.choices[0].finish_reason == "stop"


def test_a_model_may_never_stop_calling_and_calls_need_results(router: FakeRouter) -> None:
    router.add(RouterModel("acme/eager", calls_tools=True, tool_rounds=None))
    messages = say("hello")
    with client(router) as openai_client:
        for _ in range(3):
            answer = openai_client.chat.completions.create(model="acme/eager", messages=messages, tools=[WEATHER])  # type: ignore[list-item]
            [call] = answer.choices[0].message.tool_calls or []
            messages.append(answer.choices[0].message)
            with pytest.raises(openai.BadRequestError, match="have no response"):
                openai_client.chat.completions.create(model="acme/eager", messages=[*messages, *say("go on")])
            messages.append({"role": "tool", "tool_call_id": call.id, "content": "ok"})


@pytest.mark.parametrize(
    ("key", "status", "words"),
    [
        ("hf_unknown", 401, "Invalid username or password."),
        ("hf_poor", 402, "depleted your monthly included credits"),
        ("hf_reader", 403, "sufficient permissions"),
    ],
)
def test_tokens(router: FakeRouter, key: str, status: int, words: str) -> None:
    with client(router, key) as openai_client, pytest.raises(openai.APIStatusError) as caught:
        openai_client.chat.completions.create(model=MODEL, messages=say("hi"))
    assert caught.value.status_code == status
    assert words in caught.value.response.json()["error"]  # a string, which this client does not show


def test_other_errors(router: FakeRouter) -> None:
    router.add(RouterModel("acme/dropped", error=DROPPED), RouterModel("acme/list", error=LIST_ERROR))
    router.add(RouterModel("acme/after", calls_tools=True, fails_after_tool=True))
    with client(router) as openai_client:
        for model, status in (("acme/dropped", 410), ("acme/list", 400)):
            with pytest.raises(openai.APIStatusError) as caught:
                openai_client.chat.completions.create(model=model, messages=say("hi"))
            assert caught.value.status_code == status
        with pytest.raises(openai.UnprocessableEntityError) as refused:
            openai_client.chat.completions.create(model=MODEL, messages="hi")  # type: ignore[arg-type]  # wrong on purpose
        assert refused.value.response.headers["content-type"].startswith("text/plain")
        messages = say("hi")
        [call], _ = stream_calls(openai_client, "acme/after", messages)
        messages += [
            {"role": "assistant", "tool_calls": [call]},
            {"role": "tool", "tool_call_id": call["id"], "content": "ok"},
        ]
        with pytest.raises(openai.InternalServerError):
            openai_client.chat.completions.create(model="acme/after", messages=messages)


def test_a_stream_may_end_in_an_error_after_200(router: FakeRouter) -> None:
    router.manner = Manner(end="error", end_after=4)
    with client(router) as openai_client, pytest.raises(openai.APIError, match="Tool call validation failed"):
        list(openai_client.chat.completions.create(model=MODEL, messages=say("hi there you"), stream=True))


def test_unkind_framing_changes_nothing(router: FakeRouter) -> None:
    router.manner = Manner(crlf=True, split_every=1, comment_every=2)
    with client(router) as openai_client:
        chunks = openai_client.chat.completions.create(model=MODEL, messages=say("naïve 🌊"), stream=True)
        text = "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)
    assert text == "Message 1 had 2 words: naïve 🌊"


def test_the_inference_client_chats(router: FakeRouter) -> None:
    with InferenceClient(base_url=f"{router.url}/v1", api_key="hf_good") as inference:
        whole = inference.chat_completion(say("one two"), model=MODEL)
        assert whole.choices[0].message.content == "Message 1 had 2 words: one two"
        chunks = inference.chat_completion(say("one two"), model=MODEL, stream=True)
        text = "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)
        assert text == "Message 1 had 2 words: one two"


def test_as_an_inference_endpoint(router: FakeRouter) -> None:
    with FakeRouter(endpoint=True) as endpoint, InferenceClient(base_url=f"{endpoint.url}/v1") as inference:
        endpoint.add(RouterModel("tgi"))
        endpoint.sleeping = 1
        with pytest.raises(HfHubHTTPError) as caught:
            inference.chat_completion(say("hi"), model="tgi")
        assert caught.value.response.json()["error_type"] == "overloaded"
        assert inference.chat_completion(say("hi"), model="tgi").choices[0].message.content
