"""The body of a chat request, and the events of its lines: recorded ones of old servers, and made ones of new ones."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import yaml

from moorage import (
    ChatMessage,
    CompletionEvent,
    CompletionRequest,
    Finish,
    Provider,
    ReasoningDelta,
    TextDelta,
    Tool,
    ToolCall,
    ToolCallDelta,
    Usage,
)
from moorage_ollama.chat import ChatReader, chat_body
from moorage_ollama.config import OllamaOptions, OllamaProvider

RECORDED = Path(__file__).parents[4] / "shared/data/ollama"
PROVIDER = Provider(id="p", name="Ollama", type="ollama", config=OllamaProvider())


def body(*messages: ChatMessage, options: OllamaOptions | None = None, can_think: bool = False, **fields: Any) -> Any:
    request = CompletionRequest(
        provider=PROVIDER, model="m", messages=messages or (ChatMessage(role="user", content="Hi"),), **fields
    )
    return chat_body(request, options or OllamaOptions(), can_think=can_think)


def test_the_context_length_is_always_sent_and_the_rest_only_when_set() -> None:
    assert body() == {
        "model": "m",
        "messages": [{"role": "user", "content": "Hi"}],
        "stream": True,
        "options": {"num_ctx": 4096},
    }


def test_all_options() -> None:
    options = OllamaOptions(
        num_ctx=8192, temperature=0, top_p=0.5, top_k=0, seed=0, repeat_penalty=1.1, stop=["x"], num_predict=50,
        keep_alive="10m",
    )  # fmt: skip
    sent = body(options=options)
    assert sent["keep_alive"] == "10m"
    assert sent["options"] == {
        "num_ctx": 8192, "temperature": 0, "top_p": 0.5, "top_k": 0, "seed": 0, "repeat_penalty": 1.1, "stop": ["x"],
        "num_predict": 50,
    }  # fmt: skip


@pytest.mark.parametrize(("text", "sent"), [("0", 0), ("-1", -1), ("30", 30), ("1h30m", "1h30m"), ("2.5s", "2.5s")])
def test_keep_alive_is_a_number_or_a_duration(text: str, sent: object) -> None:
    assert body(options=OllamaOptions(keep_alive=text))["keep_alive"] == sent


@pytest.mark.parametrize("text", ["soon", "5 minutes", "", "1d"])
def test_what_ollama_would_not_read_as_a_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="keep_alive"):
        OllamaOptions(keep_alive=text)


@pytest.mark.parametrize(("most", "own", "sent"), [(16, None, 16), (16, 8, 8), (16, 100, 16)])
def test_the_smaller_limit_counts(most: int, own: int | None, sent: int) -> None:
    assert body(options=OllamaOptions(num_predict=own), max_tokens=most)["options"]["num_predict"] == sent


@pytest.mark.parametrize(("chosen", "sent"), [("on", True), ("off", False), ("high", "high")])
def test_thinking_is_asked_of_models_that_can(chosen: Any, sent: object) -> None:
    assert body(options=OllamaOptions(think=chosen), can_think=True)["think"] == sent
    assert "think" not in body(options=OllamaOptions(think=chosen), can_think=False)


def test_a_conversation_with_tools() -> None:
    tool = Tool(name="clock", description="The time.", run=lambda _: "now")
    calls = (
        ToolCall(id="call_1", name="clock", arguments='{"zone": "UTC"}'),
        ToolCall(id="call_2", name="clock", arguments="not json"),
    )
    sent = body(
        ChatMessage(role="user", content="When?"),
        ChatMessage(role="assistant", tool_calls=calls),
        ChatMessage(role="tool", name="clock", tool_call_id="call_1", content="noon"),
        tools=(tool,),
    )
    assert sent["messages"][1]["tool_calls"] == [
        {"id": "call_1", "function": {"name": "clock", "arguments": {"zone": "UTC"}}},
        {"id": "call_2", "function": {"name": "clock", "arguments": {}}},
    ]
    assert sent["messages"][2] == {"role": "tool", "content": "noon", "tool_name": "clock", "tool_call_id": "call_1"}
    assert sent["tools"] == [
        {
            "type": "function",
            "function": {
                "name": "clock",
                "description": "The time.",
                "parameters": {"type": "object", "properties": {}},
            },
        }
    ]


def read(lines: Iterable[dict[str, Any]]) -> list[CompletionEvent]:
    reader = ChatReader()
    return [event for line in lines for event in reader.feed(line)]


def recorded(name: str) -> list[dict[str, Any]]:
    cassette = yaml.safe_load((RECORDED / "openllmetry" / name).read_text())
    return [json.loads(line) for line in cassette["interactions"][0]["response"]["body"]["string"].splitlines() if line]


def test_a_recorded_stream() -> None:
    events = read(recorded("test_chat_test_ollama_streaming_chat_legacy.yaml"))
    text = "".join(event.text for event in events if isinstance(event, TextDelta))
    assert text.startswith("Why did the OpenTelemetry agent go")
    assert events[-2:] == [Usage(17, 50), Finish("stop")]
    assert not [event for event in events if isinstance(event, TextDelta) and not event.text]


def test_a_recorded_answer_in_one_line() -> None:
    events = read(recorded("test_chat_test_ollama_chat_tool_calls_legacy.yaml"))
    assert isinstance(events[0], TextDelta)
    assert events[1:] == [Usage(44, 113), Finish("stop")]


def said(message: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"model": "m", "message": {"role": "assistant", **message}, "done": False, **fields}


def test_thinking_is_kept_apart_from_the_answer() -> None:
    events = read([said({"content": "", "thinking": "Hm. "}), said({"content": "Yes.", "thinking": "So."})])
    assert events == [ReasoningDelta("Hm. "), ReasoningDelta("So."), TextDelta("Yes.")]


def test_tool_calls_come_whole_and_finish_as_such() -> None:
    first = {"id": "call_a", "function": {"index": 0, "name": "clock", "arguments": {"zone": "UTC"}}}
    second = {"id": "call_b", "function": {"index": 0, "name": "dice", "arguments": {}}}
    done = said({"content": ""}, done=True, done_reason="stop", eval_count=9)
    events = read([said({"content": "", "tool_calls": [first]}), said({"tool_calls": [second]}), done])
    assert events == [
        ToolCallDelta(0, "call_a", "clock", '{"zone":"UTC"}'),
        ToolCallDelta(1, "call_b", "dice", "{}"),
        Usage(None, 9),
        Finish("tool_calls"),
    ]


def test_calls_of_old_servers_get_ids_that_differ() -> None:
    call = {"function": {"name": "clock", "arguments": {}}}
    events = read([said({"tool_calls": [call, call]})])
    ids = [event.id for event in events if isinstance(event, ToolCallDelta)]
    assert len(set(ids)) == 2
    assert all(ids)


@pytest.mark.parametrize(
    ("reason", "finish"), [("stop", "stop"), ("length", "length"), ("", "stop"), (None, "stop"), ("load", "stop")]
)
def test_why_it_ended(reason: str | None, finish: str) -> None:
    assert read([said({"content": ""}, done=True, done_reason=reason)]) == [Usage(None, None), Finish(finish)]


def test_odd_lines_do_no_harm() -> None:
    assert read([{}, {"message": None}, {"message": {"content": None, "tool_calls": None}}, {"done": "yes"}]) == []
