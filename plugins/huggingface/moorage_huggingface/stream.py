"""Reading a streamed chat completion of the router, of any provider behind it, or of an OpenAI-compatible endpoint.

Providers differ: usage in a last chunk without choices or on the finishing one, reasoning under two names or inside
`<think>`, tool calls whole or in pieces, errors after a 200. Source: recorded streams of each.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import orjson

from moorage import (
    BadAnswer,
    CompletionEvent,
    Finish,
    ReasoningDelta,
    ServerSentEvent,
    TextDelta,
    ToolCallDelta,
    Usage,
)
from moorage_huggingface.problems import router_error

OPEN, CLOSE = "<think>", "</think>"
MALFORMED = 3


class Thinking:
    """Splits text that has its reasoning in `<think>…</think>` at its start, also when a tag comes in pieces."""

    def __init__(self) -> None:
        self._state = "start"
        self._held = ""

    def feed(self, text: str) -> Iterator[CompletionEvent]:
        if self._state == "text":
            yield TextDelta(text)
            return
        text = self._held + text
        self._held = ""
        if self._state == "start":
            stripped = text.lstrip()
            if OPEN.startswith(stripped[: len(OPEN)]) and len(stripped) < len(OPEN):
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
        if text[: len(text) - keep]:
            yield ReasoningDelta(text[: len(text) - keep])

    def rest(self) -> Iterator[CompletionEvent]:
        if self._held:
            yield ReasoningDelta(self._held) if self._state == "thinking" else TextDelta(self._held)


def read(events: Iterable[ServerSentEvent], *, model: str, own: bool) -> Iterator[CompletionEvent]:
    """The events of a completion. `Finish` comes last, and only when the remote said that it had finished."""
    thinking, finish, malformed = Thinking(), None, 0
    for event in events:
        data = event.data
        if data == "[DONE]":
            finish = finish or "stop"
            break
        try:
            chunk = orjson.loads(data)
        except orjson.JSONDecodeError:
            malformed += 1
            if malformed > MALFORMED:
                raise BadAnswer("The stream of the answer is broken.", hint="Try again, or another provider.") from None
            continue
        if not isinstance(chunk, dict):
            continue
        if event.event == "error" or chunk.get("error") or chunk.get("object") == "error":
            raise _failure(chunk, model, own)
        for choice in chunk.get("choices") or ():
            yield from _delta(choice.get("delta") or choice.get("message") or {}, thinking)
            finish = choice.get("finish_reason") or finish
        usage = chunk.get("usage")
        if isinstance(usage, dict):
            yield Usage(_count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens")))
    yield from thinking.rest()
    if finish is not None:
        yield Finish(str(finish))


def read_whole(body: bytes, *, model: str, own: bool) -> Iterator[CompletionEvent]:
    """An answer that came as one JSON object although a stream was asked for."""
    yield from read((ServerSentEvent("message", body.decode("utf-8", "replace")),), model=model, own=own)


def _delta(delta: dict[str, Any], thinking: Thinking) -> Iterator[CompletionEvent]:
    reasoning = delta.get("reasoning_content") or delta.get("reasoning")
    if isinstance(reasoning, str) and reasoning:
        yield ReasoningDelta(reasoning)
    content = delta.get("content")
    if isinstance(content, str) and content:
        yield from thinking.feed(content)
    for position, call in enumerate(delta.get("tool_calls") or ()):
        function = call.get("function") or {}
        arguments = function.get("arguments")
        if isinstance(arguments, dict | list):  # TGI's older versions send an object
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


def _failure(chunk: dict[str, Any], model: str, own: bool) -> Exception:
    error = chunk.get("error")
    status = error.get("status_code") or error.get("code") if isinstance(error, dict) else None
    status = status if isinstance(status, int) and 400 <= status < 600 else 500
    return router_error(status, {}, orjson.dumps(chunk), model=model, own=own)
