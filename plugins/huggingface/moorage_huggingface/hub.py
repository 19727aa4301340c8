"""Calls of the Hub. Public reads go on without a token that the Hub does not accept, and say so.

Source: https://huggingface.co/docs/hub/api
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TypeVar
from urllib.parse import parse_qs, quote, urlsplit

from pydantic import SecretStr, ValidationError

from moorage import (
    Allowance,
    BadAnswer,
    Gate,
    HttpResponse,
    InvalidConfig,
    NotFound,
    PluginContext,
    RedirectRefused,
    RemoteError,
    SearchQuery,
    Unreachable,
)
from moorage_huggingface import gates
from moorage_huggingface.config import HUB, Settings, origin
from moorage_huggingface.limits import Place
from moorage_huggingface.mapping import worth_keeping
from moorage_huggingface.memory import Memory
from moorage_huggingface.problems import Refusal, hub_error, not_accepted
from moorage_huggingface.query import DETAIL_FIELDS, GGUF_UP_TO, search_params
from moorage_huggingface.wire import HubModel, TreeEntry, WhoAmI, Wire

REFUSED_NOTICE = (
    "Hugging Face does not accept the saved token, so this was read without it. Renew it on the Plugins page."
)
OTHER_WAYS = "A proxy is set on the Settings page, a mirror of the Hub on the Plugins page; `make demo` needs neither."
MAX_TREE_PAGES = 50
GATE_SECONDS = 6.0
HANDED_OUT = ("x-linked-etag", "x-linked-size", "x-repo-commit")  # the Hub says them of a file that it gives
_ID = re.compile(r"(?:[\w-][\w.-]*/)?[\w-][\w.-]*", re.ASCII)
_NEXT = re.compile(r'<([^<>]*)>[^<>]*;\s*rel="?next"?')
W = TypeVar("W", bound=Wire)


class Hub:
    """One call's view of the Hub; `notice` is set when the token was refused on the way.

    `memory` is what earlier calls have read, and the limits that they met.
    """

    def __init__(self, context: PluginContext, memory: Memory) -> None:
        self._http = context.http
        self._memory = memory
        self._settings: Settings = context.config
        self.endpoint: str = self._settings.hub_endpoint
        # A token refused a moment ago is not tried again with every call: that would cost two each time.
        refused = memory.refused(self.endpoint, self._settings.token)
        self.notice: str | None = REFUSED_NOTICE if refused else None

    @property
    def token(self) -> SecretStr | None:
        return None if self.notice else self._settings.token

    @property
    def allowance(self) -> Allowance | None:
        """What the Hub still takes from whom it was asked by."""
        return self._memory.limits.allowance(Place.of(self.endpoint, self.token, "api"))

    def search(self, query: SearchQuery) -> tuple[list[HubModel], str | None]:
        """One page, and the cursor of the next. A cursor is only ever a value: no address is taken from outside."""
        response = self._read("/api/models", search_params(query), "list of models")
        models = _entries(HubModel, response, "The Hub's list")
        cut = len(models) > query.limit  # by us, since the mirror does not know `limit`
        models = models[: query.limit]
        for model in models:
            if query.limit <= GGUF_UP_TO or "gguf" not in model.tags:  # else what makes a detail is not all there
                self._memory.list_model(self.endpoint, self.token, model)
        # A cursor goes on behind what was sent, so what was cut off would never be seen: better an end than a hole.
        return models, None if cut else _next_cursor(response)

    def model(self, id: str, revision: str | None) -> HubModel:
        """What the Hub says of a model; its `id` is the present one, whatever name it was asked for by."""
        if not _ID.fullmatch(id):
            raise NotFound(f"{id[:100]} cannot be a model of the Hub.", hint="Write it as org/name.")
        listed = self._memory.listed(self.endpoint, self.token, id, revision)
        if listed is not None:
            return listed
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

    def tree(self, id: str, revision: str) -> tuple[tuple[TreeEntry, ...], bool]:
        """The files at a commit that are worth keeping, over all pages, and whether that is the whole list.

        A commit does not change, so it is read once. Ask for it only where `model` was read with the present token:
        what is kept may be somebody's own.
        """
        kept = self._memory.tree(self.endpoint, id, revision)
        if kept is not None:
            return kept, True
        entries, whole = self._entries_at(id, revision)
        found = worth_keeping(entries)
        if whole:
            self._memory.keep_tree(self.endpoint, id, revision, found)
        return found, whole

    def _entries_at(self, id: str, revision: str) -> tuple[list[TreeEntry], bool]:
        """Up to MAX_TREE_PAGES pages, and whether no more follow."""
        path = f"/api/models/{id}/tree/{quote(revision, safe='')}"
        entries: list[TreeEntry] = []
        cursor: str | None = None
        for _ in range(MAX_TREE_PAGES):
            response = self._read(path, [("recursive", "true"), *([("cursor", cursor)] if cursor else [])], id)
            entries += _entries(TreeEntry, response, f"The Hub's file list of {id}")
            cursor = _next_cursor(response)
            if cursor is None:
                return entries, True
        return entries, False

    def gate(self, model: HubModel, files: Sequence[TreeEntry]) -> tuple[Gate, RemoteError | None]:
        """Whether its files may be had, and why that cannot be said just now.

        Metadata of gated models is public, so only asking for a file tells.
        """
        if model.gated is False:
            return Gate(state="open"), None
        url = gates.page(model.id)
        if self.token is None:
            return Gate(state="sign-in", url=url), None
        if not files:
            return Gate(state="unknown", url=url), None
        file = next((entry.path for entry in files if entry.path.lower().endswith(".gguf")), files[0].path)
        path = self._file(model.id, model.sha or "main", file)
        try:
            answer = self._get(path, (), self.token, method="HEAD", timeout=GATE_SECONDS)
        except RedirectRefused as error:  # sent on to another origin
            # The Hub names the file that it hands out; a mirror that hands on to the Hub, or a page to sign in on the
            # way, has checked nothing.
            given = any(name in error.headers for name in HANDED_OUT)
            is_open = given and origin(error.location) != origin(HUB)
            return Gate(state="open" if is_open else "unknown", url=url), None
        except InvalidConfig:
            return Gate(state="unknown", url=url), None
        except RemoteError as error:
            return Gate(state="unknown", url=url), error
        if answer.status < 400:
            return Gate(state="open", url=url), None
        refusal = Refusal(answer.status, answer.headers, answer.content, self.token)
        if answer.status in (401, 403):
            return gates.closed(answer.status, refusal.said, gates.page(model.id, self.endpoint, refusal.said)), None
        return Gate(state="unknown", url=url), hub_error(refusal, model.id, self.endpoint)

    def who(self) -> WhoAmI | None:
        """Whose the token is; None without one. AuthFailed where it is not accepted."""
        key = self._settings.token
        if key is None:
            return None
        response = self._get("/api/whoami-v2", (), key)
        if response.status == 401:
            raise not_accepted()
        if response.status >= 400:
            raise hub_error(
                Refusal(response.status, response.headers, response.content, key),
                "information on tokens",
                self.endpoint,
            )
        self._memory.accept(self.endpoint, key)
        try:
            return WhoAmI.model_validate(response.json())
        except ValidationError as error:
            raise BadAnswer(f"The Hub's answer on the token could not be read: {_first(error)}") from None

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
            if again.status < 400:  # else it may be the Hub that has a problem, not the token
                self._memory.refuse(self.endpoint, key)
            if again.status != 401:
                self.notice, response, key = REFUSED_NOTICE, again, None
        elif response.status == 401 and self.notice is not None and not response.headers.get("x-error-code"):
            raise not_accepted()
        if response.status >= 400:
            raise hub_error(Refusal(response.status, response.headers, response.content, key), what, self.endpoint)
        return response

    def _get(
        self,
        path: str,
        params: Sequence[tuple[str, str]],
        key: SecretStr | None,
        *,
        method: str = "GET",
        timeout: float | None = None,
    ) -> HttpResponse:
        """The answer, whatever it is; RateLimited without a request while the Hub would take none."""
        place = Place.of(self.endpoint, key, _bucket(path))
        self._memory.limits.check(place)
        try:
            answer = self._http.request(method, self.endpoint + path, params=params, key=key, timeout=timeout)
        except RedirectRefused as error:
            self._memory.limits.note(place, 302, error.headers)
            raise
        except Unreachable as error:
            raise Unreachable(str(error), hint=f"{error.hint or ''} {OTHER_WAYS}".strip()) from error
        self._memory.limits.note(place, answer.status, answer.headers)
        if answer.status == 429:
            self._memory.limits.check(place)
        return answer


def _bucket(path: str) -> str:
    """What a limit is for. Asking whose a token is has a narrow one of its own, which must not hold up searches."""
    if path.startswith("/api/whoami"):
        return "whoami"
    return "api" if path.startswith("/api/") else "resolvers"


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
