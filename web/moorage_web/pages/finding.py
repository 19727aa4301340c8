"""Searching, as every page with the search component does it."""

from __future__ import annotations

from typing import Any

from flask import Response, render_template, request
from werkzeug.datastructures import MultiDict

from moorage.errors import InvalidInput, MoorageError
from moorage.models import ModelDetail, SearchOutcome, SearchQuery, SourceStatus, Target
from moorage_web.current import host
from moorage_web.pages import Lazy
from moorage_web.search_args import asks_for_something, search_of_page


def find(query: SearchQuery, sources: Any) -> SearchOutcome:
    """The outcome of a search; a failure is an outcome too, with its reason for each source."""
    try:
        return host().search.search(query, sources)
    except MoorageError as error:
        statuses = getattr(error, "sources", ()) or tuple(
            SourceStatus(source=name, ok=False, seconds=0, error=_sentence(error), hint=error.hint)
            for name in (sources or host().search.sources() or ("search",))
        )
        return SearchOutcome(results=(), next=None, sources=statuses)


def _sentence(error: MoorageError) -> str:
    details = [f"{item.field} {item.message}" for item in error.errors] if isinstance(error, InvalidInput) else []
    return f"{error} {'; '.join(details)}".strip()


def context(path: str, *, fixed: dict[str, str] | None = None, provider_path: str | None = None) -> dict[str, Any]:
    """What templates/finding.html needs, from the request's query string."""
    args = MultiDict(request.args)
    for key, value in (fixed or {}).items():
        args.setlist(key, [value])
    shown = {key: value for key, value in request.args.items() if key != "fragment"}
    problem: InvalidInput | None = None
    sources: tuple[str, ...]
    try:
        search = search_of_page(args)
        query, sources = search.as_query(), search.source
    except InvalidInput as error:
        query, sources, problem = SearchQuery(text=args.get("q", "")), (), error
    wanted = asks_for_something(MultiDict(request.args))

    def outcome() -> SearchOutcome | None:
        return find(query, sources) if wanted and problem is None else None

    return {
        "query": query,
        "args": shown,
        "path": path,
        "sources": host().search.sources(),
        "asked": sources,
        "fixed": fixed or {},
        "search_problem": problem,
        "outcome": Lazy(outcome),
        "troubles": host().search.troubles(),
        "open": request.args.get("open"),
        "panel": panel,
        "provider_path": provider_path or "/settings/llm/new",
    }


def panel(key: str) -> dict[str, Any]:
    """What the panel of one model needs: its detail or why there is none, and where it can be installed."""
    source, _, id = key.partition(":")
    try:
        detail: ModelDetail = host().suitability.of(host().search.describe(source, id))
    except MoorageError as error:
        return {"error": error}
    targets = [Target(target=name, name=label, type="", ok=True) for name, label in host().local.names().items()]
    best = next((file for file in detail.files if file.recommended), None)
    return {
        "detail": detail,
        "targets": targets,
        "default_target": host().local.likely_target(),
        "recommended": best.name if best else None,
    }


def fragment(kind: str, path: str, *, fixed: dict[str, str] | None = None) -> str | Response:
    """The results alone, or one panel alone, for a script."""
    values = context(path, fixed=fixed)
    if kind == "panel":
        return render_template("fragments/panel.html", **values)
    return render_template("fragments/results.html", **values)
