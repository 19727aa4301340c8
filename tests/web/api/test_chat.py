"""Chat as events, and what becomes of it when somebody leaves, stops or is slow."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from moorage import (
    CompletionEvent,
    CompletionRequest,
    Finish,
    PluginContext,
    ReasoningDelta,
    TextDelta,
    Tool,
    ToolCallDelta,
    Unreachable,
    Usage,
)
from moorage.host import Host
from tests.conftest import MakeHost
from tests.host.scripted import Scripted, words
from tests.web.api.conftest import Api
from tests.web.api.sse import Heard, heard


def say(api: Api, agent: dict[str, Any], message: str = "Hello?", **more: Any) -> list[Heard]:
    response = api.call("POST", f"/api/agents/{agent['id']}/chat", json={"message": message, **more})
    assert response.status_code == 200, response.text
    assert response.content_type == "text/event-stream"
    assert response.headers["Cache-Control"] == "no-store"
    return heard(response.data)


def silent(request: CompletionRequest, context: PluginContext) -> Iterator[CompletionEvent]:
    while not context.cancelled():
        time.sleep(0.01)
    yield Finish("stop")


def test_an_answer(api: Api, agent: dict[str, Any], scripted: Scripted) -> None:
    def answer(request: CompletionRequest, context: PluginContext) -> Iterator[CompletionEvent]:
        yield ReasoningDelta("Hm.")
        yield TextDelta('Zażółć "\n')
        yield TextDelta("\u2028data: x")
        yield Usage(5, 7)
        yield Finish("stop")

    scripted.answers = [answer]
    events = say(api, agent)
    assert [event.id for event in events] == list(range(1, len(events) + 1))
    assert [event.type for event in events] == ["start", "reasoning", "text", "text", "usage", "end"]
    assert events[2].data == {"delta": 'Zażółć "\n'}
    assert events[3].data == {"delta": "\u2028data: x"}
    assert events[4].data == {"inputTokens": 5, "outputTokens": 7}
    assert events[5].data == {"state": "complete"}
    conversation = api.get(f"/api/conversations/{events[0].data['conversation']}")
    assert [message["role"] for message in conversation["messages"]] == ["user", "assistant"]
    assert conversation["messages"][1]["id"] == events[0].data["message"]
    assert conversation["active"] is False


def test_a_conversation_goes_on(api: Api, agent: dict[str, Any], scripted: Scripted) -> None:
    id = say(api, agent)[0].data["conversation"]
    assert say(api, agent, "And?", conversation=id)[0].data["conversation"] == id
    assert [m.content for m in scripted.requests[-1].messages] == ["Hello?", "Hello there.", "And?"]
    listed = api.get("/api/conversations")
    assert [item["id"] for item in listed["conversations"]] == [id]
    assert api.call("DELETE", f"/api/conversations/{id}").status_code == 204
    api.fields("GET", f"/api/conversations/{id}", 404)


@pytest.mark.parametrize(
    ("answer", "types", "state"),
    [
        (words(), ["start", "usage", "end"], "complete"),
        (lambda request, context: iter([TextDelta("half")]), ["start", "text", "end"], "incomplete"),
        (lambda request, context: iter([]), ["start", "error", "end"], "failed"),
    ],
)
def test_exactly_one_end(
    api: Api, agent: dict[str, Any], scripted: Scripted, answer: Any, types: list[str], state: str
) -> None:
    scripted.answers = [answer]
    events = say(api, agent)
    assert [event.type for event in events] == types
    assert events[-1].data == {"state": state}


def test_an_error_says_what_to_do(api: Api, agent: dict[str, Any], scripted: Scripted) -> None:
    def answer(request: CompletionRequest, context: PluginContext) -> Iterator[CompletionEvent]:
        yield TextDelta("So")
        raise Unreachable("The line is dead.", hint="Look at the plug.")

    scripted.answers = [answer]
    events = say(api, agent)
    assert [event.type for event in events] == ["start", "text", "error", "end"]
    assert events[2].data == {"title": "The answer failed", "detail": "The line is dead.", "hint": "Look at the plug."}
    assert events[3].data == {"state": "failed"}


@pytest.mark.parametrize("body", [{}, {"message": ""}, {"message": "  "}, {"message": 5}])
def test_a_bad_message(api: Api, agent: dict[str, Any], body: dict[str, Any]) -> None:
    assert list(api.fields("POST", f"/api/agents/{agent['id']}/chat", json=body)) == ["message"]
    assert api.get("/api/conversations")["conversations"] == []


def test_comments_before_the_first_token_and_stop(api: Api, agent: dict[str, Any], scripted: Scripted) -> None:
    scripted.answers = [silent]
    with api.app.test_client() as client:
        response = client.post(
            f"/api/agents/{agent['id']}/chat", json={"message": "x"}, base_url="http://127.0.0.1:8642"
        )
        chunks = response.iter_encoded()
        conversation = heard(next(chunks))[0].data["conversation"]
        began = time.monotonic()
        assert next(chunks).startswith(b":")
        assert time.monotonic() - began < 2.0
        api.fields("POST", f"/api/agents/{agent['id']}/chat", 409, json={"message": "y", "conversation": conversation})
        assert api.post(f"/api/conversations/{conversation}/stop") == {"stopped": True}
        rest = heard(b"".join(chunks))
        response.close()
    assert [event.type for event in rest] == ["end"]
    assert rest[0].data == {"state": "stopped"}
    assert scripted.closed.wait(3.0), "the remote was closed too"
    assert api.post(f"/api/conversations/{conversation}/stop") == {"stopped": False}


@pytest.mark.parametrize("read_first", [True, False])
def test_who_leaves_stops_the_remote(api: Api, agent: dict[str, Any], scripted: Scripted, read_first: bool) -> None:
    scripted.answers = [silent]
    with api.app.test_client() as client:
        response = client.post(
            f"/api/agents/{agent['id']}/chat", json={"message": "x"}, base_url="http://127.0.0.1:8642"
        )
        if read_first:
            next(response.iter_encoded())
        response.close()
    [conversation] = api.get("/api/conversations")["conversations"]
    assert conversation["active"] is False
    messages = api.get(f"/api/conversations/{conversation['id']}")["messages"]
    assert messages[-1]["state"] == "stopped"
    if read_first and scripted.requests:
        assert scripted.closed.wait(3.0)


def calls(name: str) -> Any:
    def answer(request: CompletionRequest, context: PluginContext) -> Iterator[CompletionEvent]:
        yield ToolCallDelta(0, "call-1", name, "{}")
        yield Finish("tool_calls")

    return answer


@pytest.mark.parametrize("allow", [True, False])
def test_a_call_waits_for_approval(make_host: MakeHost, allow: bool) -> None:
    ran = threading.Event()

    def note(arguments: dict[str, Any]) -> str:
        ran.set()
        return "noted"

    tool = Tool(name="note", description="", needs_approval=True, run=note)
    host: Host = make_host(plugins={"scripted": Scripted(calls("note"), words("Done."), tools=(tool,))}, only=True)
    api = Api(host)
    agent = api.post("/api/agents", {"name": "a", "llm": {"type": "scripted", "model": "m"}, "tools": ["note"]})
    with api.app.test_client() as client:
        response = client.post(
            f"/api/agents/{agent['id']}/chat", json={"message": "x"}, base_url="http://127.0.0.1:8642"
        )
        chunks = response.iter_encoded()
        begun = b""
        while b"event: tool-call" not in begun:
            begun += next(chunks)
        events = heard(begun)
        assert events[-1].data == {"id": "call-1", "name": "note", "arguments": "{}", "needsApproval": True}
        approve = f"/api/conversations/{events[0].data['conversation']}/approve"
        api.fields("POST", approve, 409, json={"call": "other", "allow": True})
        assert list(api.fields("POST", approve, json={"call": "call-1", "allow": "yes"})) == ["allow"]
        assert not ran.is_set()
        assert api.call("POST", approve, json={"call": "call-1", "allow": allow}).status_code == 204
        rest = heard(b"".join(chunks))
        response.close()
    assert rest[0].type == "tool-result"
    assert rest[0].data["ok"] is allow
    assert ran.is_set() is allow
    assert rest[-1].data == {"state": "complete"}


def test_a_slow_tool_does_not_silence_the_stream(make_host: MakeHost) -> None:
    go = threading.Event()
    tool = Tool(name="wait", description="", run=lambda arguments: str(go.wait(10)))
    host: Host = make_host(plugins={"scripted": Scripted(calls("wait"), words("Done."), tools=(tool,))}, only=True)
    api = Api(host)
    agent = api.post("/api/agents", {"name": "a", "llm": {"type": "scripted", "model": "m"}, "tools": ["wait"]})
    with api.app.test_client() as client:
        response = client.post(
            f"/api/agents/{agent['id']}/chat", json={"message": "x"}, base_url="http://127.0.0.1:8642"
        )
        chunks = response.iter_encoded()
        while not next(chunks).startswith(b":"):
            pass
        go.set()
        assert heard(b"".join(chunks))[-1].data == {"state": "complete"}
        response.close()
