"""The hooks. Each says what it does in a few lines; the work is in the modules beside this one."""

from __future__ import annotations

from collections.abc import Iterator

from moorage import (
    Capabilities,
    CompletionEvent,
    CompletionRequest,
    Credential,
    Gate,
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
from moorage_huggingface.wire import HubModel, TreeEntry

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
    results = tuple(mapping.hit(model, context.config.hub_endpoint) for model in models)
    return SearchPage(results=results, cursor=cursor, notice=hub.notice)


@hookimpl
def describe_model(ref: ModelRef, context: PluginContext) -> ModelDetail:
    hub = Hub(context)
    model = hub.model(ref.id, ref.revision)
    tree = hub.tree(model.id, model.sha or ref.revision or "main")
    router = Router(None, context)
    served = mapping.served_by(model, router.model(model.id) if model.inference_provider_mapping else None)
    detail = mapping.detail(
        model,
        tree,
        hub=context.config.hub_endpoint,
        url_of=lambda path: hub.file_url(model.id, model.sha or "main", path),
        gate=_gate(hub, model, tree, context.config.hub_endpoint),
        served=served,
    )
    credential = None
    if hub.token is not None:
        credential = Credential(value=hub.token, origins=(context.config.hub_endpoint,))
    return detail.model_copy(update={"notice": hub.notice, "credential": credential})


@hookimpl
def list_models(provider: Provider, context: PluginContext) -> list[ProviderModel]:
    return [mapping.provider_model(model) for model in Router(provider, context).models()]


@hookimpl
def complete(request: CompletionRequest, context: PluginContext) -> Iterator[CompletionEvent]:
    yield from Router(request.provider, context).complete(request)


def _gate(hub: Hub, model: HubModel, tree: list[TreeEntry], endpoint: str) -> Gate:
    """Whether its files may be had. Metadata of gated models is public, so only asking for a file tells."""
    url = f"{endpoint}/{model.id}"
    if model.gated is False:
        return Gate(state="open")
    if hub.token is None:
        return Gate(state="sign-in", url=url)
    files = [entry.path for entry in tree if entry.type == "file"]
    if not files:
        return Gate(state="unknown", url=url)
    answer = hub.access(model.id, model.sha or "main", next((f for f in files if f.endswith(".gguf")), files[0]))
    if answer.status < 400:
        return Gate(state="open", url=url)
    if answer.status == 401:
        return Gate(state="sign-in", url=url)
    if answer.status == 403:
        said = answer.headers.get("x-error-message", "").lower()
        refused = "rejected" in said or "refused" in said
        return Gate(state="refused" if refused else "accept-licence", url=url)
    return Gate(state="unknown", url=url)
