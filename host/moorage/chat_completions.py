"""The chat completions format, as OpenAI made it and many services speak it: a request's body, and a stream's events.

Pure, and no service's own: any plugin whose service speaks the format may use it. Services differ, so the reader takes
usage in a last chunk without choices or on the finishing one, reasoning under two names or inside `<think>`, tool calls
whole or in pieces, and errors after a 200. Source: https://platform.openai.com/docs/api-reference/chat-streaming and
recorded streams of a dozen services.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import orjson

from moorage.context import ServerSentEvent
from moorage.errors import BadAnswer
from moorage.models import (
    ChatMessage,
    CompletionEvent,
    CompletionRequest,
    Finish,
    ReasoningDelta,
    TextDelta,
    ToolCallDelta,
    Usage,
)

OPEN, CLOSE = "<think>", "</think>"
MALFORMED = 3


def chat_completion_body(request: CompletionRequest) -> dict[str, Any]:
    """The JSON body of a streamed request, without options."""
    body: dict[str, Any] = {
        "model": request.model,
        "messages": [_message(message) for message in request.messages],
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    if request.max_tokens is not None:
        body["max_tokens"] = request.max_tokens
    if request.tools:
        body["tools"] = [
            {
                "type": "function",
                "function": {"name": tool.name, "description": tool.description, "parameters": tool.parameters},
            }
            for tool in request.tools
        ]
    return body


def read_chat_completion(
    events: Iterable[ServerSentEvent], failure: Callable[[dict[str, Any]], Exception]
) -> Iterator[CompletionEvent]:
    """The events of a completion; `failure` makes the error to raise from an error object in the stream.

    `Finish` comes last, and only when the remote said that it had finished. BadAnswer for a stream that is broken.
    """
    thinking, finish, malformed = _Thinking(), None, 0
    for event in events:
        if event.data == "[DONE]":
            finish = finish or "stop"
            break
        try:
            chunk = orjson.loads(event.data)
        except orjson.JSONDecodeError:
            malformed += 1
            if malformed > MALFORMED:
                raise BadAnswer("The stream of the answer is broken.", hint="Try again.") from None
            continue
        if not isinstance(chunk, dict):
            continue
        if event.event == "error" or chunk.get("error") or chunk.get("object") == "error":
            raise failure(chunk)
        for choice in chunk.get("choices") or ():
            yield from _delta(choice.get("delta") or choice.get("message") or {}, thinking)
            finish = choice.get("finish_reason") or finish
        usage = chunk.get("usage")
        if isinstance(usage, dict):
            yield Usage(_count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens")))
    yield from thinking.rest()
    if finish is not None:
        yield Finish(str(finish))


class _Thinking:
    """Splits text that has its reasoning in `<think>…</think>` at its start, also when a tag comes in pieces."""

    def __init__(self) -> None:
        self._state = "start"
        self._held = ""

    def feed(self, text: str) -> Iterator[CompletionEvent]:
        if self._state == "text":
            yield TextDelta(text)
            return
        text, self._held = self._held + text, ""
        if self._state == "start":
            stripped = text.lstrip()
            if len(stripped) < len(OPEN) and OPEN.startswith(stripped):
                self._held = text
                return
            if not stripped.startswith(OPEN):
                self._state = "text"
                yield TextDelta(text)
                return
            self._state, text = "thinking", stripped[len(OPEN) :]
        before, tag, after = text.partition(CLOSE)
        if tag:
            self._state = "text"
            if before:
                yield ReasoningDelta(before)
            if after.lstrip("\n"):
                yield TextDelta(after.lstrip("\n"))
            return
        keep = next((n for n in range(len(CLOSE) - 1, 0, -1) if text.endswith(CLOSE[:n])), 0)
        self._held = text[len(text) - keep :]
        if len(text) > keep:
            yield ReasoningDelta(text[: len(text) - keep])

    def rest(self) -> Iterator[CompletionEvent]:
        if self._held:
            yield ReasoningDelta(self._held) if self._state == "thinking" else TextDelta(self._held)


def _delta(delta: dict[str, Any], thinking: _Thinking) -> Iterator[CompletionEvent]:
    reasoning = delta.get("reasoning_content") or delta.get("reasoning")
    if isinstance(reasoning, str) and reasoning:
        yield ReasoningDelta(reasoning)
    content = delta.get("content")
    if isinstance(content, str) and content:
        yield from thinking.feed(content)
    for position, call in enumerate(delta.get("tool_calls") or ()):
        function = call.get("function") or {}
        arguments = function.get("arguments")
        if isinstance(arguments, dict | list):  # older servers of TGI send an object
            arguments = orjson.dumps(arguments).decode()
        index = call.get("index")
        yield ToolCallDelta(
            index if isinstance(index, int) else position,
            _text(call.get("id")),
            _text(function.get("name")),
            arguments if isinstance(arguments, str) else "",
        )


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _message(message: ChatMessage) -> dict[str, Any]:
    told: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.tool_calls:
        told["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": _valid(call.arguments)}}
            for call in message.tool_calls
        ]
    if message.role == "tool":
        told["tool_call_id"] = message.tool_call_id
    return told


def _valid(arguments: str) -> str:
    """Some services refuse a conversation with arguments that are no JSON, as a model may have written them."""
    try:
        json.loads(arguments)
    except ValueError:
        return "{}"
    return arguments
