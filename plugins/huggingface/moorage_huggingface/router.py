"""Calls of the router, and of OpenAI-compatible endpoints of one's own.

Source: https://huggingface.co/docs/inference-providers
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import orjson
from pydantic import SecretStr, ValidationError

from moorage import (
    BadAnswer,
    CompletionEvent,
    CompletionRequest,
    HttpResponse,
    HttpStream,
    MoorageError,
    PluginContext,
    Provider,
    ServerSentEvent,
    chat_completion_body,
    read_chat_completion,
)
from moorage_huggingface.config import HuggingFaceProvider, Options, Settings, base_url, origin
from moorage_huggingface.problems import Refusal, no_key, router_error, status_in
from moorage_huggingface.wire import RouterModel

KNOWN_SECONDS = 5.0
NO_LIST = (404, 405, 501)  # an endpoint that serves its one model and lists none


class Router:
    """One provider's endpoint: where it is, and which key goes there. Without a provider, the router itself."""

    def __init__(self, provider: Provider | None, context: PluginContext) -> None:
        self._http = context.http
        self._settings: Settings = context.config
        self._config: HuggingFaceProvider | None = provider.config if provider else None
        endpoint = self._config.endpoint if self._config else None
        self.own = endpoint is not None
        self.base = base_url(endpoint or self._settings.router_endpoint)

    @property
    def key(self) -> SecretStr | None:
        """The provider's own key; else the saved token, but only for the hosts that it was saved for."""
        if self._config is not None and self._config.api_key is not None:
            return self._config.api_key
        known = {origin(self._settings.router_endpoint), origin(self._settings.hub_endpoint)}
        return self._settings.token if origin(self.base) in known else None

    def complete(self, request: CompletionRequest) -> Iterator[CompletionEvent]:
        key = self.key
        if key is None and not self.own:
            raise no_key()

        def failure(chunk: dict[str, Any]) -> Exception:
            return self._error(status_in(chunk), {}, orjson.dumps(chunk), request.model)

        url, headers = f"{self.base}/chat/completions", {"Accept": "text/event-stream"}
        with self._http.stream("POST", url, json=self._body(request), key=key, headers=headers) as response:
            if response.status >= 400:
                raise self._error(response.status, response.headers, response.read(), request.model)
            yield from read_chat_completion(_events(response), failure)

    def models(self) -> list[RouterModel]:
        """What it serves now; an endpoint that has no such list serves its one model."""
        response = self._public(f"{self.base}/models", None)
        if response.status in NO_LIST and self.own and self._config is not None:
            return [RouterModel(id=self._config.model)]
        if response.status >= 400:
            raise self._error(response.status, response.headers, response.content, "list")
        value = response.json()
        items = value.get("data") if isinstance(value, dict) else value
        if not isinstance(items, list):
            raise BadAnswer("The list of models could not be read.", hint="Check the endpoint's address.")
        found = []
        for item in items:
            try:
                found.append(RouterModel.model_validate(item))
            except ValidationError:
                continue  # one odd entry hides nothing else
        return found

    def model(self, id: str) -> RouterModel | None:
        """What the router knows of one model; None where it does not, or does not answer soon."""
        try:
            response = self._public(f"{self.base}/models/{quote(id, safe='/')}", KNOWN_SECONDS)
            if response.status >= 400:
                return None
            value = response.json()
            return RouterModel.model_validate(value.get("data", value) if isinstance(value, dict) else value)
        except (MoorageError, ValidationError):
            return None

    def _public(self, url: str, timeout: float | None) -> HttpResponse:
        """Lists of the router are for everyone, so a token that is not accepted need not hide them."""
        response = self._http.request("GET", url, key=self.key, timeout=timeout)
        if response.status == 401 and self.key is not None and not self.own:
            response = self._http.request("GET", url, timeout=timeout)
        return response

    def _error(self, status: int, headers: Any, body: bytes, model: str) -> MoorageError:
        return router_error(Refusal(status, headers, body, self.key), model=model, own=self.own)

    def _body(self, request: CompletionRequest) -> dict[str, Any]:
        options: Options | None = request.options
        chosen = options.model_dump(exclude_none=True) if options is not None else {}
        return {**chosen, **chat_completion_body(request), "model": self._model(request.model)}

    def _model(self, model: str) -> str:
        routing = self._config.routing if self._config else None
        return f"{model}:{routing}" if routing and not self.own and ":" not in model else model


def _events(response: HttpStream) -> Iterator[ServerSentEvent]:
    """The events of the stream; of a whole answer, which some services give although a stream was asked for, one."""
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "text/html":
        raise BadAnswer(
            "A web page came where an answer should be.",
            hint="Check the endpoint's address, and sign-in pages in between.",
        )
    if kind != "application/json":
        yield from response.events()
        return
    text = response.read().decode("utf-8", "replace")
    if not text.lstrip().startswith("{"):
        raise BadAnswer("The answer could not be read.", hint="Check the endpoint's address.")
    yield ServerSentEvent("message", text)
