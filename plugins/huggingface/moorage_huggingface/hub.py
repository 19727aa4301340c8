"""Calls of the Hub. Public reads go on without a token that the Hub does not accept, and say so.

Source: https://huggingface.co/docs/hub/api
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

from pydantic import SecretStr, ValidationError

from moorage import BadAnswer, HttpResponse, PluginContext, SearchQuery
from moorage_huggingface.config import Settings
from moorage_huggingface.problems import hub_error
from moorage_huggingface.wire import HubModel, TreeEntry

REFUSED_NOTICE = (
    "Hugging Face does not accept the saved token, so this was read without it. Renew it on the Plugins page."
)
SORT = {
    "downloads": "downloads",
    "likes": "likes",
    "trending": "trendingScore",
    "created": "createdAt",
    "updated": "lastModified",
}
LIST_FIELDS = ("author", "downloads", "likes", "gated", "tags", "pipeline_tag", "lastModified", "safetensors")
DETAIL_FIELDS = (*LIST_FIELDS, "sha", "private", "disabled", "gguf", "inferenceProviderMapping")
_NEXT = re.compile(r'<([^>]*)>\s*;\s*rel="next"')
MAX_TREE_PAGES = 20


class Hub:
    """One call's view of the Hub; `notice` is set when the token was refused on the way."""

    def __init__(self, context: PluginContext) -> None:
        self._context = context
        self._settings: Settings = context.config
        self.notice: str | None = None

    @property
    def token(self) -> SecretStr | None:
        return None if self.notice else self._settings.token

    def search(self, query: SearchQuery) -> tuple[list[HubModel], str | None]:
        """One page, and the cursor of the next. A cursor is only ever a value: no address is taken from outside."""
        response = self._read("/api/models", params=_search_params(query), what="this list")
        try:
            models = [HubModel.model_validate(item) for item in response.json()]
        except (ValidationError, TypeError) as error:
            raise BadAnswer(f"The Hub's list could not be read: {_first(error)}") from None
        return models, _next_cursor(response)

    def model(self, id: str, revision: str | None) -> HubModel:
        at = f"/revision/{quote(revision, safe='')}" if revision else ""
        params = [("expand[]", field) for field in DETAIL_FIELDS]
        response = self._read(f"/api/models/{_path(id)}{at}", params=params, what=id)
        try:
            return HubModel.model_validate(response.json())
        except ValidationError as error:
            raise BadAnswer(f"The Hub's answer on {id} could not be read: {_first(error)}") from None

    def tree(self, id: str, revision: str) -> list[TreeEntry]:
        """All files at a commit, over all pages."""
        path = f"/api/models/{_path(id)}/tree/{quote(revision, safe='')}"
        entries: list[TreeEntry] = []
        cursor: str | None = None
        for _ in range(MAX_TREE_PAGES):
            params = [("recursive", "true"), *([("cursor", cursor)] if cursor else [])]
            response = self._read(path, params=params, what=id)
            try:
                entries += [TreeEntry.model_validate(item) for item in response.json()]
            except (ValidationError, TypeError) as error:
                raise BadAnswer(f"The Hub's file list of {id} could not be read: {_first(error)}") from None
            cursor = _next_cursor(response)
            if cursor is None:
                break
        return entries

    def access(self, id: str, revision: str, file: str) -> HttpResponse:
        """Ask for a file without reading it: whether it may be had shows in the status."""
        return self._get(self.file_path(id, revision, file), (), self.token, method="HEAD")

    def file_url(self, id: str, revision: str, file: str) -> str:
        return self._settings.hub_endpoint + self.file_path(id, revision, file)

    @staticmethod
    def file_path(id: str, revision: str, file: str) -> str:
        return f"/{_path(id)}/resolve/{quote(revision, safe='')}/{quote(file)}"

    def _read(self, path: str, *, params: Sequence[tuple[str, Any]], what: str) -> HttpResponse:
        response = self._get(path, params, self.token)
        if response.status == 401 and self.token is not None and not response.headers.get("x-error-code"):
            # A bad token breaks public reads too (huggingface_hub#1124): once more without it.
            again = self._get(path, params, None)
            if again.status < 400:
                self.notice = REFUSED_NOTICE
                return again
        if response.status >= 400:
            raise hub_error(
                response.status, response.headers, response.content, what=what, signed_in=self.token is not None
            )
        return response

    def _get(
        self, path: str, params: Sequence[tuple[str, Any]], key: SecretStr | None, method: str = "GET"
    ) -> HttpResponse:
        url = self._settings.hub_endpoint + path
        return self._context.http.request(method, url, params=list(params), key=key)


def _search_params(query: SearchQuery) -> list[tuple[str, str]]:
    params = [("sort", SORT[query.sort]), ("limit", str(query.limit))]
    params += [("search", word) for word in [query.text.strip()] if word]
    filters = [
        query.format,
        f"license:{query.license}" if query.license else None,
        query.language,
    ]
    params += [("filter", value) for value in filters if value]
    single = {
        "apps": query.app,
        "pipeline_tag": query.task,
        "author": query.author,
        "gated": None if query.gated is None else str(query.gated).lower(),
        "inference_provider": query.served_by,
        "num_parameters": _parameter_range(query.min_parameters, query.max_parameters),
        "cursor": query.cursor,
    }
    params += [(key, value) for key, value in single.items() if value]
    return params + [("expand[]", field) for field in LIST_FIELDS]


def _parameter_range(low: int | None, high: int | None) -> str | None:
    parts = [f"{name}:{value}" for name, value in (("min", low), ("max", high)) if value is not None]
    return ",".join(parts) or None


def _next_cursor(response: HttpResponse) -> str | None:
    match = _NEXT.search(response.headers.get("link", ""))
    if match is None:
        return None
    cursors = parse_qs(urlsplit(match[1]).query).get("cursor")
    return cursors[0] if cursors else None


def _path(id: str) -> str:
    return quote(id, safe="/")


def _first(error: Exception) -> str:
    if isinstance(error, ValidationError):
        item = error.errors(include_input=False, include_url=False)[0]
        return f"{'.'.join(map(str, item['loc']))}: {item['msg']}"
    return str(error)
