"""The official client against `/v1`, over a real socket and unchanged."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from moorage import (
    CompletionEvent,
    CompletionRequest,
    Finish,
    PluginContext,
    RateLimited,
    ReasoningDelta,
    TextDelta,
    ToolCallDelta,
    Unreachable,
    Usage,
)
from tests.conftest import candidate
from tests.host.scripted import Scripted, words
from tests.site import Site, site
from tests.web.api.dock import Dock

ASK: list[Any] = [{"role": "user", "content": "Hello?"}]
TOOLS: list[Any] = [
    {
        "type": "function",
        "function": {
            "name": "tide_at",
            "description": "When the tide turns.",
            "parameters": {"type": "object", "properties": {"port": {"type": "string"}}},
        },
    }
]


@pytest.fixture
def plugin() -> Scripted:
    return Scripted()


@pytest.fixture
def dock() -> Dock:
    return Dock()


@pytest.fixture
def served(tmp_path: Path, plugin: Scripted, dock: Dock) -> Iterator[Site]:
    dock.installed.append("tug:Q8_0")
    with site(tmp_path, discover=lambda: [candidate("scripted", plugin), candidate("dock", dock)]) as running:
        provider = running.host.providers.create("Tide", "scripted", {"model": "acme/m"})
        running.host.providers.create("Pier", "dock", {})
        running.host.agents.create(
            {
                "name": "Harbour Master",
                "instructions": "Be brief.",
                "llm": {"provider": provider.id},
                "options": {"temperature": 0.5},
                "tools": ["current_time"],
            }
        )
        yield running


@pytest.fixture
def client(served: Site) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{served.url}/v1", api_key="anything", max_retries=0) as made:
        yield made


def test_models(client: openai.OpenAI) -> None:
    models = {model.id: model for model in client.models.list()}
    assert set(models) == {"agent/harbour-master", "tide/acme/m", "pier/tug:Q8_0"}
    assert models["agent/harbour-master"].owned_by == "agent"
    assert models["tide/acme/m"].created > 1_700_000_000
    assert client.models.retrieve("tide/acme/m") == models["tide/acme/m"]
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("nobody/m")


def test_models_of_a_target_that_hangs_are_left_out(client: openai.OpenAI, dock: Dock) -> None:
    dock.may_list.clear()
    try:
        began = time.monotonic()
        assert {model.id for model in client.models.list()} == {"agent/harbour-master", "tide/acme/m"}
        assert time.monotonic() - began < 6
    finally:
        dock.may_list.set()


def test_the_setting_for_the_context_length_is_passed_on(client: openai.OpenAI, served: Site, plugin: Scripted) -> None:
    served.host.preferences.save({"contextLength": 8192})
    client.chat.completions.create(model="tide/acme/m", messages=ASK)
    served.host.providers.test(id=served.host.providers.list().items[0].id)
    assert [request.context_length for request in plugin.requests] == [8192, 8192]


def test_a_provider_is_used_once_it_has_answered(client: openai.OpenAI, served: Site, plugin: Scripted) -> None:
    def fails(request: CompletionRequest, context: PluginContext) -> Iterator[CompletionEvent]:
        yield TextDelta("So")
        raise Unreachable("The line is dead.")

    def used() -> object:
        return next(view.last_used_at for view in served.host.providers.list().items if view.slug == "tide")

    plugin.answers = [fails, words("Yes.")]
    with pytest.raises(openai.InternalServerError):
        client.chat.completions.create(model="tide/acme/m", messages=ASK)
    assert used() is None
    client.chat.completions.create(model="tide/acme/m", messages=ASK)
    assert used() is not None


def test_whole_answer(client: openai.OpenAI, plugin: Scripted) -> None:
    made = client.chat.completions.create(model="tide/acme/m", messages=ASK, max_tokens=9, temperature=0.1)
    assert made.choices[0].message.content == "Hello there."
    assert made.choices[0].message.tool_calls is None
    assert made.choices[0].finish_reason == "stop"
    assert made.usage is not None
    assert (made.usage.prompt_tokens, made.usage.completion_tokens, made.usage.total_tokens) == (3, 2, 5)
    asked = plugin.requests[0]
    assert (asked.model, asked.max_tokens, asked.options.temperature) == ("acme/m", 9, 0.1)
    assert [(m.role, m.content) for m in asked.messages] == [("user", "Hello?")]


def test_streamed(client: openai.OpenAI) -> None:
    chunks = list(client.chat.completions.create(model="tide/acme/m", messages=ASK, stream=True))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "Hello there."
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert len({chunk.id for chunk in chunks}) == 1
    assert all(chunk.usage is None for chunk in chunks)


def test_usage_is_streamed_when_asked_for(client: openai.OpenAI) -> None:
    stream = client.chat.completions.create(
        model="tide/acme/m", messages=ASK, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.total_tokens == 5
    assert chunks[-2].choices[0].finish_reason == "stop"


def test_tools_are_passed_through(client: openai.OpenAI, plugin: Scripted) -> None:
    def answer(request: CompletionRequest, context: PluginContext) -> Iterator[CompletionEvent]:
        yield ToolCallDelta(0, "call-1", "tide_at", '{"po')
        yield ToolCallDelta(0, None, None, 'rt":"Kiel"}')
        yield ToolCallDelta(0, "call-2", "tide_at", "{}")  # one index for two calls, as some services have it
        yield Finish("tool_calls")

    plugin.answers = [answer]
    made = client.chat.completions.create(model="tide/acme/m", messages=ASK, tools=TOOLS)
    calls: Any = made.choices[0].message.tool_calls
    assert [(call.id, call.function.name, call.function.arguments) for call in calls] == [
        ("call-1", "tide_at", '{"port":"Kiel"}'),
        ("call-2", "tide_at", "{}"),
    ]
    assert made.choices[0].finish_reason == "tool_calls"
    assert made.choices[0].message.content is None
    assert plugin.requests[0].tools[0].parameters == TOOLS[0]["function"]["parameters"]

    joined: dict[int, str] = {}
    for chunk in client.chat.completions.create(model="tide/acme/m", messages=ASK, tools=TOOLS, stream=True):
        for call in chunk.choices[0].delta.tool_calls or ():
            joined[call.index] = joined.get(call.index, "") + (call.function.arguments or "")  # type: ignore[union-attr]
    assert joined == {0: '{"port":"Kiel"}', 1: "{}"}

    plugin.answers = [words("At six.")]
    told = [*ASK, made.choices[0].message.model_dump(), {"role": "tool", "tool_call_id": "call-1", "content": "18:00"}]
    told.append({"role": "tool", "tool_call_id": "call-2", "content": "?"})
    client.chat.completions.create(model="tide/acme/m", messages=told, tools=TOOLS)
    asked = plugin.requests[-1].messages
    assert [m.role for m in asked] == ["user", "assistant", "tool", "tool"]
    assert asked[1].tool_calls[0].arguments == '{"port":"Kiel"}'
    assert asked[2].tool_call_id == "call-1"

    client.chat.completions.create(model="tide/acme/m", messages=ASK, tools=TOOLS, tool_choice="none")
    assert plugin.requests[-1].tools == ()


def test_reasoning(client: openai.OpenAI, plugin: Scripted) -> None:
    def answer(request: CompletionRequest, context: PluginContext) -> Iterator[CompletionEvent]:
        yield ReasoningDelta("Hm.")
        yield TextDelta("Yes.")
        yield Finish("stop")

    plugin.answers = [answer]
    made = client.chat.completions.create(model="tide/acme/m", messages=ASK)
    assert made.choices[0].message.model_dump()["reasoning_content"] == "Hm."
    chunks = list(client.chat.completions.create(model="tide/acme/m", messages=ASK, stream=True))
    assert "Hm." in [chunk.choices[0].delta.model_dump().get("reasoning_content") for chunk in chunks]


def test_an_agent_runs_its_own_tools(client: openai.OpenAI, plugin: Scripted) -> None:
    def call(request: CompletionRequest, context: PluginContext) -> Iterator[CompletionEvent]:
        yield ToolCallDelta(0, "call-1", "current_time", "{}")
        yield Usage(4, 1)
        yield Finish("tool_calls")

    for stream in (False, True):
        plugin.answers = [call, words("It is", " late.")]
        plugin.requests.clear()
        made: Any = client.chat.completions.create(model="agent/harbour-master", messages=ASK, stream=stream)
        if stream:
            text = "".join(chunk.choices[0].delta.content or "" for chunk in made)
        else:
            text = made.choices[0].message.content
            assert made.usage.total_tokens == 4 + 1 + 3 + 2
        assert text == "It is late."
        first, second = plugin.requests
        assert [(m.role, m.content) for m in first.messages] == [("system", "Be brief."), ("user", "Hello?")]
        assert first.options.temperature == 0.5
        assert [m.role for m in second.messages] == ["system", "user", "assistant", "tool"]


def test_an_agent_with_the_callers_tools_hands_calls_back(client: openai.OpenAI, plugin: Scripted) -> None:
    client.chat.completions.create(model="agent/harbour-master", messages=ASK, tools=TOOLS)
    assert [tool.name for tool in plugin.requests[0].tools] == ["tide_at"]


def test_content_in_parts(client: openai.OpenAI, plugin: Scripted) -> None:
    parts: list[Any] = [
        {"role": "developer", "content": "Be kind."},
        {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
    ]
    client.chat.completions.create(model="tide/acme/m", messages=parts)
    assert [(m.role, m.content) for m in plugin.requests[0].messages] == [("system", "Be kind."), ("user", "a\nb")]


@pytest.mark.parametrize(
    ("extra", "param"),
    [
        ({"n": 2}, "n"),
        ({"logprobs": True}, "logprobs"),
        ({"presence_penalty": 0.5}, "presence_penalty"),
        ({"temperature": "hot"}, "temperature"),
        ({"tool_choice": "required", "tools": TOOLS}, "tool_choice"),
        ({"response_format": {"type": "json_object"}}, "response_format.type"),
        ({"extra_body": {"api_base": "http://evil"}}, "api_base"),
        ({"messages": []}, "messages"),
    ],
)
def test_what_cannot_be_honoured_is_refused_by_name(
    client: openai.OpenAI, plugin: Scripted, extra: dict[str, Any], param: str
) -> None:
    with pytest.raises(openai.BadRequestError) as raised:
        client.chat.completions.create(**{"model": "tide/acme/m", "messages": ASK, **extra})
    assert raised.value.param == param
    assert plugin.requests == []


def test_neutral_values_are_taken(client: openai.OpenAI) -> None:
    client.chat.completions.create(
        model="tide/acme/m", messages=ASK, presence_penalty=0, frequency_penalty=0, n=1, user="me", stop=None
    )


@pytest.mark.parametrize("model", ["agent/nobody", "nobody/m", "tide/", "tide", "m"])
def test_unknown_models(client: openai.OpenAI, model: str) -> None:
    with pytest.raises(openai.NotFoundError) as raised:
        client.chat.completions.create(model=model, messages=ASK)
    assert raised.value.code == "model_not_found"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", ["tide/acme/m", "agent/harbour-master"])
def test_errors_have_their_status(client: openai.OpenAI, plugin: Scripted, model: str, stream: bool) -> None:
    def answer(request: CompletionRequest, context: PluginContext) -> Iterator[CompletionEvent]:
        raise RateLimited("Too fast.", retry_after=7)
        yield TextDelta("")

    plugin.answers = [answer]
    with pytest.raises(openai.RateLimitError) as raised:
        client.chat.completions.create(model=model, messages=ASK, stream=stream)
    assert raised.value.response.headers["Retry-After"] == "7"


def test_an_error_in_the_middle_is_raised(client: openai.OpenAI, plugin: Scripted) -> None:
    def answer(request: CompletionRequest, context: PluginContext) -> Iterator[CompletionEvent]:
        yield TextDelta("So")
        raise Unreachable("The line is dead.")

    plugin.answers = [answer]
    with pytest.raises(openai.InternalServerError, match="The line is dead"):
        client.chat.completions.create(model="tide/acme/m", messages=ASK)
    chunks = client.chat.completions.create(model="tide/acme/m", messages=ASK, stream=True)
    seen = [next(chunks).choices[0].delta.content for _ in range(2)]
    assert seen == ["", "So"]
    with pytest.raises(openai.APIError, match="The line is dead"):
        list(chunks)


def test_a_cut_answer_is_an_error(client: openai.OpenAI, plugin: Scripted) -> None:
    plugin.answers = [lambda request, context: iter([TextDelta("half")])]
    with pytest.raises(openai.APIError, match="broke off"):
        list(client.chat.completions.create(model="tide/acme/m", messages=ASK, stream=True))
    with pytest.raises(openai.InternalServerError, match="broke off"):
        client.chat.completions.create(model="tide/acme/m", messages=ASK)


def test_a_client_that_leaves_stops_the_remote(client: openai.OpenAI, plugin: Scripted) -> None:
    def endless(request: CompletionRequest, context: PluginContext) -> Iterator[CompletionEvent]:
        while not context.cancelled():
            yield TextDelta("la ")
        yield Finish("stop")

    plugin.answers = [endless]
    stream = client.chat.completions.create(model="tide/acme/m", messages=ASK, stream=True)
    next(iter(stream))
    stream.close()
    assert plugin.closed.wait(3.0)


@pytest.mark.parametrize("model", ["tide/acme/m", "agent/harbour-master"])
def test_a_client_that_leaves_before_the_answer_stops_the_remote(served: Site, plugin: Scripted, model: str) -> None:
    begun = threading.Event()

    def silent(request: CompletionRequest, context: PluginContext) -> Iterator[CompletionEvent]:
        begun.set()
        while not context.cancelled():
            time.sleep(0.02)
        yield Finish("stop")

    plugin.answers = [silent]
    body = json.dumps({"model": model, "messages": ASK}).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:{served.port}\r\nContent-Type: application/json\r\n"
    with socket.create_connection(("127.0.0.1", served.port), 5) as sock:
        sock.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        assert begun.wait(3)
    assert plugin.closed.wait(4)


def test_the_official_client_with_a_token(tmp_path: Path) -> None:
    with site(tmp_path, discover=lambda: [candidate("scripted", Scripted())], password="open sesame") as running:
        running.host.providers.create("Tide", "scripted", {"model": "m"})
        stranger = openai.OpenAI(base_url=f"{running.url}/v1", api_key="wrong", max_retries=0)
        with stranger, pytest.raises(openai.AuthenticationError):
            stranger.models.list()
        token = running.host.access.create_token("script").token
        with openai.OpenAI(base_url=f"{running.url}/v1", api_key=token, max_retries=0) as known:
            assert json.loads(known.models.with_raw_response.list().text)["data"][0]["id"] == "tide/m"
