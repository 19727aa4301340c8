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


def probe(plugins: Plugins, provider: Provider, *, stopped: Callable[[], bool] = lambda: False) -> TestResult:
    """Takes the same path as a chat with a short answer, so that it costs next to nothing. `stopped` ends it early."""
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
        return result(TestError(part="model", message="No model is chosen.", hint="Choose a model and test again."))
    request = CompletionRequest(
        provider=provider,
        model=provider.model,
        messages=(ChatMessage(role="user", content=PROMPT),),
        max_tokens=MAX_TOKENS,
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
