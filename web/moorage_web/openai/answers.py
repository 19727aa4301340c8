"""From our completion events to OpenAI's answers, whole and streamed."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import orjson

from moorage.errors import BadAnswer, MoorageError
from moorage.models import CompletionEvent, Finish, ReasoningDelta, TextDelta, ToolCallDelta, Usage
from moorage_web.openai.wire import AnswerMessage, ChatCompletion, Choice, WireFunctionCall, WireToolCall, WireUsage
from moorage_web.problems import problem_of
from moorage_web.streams import ALIVE_SECONDS, COMMENT

DONE = b"data: [DONE]\n\n"
BROKEN_OFF = "The answer broke off before its end."


class Completion(Protocol):
    """What `host.gateway.complete` returns."""

    def take(self, timeout: float | None = None) -> list[CompletionEvent] | None: ...

    def close(self) -> None: ...


class _Calls:
    """Gives each tool call a place of its own: some services use one index for several calls."""

    def __init__(self) -> None:
        self._places: dict[int, tuple[int, str | None]] = {}
        self.calls: list[WireToolCall] = []

    def add(self, delta: ToolCallDelta) -> tuple[int, bool]:
        """(place of the call, whether this delta begins it)"""
        place, id = self._places.get(delta.index, (-1, None))
        begins = place < 0 or (delta.id is not None and id is not None and delta.id != id)
        if begins:
            place = len(self.calls)
            id = delta.id or f"call_{secrets.token_hex(8)}"
            self.calls.append(WireToolCall(id=id, function=WireFunctionCall(name=delta.name or "", arguments="")))
            self._places[delta.index] = (place, id)
        call = self.calls[place]
        joined = WireFunctionCall(
            name=call.function.name or delta.name or "", arguments=call.function.arguments + delta.arguments
        )
        self.calls[place] = call.model_copy(update={"function": joined})
        return place, begins


def whole(completion: Completion, model: str, left: Callable[[], bool]) -> ChatCompletion:
    """Wait for all of it, as long as the client has not `left`.

    Raises what the completion raises, BadAnswer where it ends without its end mark.
    """
    text: list[str] = []
    reasoning: list[str] = []
    calls = _Calls()
    usage: WireUsage | None = None
    finish: str | None = None
    try:
        while not left() and (batch := completion.take(ALIVE_SECONDS)) is not None:
            for event in batch:
                if isinstance(event, TextDelta):
                    text.append(event.text)
                elif isinstance(event, ReasoningDelta):
                    reasoning.append(event.text)
                elif isinstance(event, ToolCallDelta):
                    calls.add(event)
                elif isinstance(event, Usage):
                    usage = _usage(event)
                elif isinstance(event, Finish):
                    finish = event.reason
    finally:
        completion.close()
    if finish is None:
        raise BadAnswer(BROKEN_OFF, hint="Try again.")
    message = AnswerMessage(
        content="".join(text) or (None if calls.calls else ""),
        reasoning_content="".join(reasoning) or None,
        tool_calls=tuple(calls.calls) or None,
    )
    return ChatCompletion(
        id=_new_id(),
        created=int(time.time()),
        model=model,
        choices=(Choice(message=message, finish_reason=finish),),
        usage=usage,
    )


def first(completion: Completion) -> list[CompletionEvent] | None:
    """What comes within a moment, so that an error that comes at once is an answer with its own status."""
    try:
        return completion.take(ALIVE_SECONDS)
    except BaseException:
        completion.close()
        raise


def stream(
    completion: Completion, model: str, begun: list[CompletionEvent] | None, include_usage: bool
) -> Iterator[bytes]:
    """The chunks; an error in the middle is a chunk with `error`, as the official client reads it."""
    made = _Chunks(model, include_usage)
    yield made.delta({"role": "assistant", "content": ""})
    batch = begun
    try:
        while batch is not None:
            yield b"".join([made.of(event) for event in batch]) or COMMENT
            batch = completion.take(ALIVE_SECONDS)
        if made.finish is None:
            raise BadAnswer(BROKEN_OFF, hint="Try again.")
    except MoorageError as error:
        yield b"data: %b\n\n" % orjson.dumps(problem_of(error).as_openai())
        return
    yield made.end()


class _Chunks:
    def __init__(self, model: str, include_usage: bool) -> None:
        head = {"id": _new_id(), "object": "chat.completion.chunk", "created": int(time.time()), "model": model}
        # All that every chunk has in common, so that a token costs one small concatenation.
        self._head = b"data: " + orjson.dumps(head)[:-1]
        self._choice = self._head + b',"choices":[{"index":0,"delta":'
        self._tail = b',"logprobs":null,"finish_reason":null}]%b}\n\n' % (b',"usage":null' if include_usage else b"")
        self._include_usage = include_usage
        self._calls = _Calls()
        self._usage: WireUsage | None = None
        self.finish: str | None = None

    def of(self, event: CompletionEvent) -> bytes:
        if isinstance(event, TextDelta):
            return b'%b{"content":%b}%b' % (self._choice, orjson.dumps(event.text), self._tail)
        if isinstance(event, ReasoningDelta):
            return b'%b{"reasoning_content":%b}%b' % (self._choice, orjson.dumps(event.text), self._tail)
        if isinstance(event, ToolCallDelta):
            return self._call(event)
        if isinstance(event, Usage):
            self._usage = _usage(event)
        elif isinstance(event, Finish):
            self.finish = event.reason
        return b""

    def delta(self, delta: dict[str, Any]) -> bytes:
        return self._choice + orjson.dumps(delta) + self._tail

    def end(self) -> bytes:
        usage = b',"usage":null' if self._include_usage else b""
        last = b'%b{},"logprobs":null,"finish_reason":%b}]%b}\n\n' % (self._choice, orjson.dumps(self.finish), usage)
        if self._include_usage:
            counts = self._usage or WireUsage(prompt_tokens=0, completion_tokens=0, total_tokens=0)
            last += b'%b,"choices":[],"usage":%b}\n\n' % (self._head, counts.model_dump_json().encode())
        return last + DONE

    def _call(self, event: ToolCallDelta) -> bytes:
        place, begins = self._calls.add(event)
        call: dict[str, Any] = {"index": place, "function": {"arguments": event.arguments}}
        if begins:
            made = self._calls.calls[place]
            call |= {"id": made.id, "type": "function"}
            call["function"] = {"name": made.function.name, "arguments": event.arguments}
        return self.delta({"tool_calls": [call]})


def _usage(event: Usage) -> WireUsage:
    asked, answered = event.input_tokens or 0, event.output_tokens or 0
    return WireUsage(prompt_tokens=asked, completion_tokens=answered, total_tokens=asked + answered)


def _new_id() -> str:
    return f"chatcmpl-{secrets.token_hex(12)}"
