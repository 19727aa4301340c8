"""Calls of the Hub. Public reads go on without a token that the Hub does not accept, and say so.

Source: https://huggingface.co/docs/hub/api
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TypeVar
from urllib.parse import parse_qs, quote, urlsplit

from pydantic import SecretStr, ValidationError

from moorage import BadAnswer, Gate, HttpResponse, InvalidConfig, NotFound, PluginContext, SearchQuery, Unreachable
from moorage_huggingface.config import Settings
from moorage_huggingface.problems import Refusal, hub_error
from moorage_huggingface.query import DETAIL_FIELDS, search_params
from moorage_huggingface.wire import HubModel, TreeEntry, Wire

REFUSED_NOTICE = (
    "Hugging Face does not accept the saved token, so this was read without it. Renew it on the Plugins page."
)
OTHER_WAYS = "A proxy is set on the Settings page, a mirror of the Hub on the Plugins page; `make demo` needs neither."
MAX_TREE_PAGES = 50
_ID = re.compile(r"(?:[\w-][\w.-]*/)?[\w-][\w.-]*", re.ASCII)
_NEXT = re.compile(r'<([^<>]*)>[^<>]*;\s*rel="?next"?')
W = TypeVar("W", bound=Wire)


class Hub:
    """One call's view of the Hub; `notice` is set when the token was refused on the way."""

    def __init__(self, context: PluginContext) -> None:
        self._context = context
        self._settings: Settings = context.config
        self.endpoint: str = self._settings.hub_endpoint
        self.notice: str | None = None

    @property
    def token(self) -> SecretStr | None:
        return None if self.notice else self._settings.token

    def search(self, query: SearchQuery) -> tuple[list[HubModel], str | None]:
        """One page, and the cursor of the next. A cursor is only ever a value: no address is taken from outside."""
        response = self._read("/api/models", search_params(query), "list of models")
        return _entries(HubModel, response, "The Hub's list"), _next_cursor(response)

    def model(self, id: str, revision: str | None) -> HubModel:
        """What the Hub says of a model; its `id` is the present one, whatever name it was asked for by."""
        if not _ID.fullmatch(id):
            raise NotFound(f"{id[:100]} cannot be a model of the Hub.", hint="Write it as org/name.")
        model, complete = self._model(id, revision)
        if not complete and model.id != id and _ID.fullmatch(model.id):
            model, _ = self._model(model.id, revision)
        return model

    def _model(self, id: str, revision: str | None) -> tuple[HubModel, bool]:
        """With whether all fields were asked for: the redirect from an old name may lose the question."""
        at = f"/revision/{quote(revision, safe='')}" if revision else ""
        response = self._read(f"/api/models/{id}{at}", [("expand[]", field) for field in DETAIL_FIELDS], id)
        try:
            return HubModel.model_validate(response.json()), "expand" in urlsplit(response.url).query
        except ValidationError as error:
            raise BadAnswer(f"The Hub's answer on {id} could not be read: {_first(error)}") from None

    def tree(self, id: str, revision: str) -> list[TreeEntry]:
        """All files at a commit, over all pages."""
        path = f"/api/models/{id}/tree/{quote(revision, safe='')}"
        entries: list[TreeEntry] = []
        cursor: str | None = None
        for _ in range(MAX_TREE_PAGES):
            response = self._read(path, [("recursive", "true"), *([("cursor", cursor)] if cursor else [])], id)
            entries += _entries(TreeEntry, response, f"The Hub's file list of {id}")
            cursor = _next_cursor(response)
            if cursor is None:
                break
        return entries

    def gate(self, model: HubModel, files: Sequence[str]) -> Gate:
        """Whether its files may be had. Metadata of gated models is public, so only asking for a file tells."""
        if model.gated is False:
            return Gate(state="open")
        url = f"{self.endpoint}/{model.id}"
        if self.token is None:
            return Gate(state="sign-in", url=url)
        if not files:
            return Gate(state="unknown", url=url)
        file = next((path for path in files if path.lower().endswith(".gguf")), files[0])
        try:
            answer = self._get(self._file(model.id, model.sha or "main", file), (), self.token, method="HEAD")
        except InvalidConfig:  # sent on to another origin, where the bytes are: this account may have them
            return Gate(state="open", url=url)
        except (Unreachable, BadAnswer):
            return Gate(state="unknown", url=url)
        if answer.status < 400:
            return Gate(state="open", url=url)
        if answer.status == 403:
            said = answer.headers.get("x-error-message", "").lower()
            refused = "rejected" in said or "has been refused" in said
            return Gate(state="refused" if refused else "accept-licence", url=url)
        return Gate(state="sign-in" if answer.status == 401 else "unknown", url=url)

    def file_url(self, id: str, revision: str, file: str) -> str:
        return self.endpoint + self._file(id, revision, file)

    @staticmethod
    def _file(id: str, revision: str, file: str) -> str:
        return f"/{id}/resolve/{quote(revision, safe='')}/{quote(file)}"

    def _read(self, path: str, params: Sequence[tuple[str, str]], what: str) -> HttpResponse:
        key = self.token
        response = self._get(path, params, key)
        if response.status == 401 and key is not None and not response.headers.get("x-error-code"):
            # A token that is not accepted breaks public reads too (huggingface_hub#1124): once more without it.
            again = self._get(path, params, None)
            if again.status != 401:
                self.notice, response, key = REFUSED_NOTICE, again, None
        if response.status >= 400:
            raise hub_error(Refusal(response.status, response.headers, response.content, key), what)
        return response

    def _get(
        self, path: str, params: Sequence[tuple[str, str]], key: SecretStr | None, method: str = "GET"
    ) -> HttpResponse:
        try:
            return self._context.http.request(method, self.endpoint + path, params=params, key=key)
        except Unreachable as error:
            raise Unreachable(str(error), hint=f"{error.hint or ''} {OTHER_WAYS}".strip()) from error


def _entries(kind: type[W], response: HttpResponse, what: str) -> list[W]:
    """A list's entries. One odd entry hides nothing else; a list of nothing but odd ones is an error."""
    value = response.json()
    if not isinstance(value, list):
        raise BadAnswer(f"{what} is not a list.", hint="Check the Hub's address on the Plugins page.")
    found, wrong = [], None
    for item in value:
        try:
            found.append(kind.model_validate(item))
        except ValidationError as error:
            wrong = wrong or error
    if wrong is not None and not found:
        raise BadAnswer(f"{what} could not be read: {_first(wrong)}")
    return found


def _next_cursor(response: HttpResponse) -> str | None:
    """Only the cursor of `Link`: with a mirror its address may be of another host, which gets no token of ours."""
    match = _NEXT.search(response.headers.get("link", ""))
    if match is None:
        return None
    cursors = parse_qs(urlsplit(match[1]).query).get("cursor")
    return cursors[0] if cursors else None


def _first(error: ValidationError) -> str:
    item = error.errors(include_input=False, include_url=False)[0]
    return f"{'.'.join(map(str, item['loc']))}: {item['msg']}"
