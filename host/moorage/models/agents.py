"""Agents, conversations and what is said in them."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from moorage.models.base import Document, Model, Time
from moorage.models.completion import Role

EndState = Literal["complete", "incomplete", "stopped", "failed"]


def _is_empty(value: object) -> bool:
    return not value


class AgentLLM(Model):
    """Which model answers: a saved provider by id (and perhaps another model of it), or a type and model inline."""

    provider: str | None = Field(default=None, exclude_if=_is_empty)
    type: str | None = Field(default=None, exclude_if=_is_empty)
    model: str | None = Field(default=None, exclude_if=_is_empty)
    config: dict[str, Any] = Field(default_factory=dict, exclude_if=_is_empty)

    @model_validator(mode="after")
    def _one_of(self) -> AgentLLM:
        if (self.provider is None) == (self.type is None):
            raise ValueError("give either a saved provider or a type with a model")
        if self.provider is not None and self.config:
            raise ValueError("a saved provider has its own config; leave config out")
        return self


class Agent(Document):
    """A name, instructions, a model, options and tools. Secrets of an inline config are in the secret store."""

    name: str = Field(min_length=1, max_length=120)
    slug: str = ""
    instructions: str = Field(default="", max_length=100_000)
    llm: AgentLLM
    options: dict[str, Any] = Field(default_factory=dict)
    tools: tuple[str, ...] = ()
    created_at: Time
    updated_at: Time


class ToolUse(Model):
    """A tool call as the transcript keeps it; `ok` and `content` are the result, None while there is none."""

    id: str
    name: str
    arguments: str
    needs_approval: bool = False
    ok: bool | None = None
    content: str | None = None


class Message(Document):
    """One message of a transcript. `state` is the end state of an answer, None for other roles and while it streams."""

    role: Role
    content: str = ""
    reasoning: str = ""
    tool_calls: tuple[ToolUse, ...] = ()
    state: EndState | None = None
    error: str | None = None
    hint: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    seconds: float | None = None
    model: str | None = None
    created_at: Time


class Conversation(Document):
    """One conversation; its messages are a collection of their own."""

    agent: str
    title: str
    created_at: Time
    updated_at: Time
    messages: tuple[Message, ...] = Field(default=())
    active: bool = False
