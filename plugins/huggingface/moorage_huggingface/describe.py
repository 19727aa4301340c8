"""A model's detail out of what is known already and what has to be asked.

After a search that named its commit, one call: the file list. What fails just now beside it makes a partial detail.
"""

from __future__ import annotations

from moorage import ModelDetail, ModelRef, PluginContext, RemoteError, ServedBy
from moorage_huggingface import mapping
from moorage_huggingface.hub import Hub
from moorage_huggingface.memory import Memory
from moorage_huggingface.router import Router
from moorage_huggingface.wire import HubModel


def describe(ref: ModelRef, context: PluginContext, memory: Memory) -> ModelDetail:
    hub = Hub(context, memory)
    model = hub.model(ref.id, ref.revision)
    revision = model.sha or ref.revision or "main"
    tree, whole = hub.tree(model.id, revision)
    gate, gate_error = hub.gate(model, tree)
    served, served_error = _served(model, context, memory)
    missing = []
    if not whole:
        missing.append("Its file list is too long to be read whole: some of its files may be missing here.")
    if gate_error is not None:
        missing.append(f"Whether its files may be had could not be seen just now. {gate_error}")
    if served_error is not None:
        missing.append(f"What inference providers ask and can do could not be read just now. {served_error}")
    return mapping.detail(
        model,
        revision=revision,
        files=mapping.model_files(tree, lambda path: hub.file_url(model.id, revision, path)),
        hub=hub.endpoint,
        gate=gate,
        served=served,
        token=hub.token,
        notice=" ".join(filter(None, (hub.notice, *missing))) or None,
        partial=bool(missing),
    )


def _served(model: HubModel, context: PluginContext, memory: Memory) -> tuple[tuple[ServedBy, ...], RemoteError | None]:
    """The Hub's mapping joined with the router's list, which is asked for only where somebody serves the model."""
    router = Router(None, context, memory.limits)
    try:
        if model.inference_provider_mapping:
            entry = memory.router.find(router, model.id)
        else:
            entry = memory.router.known(router).get(model.id)
    except RemoteError as error:
        return mapping.served_by(model, None), error
    return mapping.served_by(model, entry), None
