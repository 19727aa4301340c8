"""The hooks. Each says what it does in a few lines; the work is in the modules beside this one."""

from __future__ import annotations

from collections.abc import Iterator

from moorage import (
    Capabilities,
    CompletionEvent,
    CompletionRequest,
    InstallPlan,
    InstallProgress,
    InstallRequest,
    PluginContext,
    Provider,
    ProviderDraft,
    ProviderModel,
    ProviderSpec,
    TargetFacts,
    hookimpl,
)
from moorage_ollama import plan
from moorage_ollama.chat import ChatReader, chat_body
from moorage_ollama.client import OllamaClient
from moorage_ollama.config import OllamaOptions, OllamaProvider, OllamaSettings
from moorage_ollama.discover import running_servers
from moorage_ollama.endpoint import DEFAULT_ENDPOINT
from moorage_ollama.failures import error_of, use_error
from moorage_ollama.install import install
from moorage_ollama.models import ShownModels, can_think, installed_models
from moorage_ollama.pacing import Pacing

PLAN_SECONDS = 4.0  # for the one question that a plan may ask


class OllamaPlugin:
    """One per host: it remembers what old servers said about their models."""

    TITLE = "Ollama"

    def __init__(self, pacing: Pacing = Pacing()) -> None:  # noqa: B008 - frozen
        self._pacing = pacing
        self._shown = ShownModels()

    @hookimpl
    def register_config(self) -> type[OllamaSettings]:
        return OllamaSettings

    @hookimpl
    def register_provider(self) -> list[ProviderSpec]:
        return [
            ProviderSpec(
                type="ollama",
                label="Ollama",
                description="An Ollama server on this machine or another: use and install its models.",
                config=OllamaProvider,
                options=OllamaOptions,
                capabilities=Capabilities(chat=True, tools=True, install=True),
                default_endpoint=DEFAULT_ENDPOINT,
            )
        ]

    @hookimpl
    def discover_providers(self, context: PluginContext) -> list[ProviderDraft]:
        return running_servers(context.http, context.config.host)

    @hookimpl
    def list_models(self, provider: Provider, context: PluginContext) -> list[ProviderModel]:
        return installed_models(_client(provider, context), self._shown)

    @hookimpl
    def describe_target(self, provider: Provider) -> TargetFacts:
        """An Ollama server tells its version and what its models take, and nothing of what it has.

        See https://github.com/ollama/ollama/pull/15608 for what it may tell one day.
        """
        return TargetFacts(here=plan.is_here(provider.config.endpoint))

    @hookimpl
    def plan_install(self, request: InstallRequest, context: PluginContext) -> InstallPlan:
        client = _client(request.target, context)
        return plan.plan(request, (lambda: client.version(PLAN_SECONDS)) if request.ask_target else None)

    @hookimpl
    def install_model(self, plan: InstallPlan, context: PluginContext) -> Iterator[InstallProgress]:
        yield from install(_client(plan.target, context), plan, context.fetch, self._pacing)

    @hookimpl
    def remove_model(self, provider: Provider, model: str, context: PluginContext) -> None:
        _client(provider, context).delete(model)

    @hookimpl
    def complete(self, request: CompletionRequest, context: PluginContext) -> Iterator[CompletionEvent]:
        client = _client(request.provider, context)
        options = request.options or OllamaOptions()
        think = options.think is not None and can_think(client, request.model)
        reader = ChatReader()
        with client.chat(chat_body(request, options, can_think=think)) as lines:
            for line in lines:
                if text := error_of(line):
                    raise use_error(text, request.model)
                yield from reader.feed(line)
                if reader.finished:
                    return


def _client(provider: Provider, context: PluginContext) -> OllamaClient:
    return OllamaClient(context.http, provider.config.endpoint)
