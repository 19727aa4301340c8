"""The hooks. Each says what it does in a few lines; the work is in the modules beside this one."""

from __future__ import annotations

from collections.abc import Iterator

from moorage import (
    Capabilities,
    CompletionEvent,
    CompletionRequest,
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
from moorage_huggingface.hub import Hub
from moorage_huggingface.router import Router

TITLE = "Hugging Face"


@hookimpl
def register_config() -> type[Settings]:
    return Settings


@hookimpl
def register_provider() -> list[ProviderSpec]:
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
def search_models(query: SearchQuery, context: PluginContext) -> SearchPage:
    hub = Hub(context)
    models, cursor = hub.search(query)
    results = tuple(mapping.hit(model, hub.endpoint) for model in models)
    return SearchPage(results=results, cursor=cursor, notice=hub.notice)


@hookimpl
def describe_model(ref: ModelRef, context: PluginContext) -> ModelDetail:
    hub = Hub(context)
    model = hub.model(ref.id, ref.revision)
    revision = model.sha or ref.revision or "main"
    tree = hub.tree(model.id, revision)
    files = mapping.model_files(tree, lambda path: hub.file_url(model.id, revision, path))
    served = Router(None, context).model(model.id) if model.inference_provider_mapping else None
    return mapping.detail(
        model,
        revision=revision,
        files=files,
        hub=hub.endpoint,
        gate=hub.gate(model, [entry.path for entry in tree if entry.type == "file"]),
        served=mapping.served_by(model, served),
        notice=hub.notice,
        token=hub.token,
    )


@hookimpl
def list_models(provider: Provider, context: PluginContext) -> list[ProviderModel]:
    return [mapping.provider_model(model) for model in Router(provider, context).models()]


@hookimpl
def complete(request: CompletionRequest, context: PluginContext) -> Iterator[CompletionEvent]:
    yield from Router(request.provider, context).complete(request)
