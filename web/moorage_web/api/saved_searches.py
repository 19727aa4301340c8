"""Saved searches, and the news of all of them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, StringConstraints

from moorage.models import InstallRule, Model, News, SavedSearchNews, SavedSearchView, Sort, Time
from moorage_web.arguments import Body, Line, Name, OneLine, Paging, check_unchanged
from moorage_web.current import host
from moorage_web.operations import Answer, Routes
from moorage_web.search_args import parameter_count

api = Routes("saved-searches")
NUMBER = {"anyOf": [{"type": "integer", "minimum": 0}, {"type": "string"}], "examples": [3_000_000_000, "3B"]}
Count = Annotated[int, BeforeValidator(parameter_count), Field(ge=0, json_schema_extra=NUMBER)]
FIXED = {"id", "created_at", "updated_at"}


class QueryBody(Body):
    """The parameters of a search, without `limit` and `cursor`. With no `q` there must be another filter."""

    q: Annotated[str, OneLine, StringConstraints(strip_whitespace=True, max_length=500)] = ""
    source: tuple[Line, ...] = ()
    format: Literal["gguf"] | None = None
    app: Literal["ollama", "llama.cpp"] | None = None
    task: Line | None = None
    author: Line | None = None
    license: Line | None = None
    language: Line | None = None
    gated: bool | None = None
    min_parameters: Count | None = None
    max_parameters: Count | None = None
    served_by: Line | None = None
    sort: Sort = "downloads"


class NewSavedSearch(Body):
    """`rule` says what may be installed by itself of what is found; null is nothing."""

    name: Name
    query: QueryBody
    daily: bool = True
    rule: InstallRule | None = None


class SavedSearchChange(Body):
    """The whole saved search as GET gave it; `id` and times stay as they are, `version` must be the newest.

    What its looks write (`unread`, `lastRunAt`, `nextRunAt`, `lastError`, `news`) may be sent, and is left alone.
    """

    name: Name
    query: QueryBody
    daily: bool
    rule: InstallRule | None
    version: int
    id: str = ""
    created_at: str = ""
    updated_at: str = ""
    unread: int = 0
    last_run_at: str | None = None
    next_run_at: str | None = None
    last_error: str | None = None
    news: tuple[Any, ...] = ()


class Until(Body):
    """`until` is the `foundAt` of the newest find that was seen; what was found later stays unread."""

    until: Time | None = None


class SavedSearchList(Model):
    saved_searches: tuple[SavedSearchView, ...]
    next: str | None


class NewsList(Model):
    news: tuple[News, ...]
    next: str | None


@api.get("/api/saved-searches", query=Paging, answer=SavedSearchList)
def list_saved_searches(query: Paging) -> SavedSearchList:
    """All saved searches, oldest first, without their finds."""
    page = host().saved_searches.list(limit=query.limit, cursor=query.cursor)
    return SavedSearchList(saved_searches=page.items, next=page.next)


@api.post("/api/saved-searches", body=NewSavedSearch, answer=SavedSearchNews, status=201)
def create_saved_search(body: NewSavedSearch) -> Answer:
    """Save a search. It looks at once, and all that is there already is old."""
    made = host().saved_searches.create(_values(body))
    return Answer(made, 201, {"Location": f"/api/saved-searches/{made.id}"})


@api.get("/api/saved-searches/<id:search_id>", answer=SavedSearchNews)
def get_saved_search(search_id: str) -> SavedSearchNews:
    """One saved search, with what it found, newest first."""
    return host().saved_searches.get(search_id)


@api.put("/api/saved-searches/<id:search_id>", body=SavedSearchChange, answer=SavedSearchNews)
def update_saved_search(search_id: str, body: SavedSearchChange) -> SavedSearchNews:
    """Replace a saved search. One that asks for something else looks at once, and all that is there is old."""
    current = host().saved_searches.get(search_id)
    if body.version == current.version:
        sent = body.model_dump(by_alias=True, exclude_unset=True, include=FIXED)
        check_unchanged(sent, current.model_dump(mode="json", by_alias=True))
    return host().saved_searches.update(search_id, _values(body), body.version)


@api.delete("/api/saved-searches/<id:search_id>")
def delete_saved_search(search_id: str) -> None:
    """Forget a saved search and its finds; installs that its rule has asked for stay."""
    host().saved_searches.delete(search_id)


@api.post("/api/saved-searches/<id:search_id>/run", answer=SavedSearchNews)
def run_saved_search(search_id: str) -> SavedSearchNews:
    """Look now, and install what its rule allows. `lastError` names the sources that did not answer."""
    return host().saved_searches.run(search_id)


@api.post("/api/saved-searches/<id:search_id>/read", answer=SavedSearchNews, body=Until, body_optional=True)
def read_saved_search(search_id: str, body: Until) -> SavedSearchNews:
    """Mark its finds as read."""
    return host().saved_searches.mark_read(search_id, body.until)


@api.get("/api/news", query=Paging, answer=NewsList)
def list_news(query: Paging) -> NewsList:
    """What nobody has read of all saved searches, and newer revisions of installed models, newest first."""
    page = host().saved_searches.news(limit=query.limit, cursor=query.cursor)
    return NewsList(news=page.items, next=page.next)


def _values(body: NewSavedSearch | SavedSearchChange) -> dict[str, Any]:
    return body.model_dump(by_alias=True, include={"name", "query", "daily", "rule"})
