"""A provider type that answers with your own words: the smallest complete plugin."""

import json
from collections.abc import Iterator

from pydantic import Field

from moorage import (
    Capabilities,
    CompletionEvent,
    CompletionRequest,
    Config,
    Finish,
    PluginContext,
    Provider,
    ProviderModel,
    ProviderSpec,
    TextDelta,
    Tool,
    ToolCallDelta,
    Unsupported,
    Usage,
    hookimpl,
)

TITLE = "Echo"
VOICES = {"plain": str, "loud": str.upper, "backwards": lambda text: text[::-1]}


class EchoConfig(Config):
    """The form of a provider: Moorage renders it, checks it and keeps it."""

    model: str = Field(default="plain", title="Voice", description="plain, loud or backwards")
    greeting: str = Field(default="", title="Greeting", description="Said before each answer", max_length=80)


class EchoOptions(Config):
    """What an agent can set for each answer."""

    repeat: int = Field(default=1, ge=1, le=5, title="How often")


@hookimpl
def register_provider() -> list[ProviderSpec]:
    return [
        ProviderSpec(
            type="echo",
            label="Echo",
            description="Answers with your own words.",
            config=EchoConfig,
            options=EchoOptions,
            capabilities=Capabilities(chat=True, tools=True),
        )
    ]


@hookimpl
def register_tools() -> list[Tool]:
    return [
        Tool(
            name="shout",
            description="Say a text loudly.",
            parameters={"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]},
            run=lambda arguments: arguments["text"].upper(),
        )
    ]


@hookimpl
def list_models(provider: Provider) -> list[ProviderModel]:
    return [ProviderModel(name=name, context_length=4096, capabilities=("completion", "tools")) for name in VOICES]


@hookimpl
def complete(request: CompletionRequest, context: PluginContext) -> Iterator[CompletionEvent]:
    if request.model not in VOICES:
        raise Unsupported(f"There is no voice {request.model}.", hint=f"Use one of: {', '.join(VOICES)}.")
    last = request.messages[-1]
    if (
        last.role == "user"
        and last.content.startswith("shout ")
        and any(tool.name == "shout" for tool in request.tools)
    ):
        yield ToolCallDelta(0, "call_1", "shout", json.dumps({"text": last.content.removeprefix("shout ")}))
        yield Finish("tool_calls")
        return
    answer = " ".join([VOICES[request.model](last.content)] * request.options.repeat)
    for word in f"{request.provider.config.greeting} {answer}".split():
        yield TextDelta(f"{word} ")
    yield Usage(input_tokens=len(last.content.split()), output_tokens=len(answer.split()))
    yield Finish("stop")
