"""One completion: what is asked, and the events that stream back.

The events are the hot path, so they are small slotted classes and not validated models.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from pydantic import ConfigDict, Field

from moorage.models.base import Model
from moorage.models.providers import Provider

Role = Literal["system", "user", "assistant", "tool"]


class ToolCall(Model):
    """A whole tool call; `arguments` is the JSON text exactly as the model wrote it."""

    id: str
    name: str
    arguments: str


class ChatMessage(Model):
    """One message for a model. `tool_call_id` and `name` belong to role `tool`, `tool_calls` to `assistant`."""

    role: Role
    content: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None
    name: str | None = None


class Tool(Model):
    """A tool that agents may call.

    `parameters` is a JSON Schema object; `run` takes the validated arguments and returns text for the model.
    `needs_approval` is for a tool that changes or reveals anything: a person must allow each call.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    name: str = Field(pattern=r"^[a-zA-Z][a-zA-Z0-9_-]{0,63}$")
    description: str
    parameters: dict[str, Any] = Field(default_factory=lambda: {"type": "object", "properties": {}})
    needs_approval: bool = False
    run: Callable[[dict[str, Any]], str] = Field(exclude=True, repr=False)


class CompletionRequest(Model):
    """What `complete` is asked. `options` is an instance of the type's options model; `max_tokens` caps the answer.

    `context_length` is the person's setting, in tokens, for engines that must be told one.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    provider: Provider
    model: str
    messages: tuple[ChatMessage, ...]
    tools: tuple[Tool, ...] = ()
    options: Any = None
    max_tokens: int | None = None
    context_length: int = 4096


@dataclass(slots=True)
class TextDelta:
    """A piece of the answer."""

    text: str


@dataclass(slots=True)
class ReasoningDelta:
    """A piece of what the model thinks before it answers."""

    text: str


@dataclass(slots=True)
class ToolCallDelta:
    """A piece of a tool call. Pieces with the same `index` belong together; `arguments` pieces are concatenated."""

    index: int
    id: str | None = None
    name: str | None = None
    arguments: str = ""


@dataclass(slots=True)
class Usage:
    """What an answer cost, in tokens; None where the service does not say."""

    input_tokens: int | None
    output_tokens: int | None


@dataclass(slots=True)
class Finish:
    """The end mark of the remote. A stream that ends without it is shown as incomplete.

    `reason`: `stop`, `length` (the limit was reached), `tool_calls` or `content_filter`.
    """

    reason: str


CompletionEvent: TypeAlias = TextDelta | ReasoningDelta | ToolCallDelta | Usage | Finish
"""What `complete` yields."""
