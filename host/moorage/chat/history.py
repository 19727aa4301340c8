"""From a transcript to what a model is told, and from deltas to whole tool calls. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from moorage.models import ChatMessage, Message, ToolCall, ToolCallDelta, ToolUse

NO_RESULT = "The call was not made: the answer ended before it."


def messages_for(instructions: str, transcript: Sequence[Message]) -> tuple[ChatMessage, ...]:
    """The conversation in the words of a model: each tool call is followed by its result."""
    told: list[ChatMessage] = []
    if instructions.strip():
        told.append(ChatMessage(role="system", content=instructions))
    for message in transcript:
        if message.role == "user":
            told.append(ChatMessage(role="user", content=message.content))
        elif message.role == "assistant" and (message.content or message.tool_calls):
            calls = tuple(ToolCall(id=use.id, name=use.name, arguments=use.arguments) for use in message.tool_calls)
            told.append(ChatMessage(role="assistant", content=message.content, tool_calls=calls))
            told += [_result(use) for use in message.tool_calls]
    return tuple(told)


def _result(use: ToolUse) -> ChatMessage:
    content = use.content if use.content is not None else NO_RESULT
    return ChatMessage(role="tool", content=content, tool_call_id=use.id, name=use.name)


@dataclass
class _Partial:
    id: str | None = None
    name: str = ""
    arguments: list[str] = field(default_factory=list)


class ToolCallAssembly:
    """Joins tool-call deltas: pieces of one index belong together, a new id at a used index starts another call."""

    def __init__(self) -> None:
        self._calls: list[_Partial] = []
        self._at: dict[int, _Partial] = {}

    def add(self, delta: ToolCallDelta) -> None:
        current = self._at.get(delta.index)
        if current is None or (delta.id and current.id and delta.id != current.id):
            current = _Partial()
            self._calls.append(current)
            self._at[delta.index] = current
        current.id = current.id or delta.id
        if delta.name and not current.name:
            current.name = delta.name
        if delta.arguments:
            current.arguments.append(delta.arguments)

    def __bool__(self) -> bool:
        return bool(self._calls)

    def whole(self, taken: set[str]) -> tuple[ToolCall, ...]:
        """All calls in their order. An id that is missing or `taken` is replaced, so that each call has one of its own
        for its result and its approval; the ids are added to `taken`."""
        calls = []
        for partial in self._calls:
            number = len(taken)
            id = partial.id if partial.id and partial.id not in taken else f"call_{number}"
            while id in taken:
                number += 1
                id = f"call_{number}"
            taken.add(id)
            calls.append(ToolCall(id=id, name=partial.name, arguments="".join(partial.arguments) or "{}"))
        return tuple(calls)
