"""Saved searches: what they found, and keeping them."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime
from typing import Any

from flask import Blueprint, redirect, render_template, request
from flask.typing import ResponseReturnValue

from moorage.errors import InvalidInput, Missing, MoorageError
from moorage.models import Find, Install, SavedQuery, SavedSearchNews, SavedSearchView
from moorage_web.current import host
from moorage_web.formats import query_url
from moorage_web.pages import fragment
from moorage_web.pages.search_form import PLACED, blank, filled, in_words, submitted
from moorage_web.search_args import asks_for_something, search_of_page

pages = Blueprint("searches", __name__)
# A page weighs at most 100 kB: so many cards, finds on each, finds on the page of one, and newer revisions.
CARDS = 8
ROWS = 3
FINDS = 30
REVISIONS = 6


@pages.get("/searches")
def searches() -> ResponseReturnValue:
    id = request.args.get("id", "")
    if fragment() == "install":
        install = host().installs.get(request.args.get("install", ""))
        names = host().local.names()
        return render_template("fragments/search_install.html", search=id, install=install, target_names=names)
    return _card(id) if fragment() == "row" else _page()


@pages.get("/searches/new")
def new() -> ResponseReturnValue:
    return _form(blank(request.args.get("q", "")))


@pages.post("/searches")
def create() -> ResponseReturnValue:
    try:
        made = host().saved_searches.create({**submitted(request.form), "query": _query(request.form)})
    except MoorageError as error:
        return _form(request.form, error), error.status
    return redirect(f"/searches#search-{made.id}", 303)


@pages.get("/searches/<id>")
def search(id: str) -> ResponseReturnValue:
    return _one(host().saved_searches.get(id))


@pages.post("/searches/<id>")
def update(id: str) -> ResponseReturnValue:
    """The name, and what it does; what it asks for stays."""
    saved, version = host().saved_searches.get(id), request.form.get("version", "")
    try:
        values = {**submitted(request.form), "query": saved.query}
        host().saved_searches.update(id, values, int(version) if version.isdigit() else saved.version)
    except MoorageError as error:
        return _one(saved, error), error.status
    return redirect(f"/searches/{id}", 303)


@pages.post("/searches/<id>/run")
def run(id: str) -> ResponseReturnValue:
    host().saved_searches.run(id)
    return _answered(id)


@pages.post("/searches/<id>/read")
def read(id: str) -> ResponseReturnValue:
    host().saved_searches.mark_read(id, _until())
    return _answered(id)


@pages.post("/searches/<id>/remove")
def remove(id: str) -> ResponseReturnValue:
    host().saved_searches.delete(id)
    return redirect("/searches", 303)


def _answered(id: str) -> ResponseReturnValue:
    """The card that a script asked for, or the page on which the button was."""
    if fragment() == "row":
        return _card(id)
    return redirect(f"/searches/{id}" if request.form.get("on") == "one" else f"/searches#search-{id}", 303)


def _query(args: Any) -> dict[str, Any]:
    """The filters of a form, in the words of the API."""
    wanted = search_of_page(args)
    given = wanted.model_dump(by_alias=True, exclude={"limit", "cursor", "gated"}, exclude_none=True)
    return given if wanted.gated is None else {**given, "gated": wanted.gated == "true"}


def _until() -> datetime | None:
    with suppress(ValueError):
        until = datetime.fromisoformat(request.form.get("until", ""))
        return until if until.tzinfo is not None else None
    return None


def _page() -> str:
    """Those with something new first, the newest of them at the top; then the others as they were made."""
    every = host().saved_searches.list().items
    ordered = [*(item for item in reversed(every) if item.unread), *(item for item in every if not item.unread)]
    after = request.args.get("after")
    start = next((place + 1 for place, item in enumerate(ordered) if item.id == after), 0)
    shown = ordered[start : start + CARDS]
    revisions = host().saved_searches.revisions() if start == 0 else ()
    return render_template(
        "pages/searches.html",
        active="searches",
        cards=[_card_of(item) for item in shown],
        after=shown[-1].id if start + CARDS < len(ordered) else None,
        count=len(every),
        revisions=sorted(revisions, key=_found_at, reverse=True)[:REVISIONS],
        more_revisions=max(0, len(revisions) - REVISIONS),
        target_names=host().local.names(),
    )


def _found_at(install: Install) -> datetime:
    return install.update.found_at if install.update is not None else install.created_at


def _card_of(search: SavedSearchView) -> dict[str, Any]:
    unread = [find for find in host().saved_searches.get(search.id).news if not find.read] if search.unread else []
    shown = unread[:ROWS]
    return {"search": search, "finds": shown, "installs": _installs(shown), "results": _results(search.query)}


def _results(query: SavedQuery) -> str:
    """The address of all that a search finds now."""
    given = query.model_dump(by_alias=True, exclude={"source", "gated"}, exclude_none=True)
    pairs = [*given.items(), *(("source", name) for name in query.source)]
    return query_url("/", pairs, gated=None if query.gated is None else str(query.gated).lower())


def _card(id: str) -> str:
    card = _card_of(host().saved_searches.get(id))
    return render_template("fragments/search_card.html", card=card, target_names=host().local.names())


def _one(search: SavedSearchNews, error: MoorageError | None = None) -> str:
    after = request.args.get("after")
    start = next((place + 1 for place, find in enumerate(search.news) if find.key == after), 0)
    finds = search.news[start : start + FINDS]
    return render_template(
        "pages/search.html",
        active="searches",
        search=search,
        finds=finds,
        after=finds[-1].key if start + FINDS < len(search.news) else None,
        installs=_installs(finds),
        target_names=host().local.names(),
        results=_results(search.query),
        **_fields(request.form if error else filled(search), error),
    )


def _form(form: Any, error: MoorageError | None = None) -> str:
    """A search that is not saved yet: its filters come with the address, or with the form."""
    args = request.form if error else request.args
    query = None
    try:
        query = SavedQuery.model_validate(_query(args)) if asks_for_something(args) else None
    except InvalidInput as wrong:
        error = error or wrong
    return render_template(
        "pages/search_new.html",
        active="searches",
        query=query,
        target_names=host().local.names(),
        **_fields(form, error),
    )


def _fields(form: Any, error: MoorageError | None) -> dict[str, Any]:
    """What the fields hold; each error beside its field, or above all where it has none."""
    found = error.errors if isinstance(error, InvalidInput) else ()
    errors = {item.field: in_words(item) for item in found}
    return {
        "form": form,
        "errors": errors,
        "unplaced": [item for item in found if item.field not in PLACED],
        "problem": error if error is not None and not found else None,
    }


def _installs(finds: Iterable[Find]) -> dict[str, Install]:
    """What the rule made of them, by id; one may have left the history."""
    found = {}
    for find in finds:
        if find.install is not None:
            with suppress(Missing):
                found[find.install] = host().installs.get(find.install)
    return found
