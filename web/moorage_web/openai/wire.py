"""The requests and answers of `/v1`, with exactly OpenAI's keys. What cannot be honoured here is refused by name."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from moorage.errors import FieldError, InvalidInput, field_errors
from moorage.models import ChatMessage, Tool, ToolCall
from moorage_web.arguments import Line


class Wire(BaseModel):
    model_config = ConfigDict(extra="forbid", protected_namespaces=())


class TextPart(Wire):
    type: Literal["text"]
    text: str


class WireFunctionCall(Wire):
    name: str
    arguments: str


class WireToolCall(Wire):
    id: str
    type: Literal["function"] = "function"
    function: WireFunctionCall


class WireMessage(Wire):
    """A message of the request; answers of this API are taken back as they were given."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | tuple[TextPart, ...] | None = None
    name: str | None = None
    tool_calls: tuple[WireToolCall, ...] | None = None
    tool_call_id: str | None = None
    reasoning_content: str | None = None
    refusal: str | None = None
    annotations: tuple[Any, ...] | None = None
    audio: None = None
    function_call: None = None

    def told(self) -> ChatMessage:
        parts = self.content or ""
        return ChatMessage(
            role="system" if self.role == "developer" else self.role,
            content=parts if isinstance(parts, str) else "\n".join(part.text for part in parts),
            tool_calls=tuple(
                ToolCall(id=call.id, name=call.function.name, arguments=call.function.arguments)
                for call in self.tool_calls or ()
            ),
            tool_call_id=self.tool_call_id,
            name=self.name,
        )


class WireFunction(Wire):
    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class WireTool(Wire):
    type: Literal["function"]
    function: WireFunction


class StreamOptions(Wire):
    include_usage: bool = False
    include_obfuscation: bool | None = None


class ResponseFormat(Wire):
    type: Literal["text"]


class CompletionBody(Wire):
    """`tool_choice` is `auto` or `none`; `n` is 1. What the model's provider cannot set is refused."""

    model: Line
    messages: Annotated[tuple[WireMessage, ...], Field(min_length=1)]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    tools: tuple[WireTool, ...] | None = None
    tool_choice: Literal["auto", "none"] | None = None
    parallel_tool_calls: bool | None = None
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    temperature: float | None = None
    top_p: float | None = None
    seed: int | None = None
    stop: str | tuple[str, ...] | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    reasoning_effort: str | None = None
    response_format: ResponseFormat | None = None
    n: Literal[1] | None = None
    user: str | None = None
    metadata: dict[str, str] | None = None
    store: bool | None = None

    def told(self) -> tuple[ChatMessage, ...]:
        return tuple(message.told() for message in self.messages)

    def given_tools(self) -> tuple[Tool, ...]:
        return () if self.tool_choice == "none" else tuple(_tools(self.tools or ()))

    def options(self) -> dict[str, Any]:
        """What was set, by the names that options of provider types have; a penalty of 0 is none."""
        values = {
            "temperature": self.temperature,
            "top_p": self.top_p,
            "seed": self.seed,
            "stop": [self.stop] if isinstance(self.stop, str) else list(self.stop) if self.stop else None,
            "presence_penalty": self.presence_penalty or None,
            "frequency_penalty": self.frequency_penalty or None,
            "reasoning_effort": self.reasoning_effort,
        }
        return {name: value for name, value in values.items() if value is not None}


def _tools(tools: tuple[WireTool, ...]) -> Iterator[Tool]:
    for number, tool in enumerate(tools):
        function = tool.function
        given = {} if function.parameters is None else {"parameters": function.parameters}
        try:
            yield Tool(name=function.name, description=function.description or "", run=_not_ours, **given)
        except ValidationError as error:
            raise InvalidInput(
                "A tool is not valid.",
                errors=tuple(
                    FieldError(f"tools.{number}.function.{item.field}", item.message) for item in field_errors(error)
                ),
            ) from None


def _not_ours(arguments: dict[str, Any]) -> str:
    raise AssertionError("a tool of the caller is run by the caller")


# -- answers ----------------------------------------------------------------------------------------------------


class ModelCard(Wire):
    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str


class ModelCards(Wire):
    object: Literal["list"] = "list"
    data: tuple[ModelCard, ...]


class WireUsage(Wire):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class AnswerMessage(Wire):
    role: Literal["assistant"] = "assistant"
    content: str | None
    reasoning_content: Annotated[str | None, Field(exclude_if=lambda value: value is None)] = None
    tool_calls: Annotated[tuple[WireToolCall, ...] | None, Field(exclude_if=lambda value: value is None)] = None
    refusal: None = None


class Choice(Wire):
    index: int = 0
    message: AnswerMessage
    finish_reason: str
    logprobs: None = None


class ChatCompletion(Wire):
    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    choices: tuple[Choice, ...]
    usage: WireUsage | None = None
