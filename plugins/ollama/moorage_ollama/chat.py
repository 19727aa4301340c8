"""One answer of `/api/chat`: the request from the host's messages, and the events from its lines. Pure."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from moorage import (
    ChatMessage,
    CompletionEvent,
    CompletionRequest,
    Finish,
    ReasoningDelta,
    TextDelta,
    Tool,
    ToolCallDelta,
    Usage,
)
from moorage_ollama.config import OllamaOptions

_MODEL_OPTIONS = ("num_ctx", "temperature", "top_p", "top_k", "seed", "repeat_penalty", "stop", "num_predict")
_SWITCH: dict[str, bool | str] = {"on": True, "off": False}


def chat_body(request: CompletionRequest, options: OllamaOptions, *, can_think: bool) -> dict[str, Any]:
    """The body of the request. `think` is in it only where the model can: for others it is an error."""
    model_options = {name: value for name in _MODEL_OPTIONS if (value := getattr(options, name)) is not None}
    model_options.setdefault("num_ctx", request.context_length)
    if request.max_tokens is not None:
        model_options["num_predict"] = min(request.max_tokens, model_options.get("num_predict", request.max_tokens))
    body: dict[str, Any] = {
        "model": request.model,
        "messages": [_message(message) for message in request.messages],
        "stream": True,
        "options": model_options,
    }
    if request.tools:
        body["tools"] = [_tool(tool) for tool in request.tools]
    if options.think is not None and can_think:
        body["think"] = _SWITCH.get(options.think, options.think)
    if options.keep_alive is not None:
        # A bare number must be one in JSON too: as text it lacks its unit.
        bare = options.keep_alive.lstrip("-").isdigit()
        body["keep_alive"] = int(options.keep_alive) if bare else options.keep_alive
    return body


def _message(message: ChatMessage) -> dict[str, Any]:
    wire: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.tool_calls:
        wire["tool_calls"] = [
            {"id": call.id, "function": {"name": call.name, "arguments": _arguments(call.arguments)}}
            for call in message.tool_calls
        ]
    if message.role == "tool":
        if message.name is not None:
            wire["tool_name"] = message.name
        if message.tool_call_id is not None:
            wire["tool_call_id"] = message.tool_call_id
    return wire


def _arguments(text: str) -> dict[str, Any]:
    """Ollama takes an object. What another model wrote may be none; its call was answered with an error then."""
    try:
        parsed = orjson.loads(text or "{}")
    except orjson.JSONDecodeError:
        return {}
    return parsed if isinstance(parsed, dict) else {}


def _tool(tool: Tool) -> dict[str, Any]:
    function = {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
    return {"type": "function", "function": function}


class ChatReader:
    """Turns lines into events. `finished` after the line that says `done`."""

    def __init__(self) -> None:
        self.finished = False
        self._calls = 0

    def feed(self, line: Mapping[str, Any]) -> Iterator[CompletionEvent]:
        """The events of one line (never an error line)."""
        message = line.get("message")
        if isinstance(message, dict):
            if isinstance(thinking := message.get("thinking"), str) and thinking:
                yield ReasoningDelta(thinking)
            if isinstance(content := message.get("content"), str) and content:
                yield TextDelta(content)
            for call in message.get("tool_calls") or ():
                yield self._call(call)
        if line.get("done") is True:
            self.finished = True
            yield Usage(_count(line.get("prompt_eval_count")), _count(line.get("eval_count")))
            yield Finish(self._reason(line.get("done_reason")))

    def _call(self, call: Mapping[str, Any]) -> ToolCallDelta:
        """Calls come whole; servers before 2025-11 give them neither id nor number."""
        function = call.get("function") or {}
        arguments = function.get("arguments")
        index, self._calls = self._calls, self._calls + 1
        return ToolCallDelta(
            index=index,
            id=str(call.get("id") or f"call_{uuid.uuid4().hex[:8]}"),
            name=str(function.get("name") or ""),
            arguments=arguments if isinstance(arguments, str) else orjson.dumps(arguments or {}).decode(),
        )

    def _reason(self, reason: Any) -> str:
        """Ollama says `stop` for tool calls too, and nothing at all on old servers."""
        if reason == "length":
            return "length"
        return "tool_calls" if self._calls else "stop"


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
