"""The hooks. Each says what it does in a few lines; the work is in the modules beside this one."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from moorage import (
    Capabilities,
    CompletionEvent,
    CompletionRequest,
    KeyCheck,
    ModelDetail,
    ModelRef,
    PluginContext,
    Provider,
    ProviderModel,
    ProviderSpec,
    SearchPage,
    SearchQuery,
    hookimpl,
)
from moorage_huggingface import mapping
from moorage_huggingface.config import ROUTER, HuggingFaceProvider, Options, Settings
from moorage_huggingface.describe import describe
from moorage_huggingface.hub import Hub
from moorage_huggingface.keys import key_check
from moorage_huggingface.memory import Memory
from moorage_huggingface.router import Router


class HuggingFacePlugin:
    """One per host: it remembers what was read, and how much the Hub still takes. `monotonic` in seconds."""

    TITLE = "Hugging Face"

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._memory = Memory(monotonic)

    @hookimpl
    def register_config(self) -> type[Settings]:
        return Settings

    @hookimpl
    def register_provider(self) -> list[ProviderSpec]:
        return [
            ProviderSpec(
                type="huggingface",
                label="Hugging Face",
                description="Any model that an inference provider serves, or an endpoint of your own.",
                config=HuggingFaceProvider,
                options=Options,
                capabilities=Capabilities(chat=True, tools=True),
                search_source="huggingface",
                default_endpoint=ROUTER,
            )
        ]

    @hookimpl
    def search_models(self, query: SearchQuery, context: PluginContext) -> SearchPage:
        hub = Hub(context, self._memory)
        models, cursor = hub.search(query)
        # Prices only where they are known: a search never waits for the router.
        served = self._memory.router.known(Router(None, context, self._memory.limits))
        results = tuple(
            mapping.hit(model, hub.endpoint, served.get(model.id)) for model in models if not model.disabled
        )
        return SearchPage(results=results, cursor=cursor, notice=hub.notice, allowance=hub.allowance)

    @hookimpl
    def describe_model(self, ref: ModelRef, context: PluginContext) -> ModelDetail:
        return describe(ref, context, self._memory)

    @hookimpl
    def check_key(self, context: PluginContext) -> KeyCheck | None:
        who = Hub(context, self._memory).who()
        return None if who is None else key_check(who)

    @hookimpl
    def list_models(self, provider: Provider, context: PluginContext) -> list[ProviderModel]:
        return [mapping.provider_model(model) for model in Router(provider, context, self._memory.limits).models()]

    @hookimpl
    def complete(self, request: CompletionRequest, context: PluginContext) -> Iterator[CompletionEvent]:
        yield from Router(request.provider, context, self._memory.limits).complete(request)
