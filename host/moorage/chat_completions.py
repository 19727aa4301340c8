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
from moorage.errors import BadAnswer, Unreachable
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
# Other services' words for the reasons of `Finish`.
REASONS = {
    "eos_token": "stop",
    "stop_sequence": "stop",
    "end_turn": "stop",
    "eos": "stop",
    "max_tokens": "length",
    "function_call": "tool_calls",
    "tool_use": "tool_calls",
}


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

    `Finish` comes last, and only when the remote said that it had finished. `Usage` comes once, before it: some
    services send a running count with every chunk. BadAnswer for a stream that is broken.
    """
    thinking, calls, finish, usage, malformed = _Thinking(), _Calls(), None, None, 0
    iterator = iter(events)
    while True:
        try:
            event = next(iterator, None)
        except Unreachable:
            if finish is None:
                raise
            break  # everything was said: only the end of the connection went wrong
        if event is None:
            break
        if event.data == "[DONE]":
            finish = finish or "stop"
            break
        try:
            chunk = orjson.loads(event.data)
        except orjson.JSONDecodeError:
            if event.event == "error":
                raise failure({"error": event.data}) from None
            malformed += 1
            if malformed > MALFORMED:
                raise BadAnswer("The stream of the answer is broken.", hint="Try again.") from None
            continue
        if not isinstance(chunk, dict):
            continue
        if event.event == "error" or chunk.get("error") or chunk.get("object") == "error":
            raise failure(chunk)
        for choice in chunk.get("choices") or ():
            if not isinstance(choice, dict):
                continue
            delta = choice.get("delta") or choice.get("message")
            if isinstance(delta, dict):
                yield from _delta(delta, thinking, calls)
            reason = choice.get("finish_reason")
            if reason == "error":
                raise failure({"error": "The service broke off its answer."})
            if reason:
                finish = REASONS.get(reason, reason) if isinstance(reason, str) else "stop"
        usage = chunk.get("usage") or usage
    yield from thinking.rest()
    if isinstance(usage, dict):
        yield Usage(_count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens")))
    if finish is not None:
        yield Finish(finish)


class _Thinking:
    """Splits text that has its reasoning in `<think>…</think>` at its start, also when a tag comes in pieces."""

    def __init__(self) -> None:
        self.over = False  # from here on everything is text
        self._inside = False
        self._closed = False
        self._held = ""

    def feed(self, text: str) -> Iterator[CompletionEvent]:
        text, self._held = self._held + text, ""
        if self._closed:
            yield from self._after(text)
            return
        if not self._inside:
            stripped = text.lstrip()
            if len(stripped) < len(OPEN) and OPEN.startswith(stripped):
                self._held = text
                return
            if not stripped.startswith(OPEN):
                self.over = True
                yield TextDelta(text)
                return
            self._inside, text = True, stripped[len(OPEN) :]
        before, tag, after = text.partition(CLOSE)
        if tag:
            self._closed = True
            if before:
                yield ReasoningDelta(before)
            yield from self._after(after)
            return
        keep = next((n for n in range(len(CLOSE) - 1, 0, -1) if text.endswith(CLOSE[:n])), 0)
        self._held = text[len(text) - keep :]
        if len(text) > keep:
            yield ReasoningDelta(text[: len(text) - keep])

    def rest(self) -> Iterator[CompletionEvent]:
        if self._held:
            yield ReasoningDelta(self._held) if self._inside else TextDelta(self._held)

    def _after(self, text: str) -> Iterator[CompletionEvent]:
        """The empty lines between thoughts and answer are neither."""
        text = text.lstrip("\n")
        if text:
            self.over = True
            yield TextDelta(text)


class _Calls:
    """Gives each tool call an index of its own: some services send none, or the same for all."""

    def __init__(self) -> None:
        self._ids: list[str | None] = []  # by our index
        self._at: dict[int, int] = {}  # the service's index to ours

    def index(self, theirs: Any, id: str | None, name: str | None) -> int:
        if not isinstance(theirs, int):
            if id is not None and id in self._ids:
                return self._ids.index(id)
            if (id is None and name is None) and self._ids:
                return len(self._ids) - 1  # more of the last one
            return self._new(id)
        ours = self._at.get(theirs)
        known = self._ids[ours] if ours is not None else None
        if ours is None or (id and known and id != known):
            ours = self._at[theirs] = self._new(id)
        elif id and known is None:
            self._ids[ours] = id
        return ours

    def _new(self, id: str | None) -> int:
        self._ids.append(id)
        return len(self._ids) - 1


def _delta(delta: dict[str, Any], thinking: _Thinking, calls: _Calls) -> Iterator[CompletionEvent]:
    reasoning = delta.get("reasoning_content") or delta.get("reasoning")
    if isinstance(reasoning, str) and reasoning:
        yield ReasoningDelta(reasoning)
    content = delta.get("content")
    if isinstance(content, str) and content:
        if thinking.over:
            yield TextDelta(content)
        else:
            yield from thinking.feed(content)
    for call in _objects(delta.get("tool_calls")):
        function = call.get("function")
        function = function if isinstance(function, dict) else {}
        arguments = function.get("arguments")
        if isinstance(arguments, dict | list):  # older servers of TGI send an object
            arguments = orjson.dumps(arguments).decode()
        id, name = _text(call.get("id")), _text(function.get("name"))
        yield ToolCallDelta(
            calls.index(call.get("index"), id, name), id, name, arguments if isinstance(arguments, str) else ""
        )


def _objects(value: Any) -> list[dict[str, Any]]:
    items = value if isinstance(value, list) else [value]  # a single object where a list should be
    return [item for item in items if isinstance(item, dict)]


def _text(value: Any) -> str | None:
    return str(value) if value not in (None, "") else None


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
