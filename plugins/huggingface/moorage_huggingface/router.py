"""Calls of the router, and of OpenAI-compatible endpoints of one's own.

Source: https://huggingface.co/docs/inference-providers
"""

from __future__ import annotations

import builtins
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
    NotFound,
    PluginContext,
    Provider,
    ServerSentEvent,
    chat_completion_body,
    read_chat_completion,
)
from moorage_huggingface.config import HuggingFaceProvider, Options, Settings, base_url, origin
from moorage_huggingface.limits import Limits, Place, holder
from moorage_huggingface.problems import Refusal, no_key, router_error, status_in
from moorage_huggingface.wire import RouterModel

NO_LIST = (404, 405, 501)  # an endpoint that serves its one model and lists none


class Router:
    """One provider's endpoint: where it is, and which key goes there. Without a provider, the router itself.

    `limits` are obeyed by the calls that read what is served.
    """

    def __init__(self, provider: Provider | None, context: PluginContext, limits: Limits) -> None:
        self._http = context.http
        self._limits = limits
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

    @property
    def where(self) -> tuple[str, str]:
        """What an answer depends on: the address, and who asks."""
        return self.base, holder(self.key)

    def models(self) -> list[RouterModel]:
        """What it serves now; an endpoint that has no such list serves its one model."""
        found = self.list(None)
        if found is None and self.own and self._config is not None:
            return [RouterModel(id=self._config.model)]
        if found is None:
            raise NotFound("This router has no list of models.", hint="Check the router's address.")
        return found

    def list(self, timeout: float | None) -> builtins.list[RouterModel] | None:
        """What it serves; None where it has no list. BadAnswer for one that cannot be read."""
        response = self._public(f"{self.base}/models", timeout)
        if response.status in NO_LIST:
            return None
        if response.status >= 400:
            raise self._error(response.status, response.headers, response.content, "list")
        value = response.json()
        items = value.get("data") if isinstance(value, dict) else value
        if not isinstance(items, builtins.list):
            raise BadAnswer("The list of models could not be read.", hint="Check the endpoint's address.")
        found = []
        for item in items:
            try:
                found.append(RouterModel.model_validate(item))
            except ValidationError:
                continue  # one odd entry hides nothing else
        if items and not found:  # kept, it would say for minutes that nobody serves anything
            raise BadAnswer("The list of models could not be read.", hint="Check the endpoint's address.")
        return found

    def model(self, id: str, timeout: float | None) -> RouterModel | None:
        """What the router knows of one model; None where it does not know it."""
        response = self._public(f"{self.base}/models/{quote(id, safe='/')}", timeout)
        if response.status == 404:
            return None
        if response.status >= 400:
            raise self._error(response.status, response.headers, response.content, id)
        value = response.json()
        try:
            return RouterModel.model_validate(value.get("data", value) if isinstance(value, dict) else value)
        except ValidationError:
            raise BadAnswer(f"What the router says of {id} could not be read.") from None

    def _public(self, url: str, timeout: float | None) -> HttpResponse:
        """Lists of the router are for everyone, so a token that is not accepted need not hide them."""
        response = self._get(url, self.key, timeout)
        if response.status == 401 and self.key is not None and not self.own:
            response = self._get(url, None, timeout)
        return response

    def _get(self, url: str, key: SecretStr | None, timeout: float | None) -> HttpResponse:
        place, who = Place.of(url, key, "router"), "The endpoint" if self.own else "The router"
        self._limits.check(place, who)
        response = self._http.request("GET", url, key=key, timeout=timeout)
        self._limits.note(place, response.status, response.headers)
        if response.status == 429:
            self._limits.check(place, who)
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
