"""`/api/chat`: checks, loading, and an answer computed from the conversation, line by line."""

from __future__ import annotations

import json
import math
import re
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from tests.fakes.answers import Answer, compute
from tests.fakes.ollama_models import ModelStore, OllamaModel
from tests.fakes.ollama_stream import EndOfLines, Lines, Refused, go_time
from tests.fakes.router_models import RouterModel
from tests.fakes.server import Exchange

FOREVER = timedelta(days=365 * 292)
UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
THINK_LEVELS = ("low", "medium", "high", "max")
NO_IMAGES = "this model is missing data required for image input"


@dataclass
class ChatManner:
    """The pace of an answer and the ways it goes wrong."""

    load_silence: float = 0.0  # seconds, where the model is not loaded with this window yet
    first_silence: float = 0.0  # seconds before the first line: reading the prompt
    words_per_second: float | None = None
    error_after: int | None = None  # this error line after so many lines
    error: str = "an error was encountered while running the model: CUDA error: out of memory"
    eof_after: int | None = None  # end in good form after so many lines, without `done`
    cut_after: int | None = None  # the connection breaks after so many lines
    stall_after: int | None = None  # silence after so many lines, until the client leaves
    garbage_after: int | None = None  # a line that is no JSON
    split_every: int | None = None  # bytes per write; 1 splits every multi-byte character
    endless: bool = False
    calls_tools: bool = False  # call the first tool offered, whatever the message says
    tool_rounds: int | None = 1  # rounds of calls before the answer; None: it never stops calling
    done_reason: str | None = None  # instead of the true one; "" as some servers send it


@dataclass
class Loaded:
    model: OllamaModel
    context_length: int
    expires: datetime
    vram_share: float = 1.0

    def row(self) -> dict[str, Any]:
        """As in `/api/ps`."""
        size = self.model.size + self.context_length * 16_384
        row: dict[str, Any] = {"name": self.model.name, "model": self.model.name, "size": size}
        row |= {"digest": self.model.digest, "details": base_details(self.model), "expires_at": go_time(self.expires)}
        return row | {"size_vram": int(size * self.vram_share), "context_length": self.context_length}


def base_details(model: OllamaModel) -> dict[str, Any]:
    return {
        "parent_model": model.parent_model,
        "format": "" if model.remote_host else "gguf",
        "family": model.family,
        "families": None if model.remote_host else [model.family],
        "parameter_size": model.parameter_size,
        "quantization_level": model.quantization,
    }


@dataclass
class Chats:
    """Answers chats on the models of a store, and knows which of them are loaded."""

    store: ModelStore
    version: tuple[int, ...]
    manner: ChatManner = field(default_factory=ChatManner)
    default_context: int = 4096
    keep_alive: timedelta = timedelta(minutes=5)
    vram_share: float = 1.0  # less than 1: partly on the CPU
    loaded: dict[str, Loaded] = field(default_factory=dict)
    _numbers: Iterator[int] = field(default_factory=lambda: count(1))
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def running(self) -> list[Loaded]:
        with self._lock:
            now = datetime.now(UTC)
            self.loaded = {key: one for key, one in self.loaded.items() if one.expires > now}
            return list(self.loaded.values())

    def lines(self, exchange: Exchange, body: dict[str, Any]) -> Lines:
        """The lines of one chat; whatever is refused is refused before the first."""
        model = self._model(body)
        thinks = self._check(model, body)
        keep = duration(body.get("keep_alive"), self.keep_alive)
        messages: list[dict[str, Any]] = body.get("messages") or []
        if not messages:
            yield self._load_only(exchange, model, body, keep)
            return
        manner, began = self.manner, time.monotonic_ns()
        window = self._load(exchange, model, body, keep)
        ready = time.monotonic_ns()
        answer = self._answer(model, thinks, {**body, "messages": fit(with_images(messages), window)})
        exchange.sleep(manner.first_silence)
        first = time.monotonic_ns()
        base = {"model": body["model"]}
        for number, message in enumerate(self._messages(answer)):
            yield from self._spoil(exchange, number)
            yield {**base, "created_at": go_time(), "message": message, "done": False}
            if manner.words_per_second:
                exchange.sleep(1 / manner.words_per_second)
        yield from self._spoil(exchange, None)
        times = {"total_duration": time.monotonic_ns() - began, "load_duration": ready - began}
        times |= {"prompt_eval_count": answer.prompt_tokens, "prompt_eval_duration": first - ready}
        times |= {"eval_count": answer.usage["completion_tokens"], "eval_duration": time.monotonic_ns() - first}
        reason = answer.finish if answer.finish == "length" else "stop"
        done = {"message": {"role": "assistant", "content": ""}, "done": True}
        done |= {"done_reason": reason if manner.done_reason is None else manner.done_reason}
        yield {**base, "created_at": go_time(), **done, **{key: value for key, value in times.items() if value}}
        if keep == timedelta():
            self.unload(model)

    # Before the first line

    def _model(self, body: dict[str, Any]) -> OllamaModel:
        name = body.get("model")
        if not name:
            raise Refused(400, "model is required")
        model = self.store.find(name)
        if model is None:
            raise Refused(404, f"model '{name}' not found")
        return model

    def _check(self, model: OllamaModel, body: dict[str, Any]) -> bool:
        """Refuse what this model cannot do; says whether it will think."""
        check_shape(body)
        asked, can = body["model"], model.capabilities
        if "completion" not in can:
            raise Refused(400, f'"{asked}" does not support chat')
        if body.get("tools") and "tools" not in can:
            raise Refused(400, f"{model.parsed.full} does not support tools")
        think = body.get("think")
        if think and "thinking" not in can:
            raise Refused(400, f'"{asked}" does not support thinking')
        if "vision" not in can and any(message.get("images") for message in body.get("messages") or []):
            raise Refused(400 if self.version >= (0, 30) else 500, NO_IMAGES)
        if "thinking" not in can:
            return False
        is_default = self.version >= (0, 12, 4)
        # gpt-oss knows levels only: `false` does not stop it.
        return bool(think) or (think is None and is_default) or model.family == "gptoss"

    def _load(self, exchange: Exchange, model: OllamaModel, body: dict[str, Any], keep: timedelta) -> int:
        """Load the model, unless it is loaded with the window asked for; returns the window in tokens."""
        wanted = (body.get("options") or {}).get("num_ctx") or model.parameters.get("num_ctx") or self.default_context
        window = min(int(wanted), model.context_length or int(wanted))
        if model.load_error:
            raise Refused(500, model.load_error)
        if not any(one.model is model and one.context_length == window for one in self.running()):
            exchange.sleep(self.manner.load_silence)
        with self._lock:
            expires = datetime.now(UTC) + keep
            self.loaded[model.parsed.key] = Loaded(model, window, expires, self.vram_share)
        return window

    def _load_only(
        self, exchange: Exchange, model: OllamaModel, body: dict[str, Any], keep: timedelta
    ) -> dict[str, Any]:
        if keep == timedelta():
            self.unload(model)
        else:
            self._load(exchange, model, body, keep)
        reason = "unload" if keep == timedelta() else "load"
        said = {"message": {"role": "assistant", "content": ""}, "done_reason": reason, "done": True}
        return {"model": body["model"], "created_at": go_time(), **said}

    def unload(self, model: OllamaModel) -> None:
        with self._lock:
            self.loaded.pop(model.parsed.key, None)

    # The answer

    def _answer(self, model: OllamaModel, thinks: bool, body: dict[str, Any]) -> Answer:
        manner = self.manner
        habits = RouterModel(
            model.name,
            reasoning="reasoning" if thinks else None,
            tool_rounds=manner.tool_rounds,
            calls_tools=manner.calls_tools,
        )
        limit = (body.get("options") or {}).get("num_predict", -1)
        with self._lock:
            number = next(self._numbers)
        asked = {"messages": body["messages"], "tools": body.get("tools"), "max_tokens": limit if limit > 0 else None}
        return compute(habits, asked, number)

    def _messages(self, answer: Answer) -> Iterator[dict[str, Any]]:
        """First thoughts, then words, then all tool calls in one line."""
        for word in re.findall(r"\s*\S+", answer.reasoning):
            yield {"role": "assistant", "content": "", "thinking": word}
        words = (
            (f" tick{at}" for at in count()) if self.manner.endless else re.findall(r"\s*\S+\s*$|\s*\S+", answer.text)
        )
        for word in words:
            yield {"role": "assistant", "content": word}
        if answer.calls:
            yield {
                "role": "assistant",
                "content": "",
                "tool_calls": [self._call(*one) for one in enumerate(answer.calls)],
            }

    def _call(self, at: int, call: Any) -> dict[str, Any]:
        function = {"name": call.name, "arguments": json.loads(call.arguments)}
        if self.version < (0, 12, 10):
            return {"function": function}
        digits = re.sub(r"\W|_", "", call.id.removeprefix("call_"))
        return {"id": f"call_{digits:x>8}", "function": {"index": at, **function}}

    def _spoil(self, exchange: Exchange, number: int | None) -> Iterator[bytes]:
        """Carry out what the manner wants before line `number` (None: the last, where every late fault strikes)."""

        def is_now(after: int | None) -> bool:
            return after is not None and (number is None or number == after)

        manner = self.manner
        if number is not None and number == manner.garbage_after:
            yield b'{"model":"broken\n'
        if is_now(manner.stall_after):
            exchange.sleep(math.inf)
        if is_now(manner.error_after):
            raise Refused(500, manner.error)
        if is_now(manner.eof_after) or is_now(manner.cut_after):
            raise EndOfLines(cut=manner.cut_after is not None)


def whole_chat(lines: list[dict[str, Any]]) -> dict[str, Any]:
    """What `"stream": false` answers: the last line with everything that was said before it."""
    said = [line["message"] for line in lines]
    message: dict[str, Any] = {"role": "assistant", "content": "".join(one["content"] for one in said)}
    thoughts = "".join(one.get("thinking", "") for one in said)
    calls = [call for one in said for call in one.get("tool_calls", [])]
    message |= {"thinking": thoughts} if thoughts else {}
    message |= {"tool_calls": calls} if calls else {}
    return {**lines[-1], "message": message}


def fit(messages: list[dict[str, Any]], window: int) -> list[dict[str, Any]]:
    """Drop the oldest messages, but not the system's nor the last, until the rest fits: a word is a token."""
    kept = list(messages)
    while sum(len(str(message.get("content") or "").split()) for message in kept) > window:
        oldest = next((at for at, message in enumerate(kept[:-1]) if message.get("role") != "system"), None)
        if oldest is None:
            break
        del kept[oldest]
    return kept


def with_images(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Images as words, so that the answer tells whether they arrived."""
    return [
        {**one, "content": f"{one.get('content', '')} [{len(one['images'])} images]"} if one.get("images") else one
        for one in messages
    ]


def duration(value: Any, default: timedelta) -> timedelta:
    """Seconds as a number or a Go duration; negative means for ever."""
    if value is None:
        return default
    if isinstance(value, str):
        found = re.fullmatch(r"(-?)((?:\d+(?:\.\d+)?(?:h|ms|m|us|µs|ns|s))+|0)", value)
        if not found:
            raise Refused(400, f'time: missing unit in duration "{value}"')
        parts = re.findall(r"(\d+(?:\.\d+)?)(h|ms|m|us|µs|ns|s)", found[2])
        value = sum(float(number) * UNITS[unit] for number, unit in parts) * (-1 if found[1] else 1)
    return FOREVER if value < 0 else timedelta(seconds=value)


def check_shape(body: dict[str, Any]) -> None:
    """Refuse, as Go's decoder does, what has the wrong type."""
    messages = body.get("messages") or []
    if not isinstance(messages, list):
        raise _unmarshal(messages, "ChatRequest.messages of type []api.Message")
    for message in messages:
        if not isinstance(message.get("content") or "", str):
            raise _unmarshal(message["content"], "ChatRequest.messages.content of type string")
        for call in message.get("tool_calls") or []:
            arguments = call["function"].get("arguments")
            if not isinstance(arguments, dict | None):
                raise _unmarshal(arguments, "ToolCallFunction.arguments of type map[string]interface {}")
    think = body.get("think")
    if not isinstance(think, bool | None) and think not in THINK_LEVELS:
        raise Refused(400, f'invalid think value: "{think}" (must be "high", "medium", "low", "max", true, or false)')
    for key in ("num_ctx", "num_predict", "seed", "top_k"):
        option = (body.get("options") or {}).get(key, 0)
        if not isinstance(option, int):
            raise Refused(500, f'option "{key}" must be of type integer')


def _unmarshal(value: Any, target: str) -> Refused:
    kind = {str: "string", dict: "object", list: "array", int: "number", float: "number"}.get(type(value), "bool")
    return Refused(400, f"json: cannot unmarshal {kind} into Go struct field {target}")
