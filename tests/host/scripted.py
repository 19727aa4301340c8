"""A provider type whose answers a test writes: an in-process plugin, for what is above the plugins."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

from pydantic import SecretStr

from moorage import (
    Capabilities,
    CompletionEvent,
    CompletionRequest,
    Config,
    Finish,
    PluginContext,
    ProviderModel,
    ProviderSpec,
    TextDelta,
    Tool,
    Usage,
    hookimpl,
)

Answer = Callable[[CompletionRequest, PluginContext], Iterator[CompletionEvent]]


class ScriptedConfig(Config):
    model: str = "m"
    endpoint: str = "http://127.0.0.1:8999"
    api_key: SecretStr | None = None


class ScriptedOptions(Config):
    temperature: float | None = None


def words(*parts: str) -> Answer:
    """An answer of these pieces, with usage and an end."""

    def answer(request: CompletionRequest, context: PluginContext) -> Iterator[CompletionEvent]:
        for part in parts:
            yield TextDelta(part)
        yield Usage(3, len(parts))
        yield Finish("stop")

    return answer


class Scripted:
    """`answers` are used up one by one, the last one again and again; `requests` are what was asked."""

    def __init__(self, *answers: Answer, tools: tuple[Tool, ...] = ()) -> None:
        self.answers = list(answers) or [words("Hello", " there.")]
        self.requests: list[CompletionRequest] = []
        self.tools = tools
        self.closed = threading.Event()

    @hookimpl
    def register_provider(self) -> list[ProviderSpec]:
        return [
            ProviderSpec(
                type="scripted",
                label="Scripted",
                config=ScriptedConfig,
                options=ScriptedOptions,
                capabilities=Capabilities(chat=True, tools=True),
            )
        ]

    @hookimpl
    def register_tools(self) -> list[Tool]:
        return list(self.tools)

    @hookimpl
    def list_models(self) -> list[ProviderModel]:
        return [ProviderModel(name="m")]

    @hookimpl
    def complete(self, request: CompletionRequest, context: PluginContext) -> Iterator[CompletionEvent]:
        self.requests.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        try:
            yield from answer(request, context)
        finally:
            self.closed.set()


def events_of(turn: Any) -> list[tuple[str, dict[str, Any]]]:
    return [(event.type, event.data) for batch in turn.run() for event in batch]
