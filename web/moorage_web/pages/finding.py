"""Searching, as every page with the search component does it, alone or inside of a form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from flask import render_template, request
from werkzeug.datastructures import MultiDict

from moorage.errors import FieldError, InvalidInput, MoorageError
from moorage.models import ProviderType, SearchOutcome, SearchQuery, SourceStatus
from moorage_web import forms
from moorage_web.current import host
from moorage_web.formats import parameters
from moorage_web.pages import Lazy
from moorage_web.search_args import asks_for_something, parameter_count, search_of_page
from moorage_web.search_view import PREFIX, Finding, Look, Pick

FRAGMENTS = ("results", "panel", "where")
PAGE = 10  # results; a page with them weighs at most 100 kB
PICKS = "/settings/llm/new"  # answers with the fragments of a search inside of a form
START = {"servedBy": "any"}  # the filters of a form at first
_PRESSED = ("_search", "_filter", "_more", "_open", "_text")
_FILTERS = ("format", "app", "task", "author", "license", "language", "gated", "minParameters", "maxParameters")


def find(query: SearchQuery, sources: Any) -> SearchOutcome:
    """The outcome of a search; a failure is an outcome too, with its reason for each source and the way to go on."""
    try:
        return host().search.search(query, sources)
    except MoorageError as error:
        statuses = getattr(error, "sources", ()) or tuple(
            SourceStatus(source=name, ok=False, seconds=0, error=_sentence(error), hint=error.hint)
            for name in (sources or host().search.sources() or ("search",))
        )
        return SearchOutcome(results=(), next=query.cursor, sources=statuses)


def _sentence(error: MoorageError) -> str:
    details = [f"{item.field} {item.message}" for item in error.errors] if isinstance(error, InvalidInput) else []
    return f"{error} {'; '.join(details)}".strip()


def page(path: str, *, fixed: Mapping[str, str] | None = None) -> Finding:
    """The search of a page of its own, from the request's query string."""
    shown = [(key, value) for key, value in request.args.items(multi=True) if key not in ("fragment", "revision")]
    args = MultiDict(request.args)
    for key, value in (fixed or {}).items():
        args.setlist(key, [value])
    return _finding(path, args, shown=shown, fixed=fixed or {}, wanted=asks_for_something(MultiDict(request.args)))


def pick(type: ProviderType, args: MultiDict[str, str], *, own: bool, wanted: bool) -> Finding:
    """The search in the form of a provider type; `own` where its endpoint is one's own."""
    field, found = searched(type), MultiDict(args)
    source = (field.search if field else None) or ""
    found.setlist("source", [source])
    return _finding(PICKS, found, fixed={"source": source}, wanted=wanted, pick=Pick(type, own))


def searched(type: ProviderType, prefix: str = "config") -> forms.Field | None:
    """The field of a provider type's form that is a search."""
    made = forms.fields(type.schema_, prefix=prefix, search_source=type.search_source)
    return next((field for field in made if field.kind == "model"), None)


def pressed() -> bool:
    """Whether a button of the search was pressed in a form, which is sent then."""
    return any(request.form.get(name) is not None for name in _PRESSED)


def sent(type: ProviderType, prefix: str) -> MultiDict[str, str]:
    """The form as it was sent, with what a button of its search puts into the model field."""
    form, field = MultiDict(request.form), searched(type, prefix)
    for button in ("_text", "_use"):
        if field is not None and form.get(button):
            form[field.name] = form[button]
    return form


def in_form(type: ProviderType, form: MultiDict[str, str], config: Mapping[str, Any], prefix: str) -> Finding | None:
    """The search in a form that holds `config`, as it was sent or as it begins; None where nothing is searched."""
    field = searched(type, prefix)
    if field is None:
        return None

    def value(key: str) -> str:
        return form.get(f"{prefix}.{key}", "") if form else str(config.get(key) or "")

    own = bool(value("endpoint").strip())
    held = [(key.removeprefix(PREFIX), value) for key, value in form.items(multi=True) if key.startswith(PREFIX)]
    args = MultiDict(held) if held else MultiDict({} if own else START)
    name, _, wish = form.get("_filter", "").partition("=")
    if name:
        args[name] = wish
    args["q"] = value(field.key)
    places = {"cursor": form.get("_more") or (form.get("_cursor") if form.get("_open") else None)}
    for key, place in {**places, "open": form.get("_open")}.items():
        if place:
            args[key] = place
    return pick(type, args, own=own, wanted=pressed())


def fragment(kind: str, finding: Finding) -> str:
    """The results alone, or one panel, or the lines that say where one result can run."""
    revision = request.args.get("revision") or None
    return render_template(f"fragments/{kind}.html", find=finding, key=finding.open or "", revision=revision)


def _finding(
    path: str,
    args: MultiDict[str, str],
    *,
    fixed: Mapping[str, str],
    wanted: bool,
    shown: Sequence[tuple[str, str]] = (),
    pick: Pick | None = None,
) -> Finding:
    sources: tuple[str, ...] = ()
    errors: tuple[FieldError, ...] = ()
    try:
        search = search_of_page(args)
        query, sources = search.as_query(), search.source
        if not args.get("limit"):
            query = query.model_copy(update={"limit": PAGE})
    except InvalidInput as wrong:
        query, errors = SearchQuery(text=args.get("q", "").strip()), wrong.errors
    likely, names = host().local.likely_target(), host().local.names()
    return Finding(
        path=path,
        query=query,
        args=shown,
        given=_given(args, query if not errors else None),
        fixed=fixed,
        sources=host().search.sources(),
        asked=sources,
        targets=sorted(names.items(), key=lambda item: item[0] != likely),
        types=_types(pick, fixed),
        troubles=host().search.troubles(),
        errors=errors,
        open=args.get("open") or None,
        pick=pick,
        wanted=wanted,
        outcome=Lazy(lambda: find(query, sources) if wanted and not errors else None),
        look=cache(_look),
    )


def _types(pick: Pick | None, fixed: Mapping[str, str]) -> dict[str, ProviderType]:
    """The provider types by the source whose models they use; in a form it is the one that is being filled in."""
    if pick is not None:
        return {fixed["source"]: pick.type}
    return {type.search_source: type for type in host().providers.types() if type.search_source}


def _given(args: MultiDict[str, str], query: SearchQuery | None) -> dict[str, str]:
    """What is looked for, as it was typed; where it makes sense, one way to write it."""
    found = {name: args.get(name, "").strip() for name in ("q", *_FILTERS, "servedBy")}
    if found["servedBy"].lower() in ("any", "all"):
        found["servedBy"] = "any"
    if query is not None:
        counts = {"minParameters": query.min_parameters, "maxParameters": query.max_parameters}
        short = {name: (count, parameters(count)) for name, count in counts.items() if count is not None}
        found |= {name: text for name, (count, text) in short.items() if parameter_count(text) == count}
    sources = [value for value in args.getlist("source") if value]
    if len(sources) < len(host().search.sources()):
        found["source"] = ", ".join(sources)
    return {name: value for name, value in found.items() if value}


def _look(key: str, revision: str | None = None) -> Look:
    """Everything about one model, judged for the target and the context length that are asked for."""
    source, _, id = key.partition(":")
    target = request.args.get("target")
    if target not in host().local.names():
        target = host().local.likely_target()
    asked = request.args.get("context", "")
    length = int(asked) if asked.isdecimal() and 256 <= int(asked[:9]) <= 10**7 else None
    try:
        detail = host().search.describe(source, id, revision)
        detail = host().suitability.of(detail, target=target, context_length=length)
    except MoorageError as error:
        return Look(error=error, target=target)
    length = length or host().preferences.current.context_length
    return Look(
        detail=detail,
        target=target,
        length=min(length, detail.context_length or length),
        chosen=request.args.get("file"),
        every=request.args.get("files") == "all",
    )
