"""The fake model: computes an answer from the conversation, so that a test can tell what really reached it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.fakes.router_models import RouterModel


@dataclass(frozen=True)
class ToolCall:
    id: str
    name: str
    arguments: str  # JSON


@dataclass(frozen=True)
class Answer:
    text: str = ""
    reasoning: str = ""
    calls: list[ToolCall] = field(default_factory=list)
    finish: str = "stop"
    prompt_tokens: int = 0

    @property
    def usage(self) -> dict[str, int]:
        words = len(self.text.split()) + len(self.reasoning.split()) + len(self.calls)
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": words,
            "total_tokens": self.prompt_tokens + words,
        }


def compute(model: RouterModel, body: dict[str, Any], number: int) -> Answer:
    """Repeat the last user message, or call tools, or say what the tools said. `number` makes call ids unique."""
    messages: list[dict[str, Any]] = body["messages"]
    last_user = max((at for at, message in enumerate(messages) if message.get("role") == "user"), default=-1)
    asked = text_of(messages[last_user]) if last_user >= 0 else ""
    turn = sum(message.get("role") == "user" for message in messages)
    prompt = sum(len(text_of(message).split()) for message in messages)
    reasoning = f"The user wrote {len(asked.split())} words." if model.reasoning else ""
    rounds = sum(bool(message.get("tool_calls")) for message in messages[last_user + 1 :])
    calls = _calls(model, body, asked, number) if model.tool_rounds is None or rounds < model.tool_rounds else []
    if calls:
        return Answer("", reasoning, calls, "tool_calls", prompt)
    results = [message for message in messages[last_user + 1 :] if message.get("role") == "tool"]
    if results:
        text = " ".join(f"The tool said: {text_of(message)}" for message in results)
    else:
        text = f"Message {turn} had {len(asked.split())} words: {asked}"
    words = re.findall(r"\s*\S+", text)
    limit = body.get("max_tokens") or body.get("max_completion_tokens")
    if limit and len(words) > limit:
        return Answer("".join(words[:limit]), reasoning, [], "length", prompt)
    return Answer(text, reasoning, [], "stop", prompt)


def text_of(message: dict[str, Any]) -> str:
    content = message.get("content") or ""
    if isinstance(content, str):
        return content
    return " ".join(part.get("text", "") for part in content)


def _calls(model: RouterModel, body: dict[str, Any], asked: str, number: int) -> list[ToolCall]:
    functions = [tool["function"] for tool in body.get("tools") or []]
    choice = body.get("tool_choice") or "auto"
    if choice == "none" or not functions:
        return []
    if isinstance(choice, dict):
        chosen = [f for f in functions if f["name"] == choice["function"]["name"]]
    else:
        spoken = set(re.findall(r"\w+", asked.lower()))
        chosen = [f for f in functions if set(re.split(r"[_\W]+", f["name"].lower())) - {""} <= spoken]
        if not chosen and (choice == "required" or model.calls_tools):
            chosen = functions[:1]
    return [
        ToolCall(f"call_{number:04d}_{at}", function["name"], json.dumps(_arguments(function, asked)))
        for at, function in enumerate(chosen)
    ]


def _arguments(function: dict[str, Any], asked: str) -> dict[str, Any]:
    """A value for every required property, taken from the message where its type allows."""
    schema = function.get("parameters") or {}
    properties: dict[str, Any] = schema.get("properties") or {}
    return {name: _value(properties.get(name, {}), asked) for name in schema.get("required") or []}


def _value(schema: dict[str, Any], asked: str) -> Any:
    if "default" in schema:
        return schema["default"]
    if schema.get("enum"):
        return schema["enum"][0]
    kind = schema.get("type", "string")
    numbers = re.findall(r"-?\d+(?:\.\d+)?", asked)
    if kind == "integer":
        return int(float(numbers[0])) if numbers else 1
    if kind == "number":
        return float(numbers[0]) if numbers else 1.0
    if kind in ("boolean", "array", "object"):
        return {"boolean": True, "array": [], "object": {}}[kind]
    quoted = re.findall(r'"([^"]+)"', asked)
    words = re.findall(r"[\w-]+(?:/[\w-]+)*", asked)
    return quoted[0] if quoted else (words[-1] if words else "")


def message(model: RouterModel, answer: Answer) -> dict[str, Any]:
    """The message of an answer that is not streamed."""
    text, thoughts = _with_thoughts(model, answer)
    said: dict[str, Any] = {"role": "assistant", "content": text or (None if answer.calls else "")}
    if thoughts:
        said[model.reasoning or "reasoning"] = thoughts
    if answer.calls:
        said["tool_calls"] = [_call(at, call, call.arguments) for at, call in enumerate(answer.calls)]
    return said


def deltas(model: RouterModel, answer: Answer) -> Iterator[dict[str, Any]]:
    """The same, word by word."""
    text, thoughts = _with_thoughts(model, answer)
    if model.style == "novita":
        yield {"role": "assistant"}
    else:
        yield {"role": "assistant", "content": None if answer.calls and model.style == "deepseek" else ""}
    extra = {"channel": "analysis"} if model.style == "groq" else {}
    for word in re.findall(r"\s*\S+", thoughts):
        yield {model.reasoning or "reasoning": word, **extra}
    for word in re.findall(r"\s*\S+\s*$|\s*\S+", text):
        yield {"content": word}
    for at, call in enumerate(answer.calls):
        if model.style == "groq":
            yield {"tool_calls": [_call(at, call, call.arguments)]}
            continue
        yield {"tool_calls": [_call(at, call, "")]}
        for piece in re.findall(r"\w+|\W", call.arguments):
            yield {"tool_calls": [{"index": at, "function": {"arguments": piece}}]}


def _with_thoughts(model: RouterModel, answer: Answer) -> tuple[str, str]:
    if model.reasoning == "think" and answer.reasoning:
        return f"<think>\n{answer.reasoning}\n</think>\n\n{answer.text}", ""
    return answer.text, answer.reasoning


def _call(at: int, call: ToolCall, arguments: str) -> dict[str, Any]:
    return {
        "index": at,
        "id": call.id,
        "type": "function",
        "function": {"name": call.name, "arguments": arguments},
    }
