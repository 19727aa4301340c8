"""One real, short completion: does this provider answer, and if not, which part fails?"""

from __future__ import annotations

import time
from collections.abc import Callable

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
    Usage,
)
from moorage.plugins import Plugins

PROMPT = "Reply with the single word: ready"
MAX_TOKENS = 16
SECONDS = 120.0
STEP_SECONDS = 0.25


def probe(
    plugins: Plugins, provider: Provider, context_length: int, *, stopped: Callable[[], bool] = lambda: False
) -> TestResult:
    """Takes the same path as a chat with a short answer, so that it costs next to nothing. `stopped` ends it early.

    `context_length` is the person's setting, in tokens.
    """
    started = time.monotonic()
    reply, thought, finished = "", False, False
    tokens: int | None = None

    def result(error: TestError | None) -> TestResult:
        seconds = round(time.monotonic() - started, 3)
        return TestResult(
            ok=error is None,
            seconds=seconds,
            model=provider.model,
            reply=reply.strip() or None,
            tokens=tokens,
            error=error,
        )

    if not provider.model:
        try:
            provider = provider.model_copy(update={"model": _first_model(plugins, provider)})
        except MoorageError as error:
            return result(TestError(part=error.part, message=str(error), hint=error.hint))
    if not provider.model:
        return result(
            TestError(part="model", message="There is no model to test with.", hint="Install one, or name one.")
        )
    request = CompletionRequest(
        provider=provider,
        model=provider.model,
        messages=(ChatMessage(role="user", content=PROMPT),),
        max_tokens=MAX_TOKENS,
        context_length=context_length,
    )
    try:
        stream = plugins.complete(request)
    except MoorageError as error:
        return result(TestError(part=error.part, message=str(error), hint=error.hint))
    try:
        while time.monotonic() - started < SECONDS and not stopped():
            batch = stream.take(STEP_SECONDS)
            if batch is None:
                break
            for event in batch:
                if isinstance(event, TextDelta):
                    reply += event.text
                elif isinstance(event, ReasoningDelta):
                    thought = True
                elif isinstance(event, Usage):
                    tokens = event.output_tokens
                elif isinstance(event, Finish):
                    finished = True
            if len(reply) > 200:
                break
    except MoorageError as error:
        return result(TestError(part=error.part, message=str(error), hint=error.hint))
    finally:
        stream.close()
    if reply.strip() or (thought and finished):
        return result(None)
    message = "The model ended without a word." if finished else "No complete answer came."
    return result(TestError(part="answer", message=message, hint="Try another model, or look at the service itself."))


def _first_model(plugins: Plugins, provider: Provider) -> str | None:
    """A model to test with, where none is chosen: the first of those that the endpoint offers for chats."""
    for model in plugins.list_models(provider):
        if model.capabilities is None or "completion" in model.capabilities:
            return model.name
    return None
