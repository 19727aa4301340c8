"""Calls of the router, and of OpenAI-compatible endpoints of one's own.

Source: https://huggingface.co/docs/inference-providers
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlsplit

from pydantic import SecretStr, ValidationError

from moorage import (
    AuthFailed,
    CompletionEvent,
    CompletionRequest,
    MoorageError,
    PluginContext,
    Provider,
    ServerSentEvent,
    chat_completion_body,
    read_chat_completion,
)
from moorage_huggingface.config import HuggingFaceProvider, Options, Settings, base_url
from moorage_huggingface.problems import TOKENS_PAGE, router_error
from moorage_huggingface.wire import RouterModel

KNOWN_SECONDS = 5.0


class Router:
    """One provider's endpoint: where it is, and which key goes there."""

    def __init__(self, provider: Provider | None, context: PluginContext) -> None:
        self._context = context
        self._settings: Settings = context.config
        self._config: HuggingFaceProvider | None = provider.config if provider else None
        endpoint = self._config.endpoint if self._config else None
        self.own = endpoint is not None
        self.base = base_url(endpoint or self._settings.router_endpoint)

    @property
    def key(self) -> SecretStr | None:
        """The provider's own key; else the saved token, but only where that was given for: the router."""
        if self._config is not None and self._config.api_key is not None:
            return self._config.api_key
        same = urlsplit(self.base)[:2] == urlsplit(self._settings.router_endpoint)[:2]
        return self._settings.token if same else None

    def complete(self, request: CompletionRequest) -> Iterator[CompletionEvent]:
        if self.key is None and not self.own:
            raise AuthFailed(
                "Hugging Face needs a token to use a model.",
                hint=f"Add one on the Plugins page, in this provider, or as HF_TOKEN. It is made at {TOKENS_PAGE} "
                "and needs the permission to make calls to Inference Providers.",
            )

        def failure(chunk: dict[str, Any]) -> Exception:
            error = chunk.get("error")
            status = error.get("status_code") or error.get("code") if isinstance(error, dict) else None
            status = status if isinstance(status, int) and 400 <= status < 600 else 500
            return router_error(status, {}, json.dumps(chunk).encode(), model=request.model, own=self.own)

        body = self._body(request)
        url = f"{self.base}/chat/completions"
        headers = {"Accept": "text/event-stream"}
        with self._context.http.stream("POST", url, json=body, key=self.key, headers=headers) as response:
            if response.status >= 400:
                raise router_error(
                    response.status, response.headers, response.read(), model=request.model, own=self.own
                )
            if "json" in response.headers.get("content-type", ""):  # one object, although a stream was asked for
                whole = ServerSentEvent("message", response.read().decode("utf-8", "replace"))
                yield from read_chat_completion((whole,), failure)
            else:
                yield from read_chat_completion(response.events(), failure)

    def models(self) -> list[RouterModel]:
        """What it serves now; an endpoint that has no such list serves its one model."""
        response = self._context.http.request("GET", f"{self.base}/models", key=self.key)
        if response.status >= 400:
            if self.own and self._config is not None:
                return [RouterModel(id=self._config.model)]
            raise router_error(response.status, response.headers, response.content, model="", own=self.own)
        value = response.json()
        items = value.get("data") if isinstance(value, dict) else value
        found = []
        for item in items or ():
            try:
                found.append(RouterModel.model_validate(item))
            except ValidationError:
                continue  # one odd entry hides nothing else
        return found

    def model(self, id: str) -> RouterModel | None:
        """What the router knows of one model; None where it does not, or does not answer soon."""
        url = f"{self.base}/models/{quote(id, safe='/')}"
        try:
            response = self._context.http.request("GET", url, key=self.key, timeout=KNOWN_SECONDS)
            if response.status >= 400:
                return None
            value = response.json()
            return RouterModel.model_validate(value.get("data", value) if isinstance(value, dict) else value)
        except (MoorageError, ValidationError):
            return None

    def _body(self, request: CompletionRequest) -> dict[str, Any]:
        options: Options | None = request.options
        chosen = options.model_dump(exclude_none=True) if options is not None else {}
        return {**chosen, **chat_completion_body(request), "model": self._model(request.model)}

    def _model(self, model: str) -> str:
        routing = self._config.routing if self._config else None
        return f"{model}:{routing}" if routing and not self.own and ":" not in model else model
