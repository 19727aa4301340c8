"""Real, short completions: does this provider answer, does this model call a tool, and if not, what fails?"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import orjson

from moorage.errors import MoorageError
from moorage.models import (
    ChatMessage,
    CompletionRequest,
    Finish,
    Provider,
    ReasoningDelta,
    TestError,
    TestResult,
    TextDelta,
    Tool,
    ToolCallDelta,
    Usage,
)
from moorage.plugins import Plugins

PROMPT = "Reply with the single word: ready"
COUNT = "Count from 1 to 20, with commas in between."  # long enough for a speed to mean something
TOOL_PROMPT = "Get the weather in Paris now: call the tool get_weather."
TOOL = Tool(
    name="get_weather",
    description="Tells the present weather in a city.",
    parameters={
        "type": "object",
        "properties": {"city": {"type": "string", "description": "The name of the city."}},
        "required": ["city"],
    },
    run=lambda arguments: "sunny",
)
MAX_TOKENS = 16
COUNT_TOKENS = 48
TOOL_TOKENS = 512  # a model that thinks does so before it calls
SECONDS = 120.0
STEP_SECONDS = 0.25
LONGEST_REPLY = 4000  # characters


@dataclass(slots=True)
class Heard:
    """What came of one completion."""

    text: str = ""
    thought: bool = False
    finished: bool = False
    tokens: int | None = None
    calls: dict[int, ToolCallDelta] = field(default_factory=dict)
    seconds: float = 0.0
    writing_seconds: float = 0.0
    error: TestError | None = None

    @property
    def rate(self) -> float | None:
        """Tokens per second from the first to the last: reading the prompt, and loading the model, do not count."""
        if self.tokens is None or self.tokens < 2 or self.writing_seconds <= 0:
            return None
        return round((self.tokens - 1) / self.writing_seconds, 1)


def probe(
    plugins: Plugins,
    provider: Provider,
    context_length: int,
    *,
    prompt: str = PROMPT,
    max_tokens: int = MAX_TOKENS,
    stopped: Callable[[], bool] = lambda: False,
) -> TestResult:
    """Takes the same path as a chat with a short answer, so that it costs next to nothing. `stopped` ends it early.

    `context_length` is the person's setting, in tokens.
    """
    if not provider.model:
        try:
            provider = provider.model_copy(update={"model": _first_model(plugins, provider)})
        except MoorageError as error:
            return _result(provider, Heard(error=_told(error)))
    if not provider.model:
        nothing = TestError(part="model", message="There is no model to test with.", hint="Install one, or name one.")
        return _result(provider, Heard(error=nothing))
    heard = _ask(plugins, _request(provider, context_length, prompt, max_tokens), stopped)
    if heard.error is None and not heard.text.strip() and not (heard.thought and heard.finished):
        message = "The model ended without a word." if heard.finished else "No complete answer came."
        hint = "Try another model, or look at the service itself."
        heard.error = TestError(part="answer", message=message, hint=hint)
    return _result(provider, heard)


def probe_tool(
    plugins: Plugins, provider: Provider, context_length: int, *, stopped: Callable[[], bool] = lambda: False
) -> TestResult:
    """Whether the model calls a tool, with arguments that fit, when it is asked something that needs one."""
    request = _request(provider, context_length, TOOL_PROMPT, TOOL_TOKENS).model_copy(update={"tools": (TOOL,)})
    heard = _ask(plugins, request, stopped)
    if heard.error is None and (problem := _problem_of_call(heard)):
        hint = "Agents with tools will not work with it. A larger model, or another version of this one, may."
        heard.error = TestError(part="answer", message=problem, hint=hint)
    return _result(provider, heard)


def _problem_of_call(heard: Heard) -> str | None:
    call = next(iter(heard.calls.values()), None)
    if call is None:
        return "The model says that it can call tools, but answered without a call."
    if call.name != TOOL.name:
        return "The model called a tool that it was not given."
    try:
        arguments = orjson.loads(call.arguments or "{}")
    except orjson.JSONDecodeError:
        arguments = None
    if not isinstance(arguments, dict) or not isinstance(arguments.get("city"), str):
        return "The model called the tool with arguments that do not fit it."
    return None


def _request(provider: Provider, context_length: int, prompt: str, max_tokens: int) -> CompletionRequest:
    return CompletionRequest(
        provider=provider,
        model=provider.model or "",
        messages=(ChatMessage(role="user", content=prompt),),
        max_tokens=max_tokens,
        context_length=context_length,
    )


def _ask(plugins: Plugins, request: CompletionRequest, stopped: Callable[[], bool]) -> Heard:
    """Listen to one completion, until it ends or has gone on for too long."""
    heard = Heard()
    started = time.monotonic()
    first: float | None = None
    try:
        stream = plugins.complete(request)
        try:
            while time.monotonic() - started < SECONDS and not stopped():
                batch = stream.take(STEP_SECONDS)
                if batch is None:
                    break
                for event in batch:
                    _hear(heard, event)
                if first is None and batch:
                    first = time.monotonic()
                if len(heard.text) > LONGEST_REPLY:
                    break
        finally:
            stream.close()
    except MoorageError as error:
        heard.error = _told(error)
    now = time.monotonic()
    heard.seconds = round(now - started, 3)
    heard.writing_seconds = now - first if first is not None else 0.0
    return heard


def _hear(heard: Heard, event: object) -> None:
    if isinstance(event, TextDelta):
        heard.text += event.text
    elif isinstance(event, ReasoningDelta):
        heard.thought = True
    elif isinstance(event, ToolCallDelta):
        known = heard.calls.setdefault(event.index, ToolCallDelta(event.index))
        known.name = event.name or known.name
        known.arguments += event.arguments
    elif isinstance(event, Usage):
        heard.tokens = event.output_tokens
    elif isinstance(event, Finish):
        heard.finished = True


def _told(error: MoorageError) -> TestError:
    return TestError(part=error.part, message=str(error), hint=error.hint)


def _result(provider: Provider, heard: Heard) -> TestResult:
    return TestResult(
        ok=heard.error is None,
        seconds=heard.seconds,
        model=provider.model,
        reply=heard.text.strip() or None,
        tokens=heard.tokens,
        tokens_per_second=heard.rate,
        error=heard.error,
    )


def _first_model(plugins: Plugins, provider: Provider) -> str | None:
    """A model to test with, where none is chosen: the first of those that the endpoint offers for chats."""
    for model in plugins.list_models(provider):
        if model.capabilities is None or "completion" in model.capabilities:
            return model.name
    return None
