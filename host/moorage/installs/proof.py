"""What a model shows right after its install: it answers, and calls a tool where it claims that it can."""

from __future__ import annotations

from collections.abc import Callable

from moorage.errors import MoorageError
from moorage.models import ChatProof, InstallFailure, InstallPlan, Proof, Provider, ToolsProof
from moorage.plugins import Plugins
from moorage.probe import COUNT, COUNT_TOKENS, probe, probe_tool


def prove(
    plugins: Plugins, plan: InstallPlan, context_length: int, stopped: Callable[[], bool]
) -> tuple[Proof, InstallFailure | None]:
    """What was shown, and a warning where that is less than one would expect."""
    provider = plan.target.model_copy(update={"model": plan.name})
    chat = probe(plugins, provider, context_length, prompt=COUNT, max_tokens=COUNT_TOKENS, stopped=stopped)
    rate = chat.tokens_per_second
    if rate is None and chat.tokens and chat.seconds:  # too short to tell the writing from the reading
        rate = round(chat.tokens / chat.seconds, 1)
    proof = Proof(chat=ChatProof(ok=chat.ok, seconds=chat.seconds, tokens_per_second=rate))
    if chat.error is not None:
        return proof, InstallFailure(code="does-not-answer", message=chat.error.message, hint=chat.error.hint)
    if stopped() or not _claims_tools(plugins, provider, plan.name):
        return proof, None
    tool = probe_tool(plugins, provider, context_length, stopped=stopped)
    proof = proof.model_copy(update={"tools": ToolsProof(ok=tool.ok, message=tool.error and tool.error.message)})
    if tool.error is None:
        return proof, None
    return proof, InstallFailure(code="calls-no-tools", message=tool.error.message, hint=tool.error.hint)


def _claims_tools(plugins: Plugins, provider: Provider, name: str) -> bool:
    """What the target itself says of the model that it has now."""
    try:
        models = plugins.list_models(provider)
    except MoorageError:
        return False
    return any(model.name.casefold() == name.casefold() and "tools" in (model.capabilities or ()) for model in models)
