"""The OpenAI-compatible door: agents and saved providers as models."""

from __future__ import annotations

from flask import Response, request

from moorage.models import GatewayModel
from moorage_web.current import host
from moorage_web.openai.answers import first, stream, whole
from moorage_web.openai.wire import ChatCompletion, CompletionBody, ModelCard, ModelCards
from moorage_web.operations import MEGABYTE, Routes
from moorage_web.streams import stream_response

api = Routes("openai")
CLIENT_LEFT = "moorage.client_left"  # from our own server: whether nobody waits any more, () -> bool


@api.get("/v1/models", answer=ModelCards)
def list_models() -> ModelCards:
    """Every agent as agent/<slug>, and the models of every saved provider as <provider slug>/<model>."""
    return ModelCards(data=tuple(_card(model) for model in host().gateway.models()))


@api.get("/v1/models/<path:model_id>", answer=ModelCard)
def get_model(model_id: str) -> ModelCard:
    """One of them."""
    return _card(host().gateway.model(model_id))


@api.post("/v1/chat/completions", body=CompletionBody, answer=ChatCompletion, body_limit=8 * MEGABYTE)
def complete(body: CompletionBody) -> ChatCompletion | Response:
    """A chat completion, whole or as server-sent events (`stream`)."""
    completion = host().gateway.complete(
        body.model,
        body.told(),
        tools=body.given_tools(),
        options=body.options(),
        max_tokens=body.max_completion_tokens or body.max_tokens,
    )
    if not body.stream:
        return whole(completion, body.model, request.environ.get(CLIENT_LEFT, lambda: False))
    include_usage = body.stream_options is not None and body.stream_options.include_usage
    chunks = stream(completion, body.model, first(completion), include_usage)
    return stream_response(chunks, completion.close)


def _card(model: GatewayModel) -> ModelCard:
    return ModelCard(id=model.id, created=int(model.created_at.timestamp()), owned_by=model.owner)
