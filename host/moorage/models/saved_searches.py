"""Saved searches: what is looked for, what was found since the last look, and what may be installed of it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from moorage.models.base import Document, Model, Time
from moorage.models.installs import Install, Window
from moorage.models.search import SearchQuery, Sort


class SavedQuery(Model):
    """A search in the words of the API: `q` is its text, `source` the sources to ask, where none means all."""

    q: str = Field(default="", max_length=500)
    source: tuple[str, ...] = ()
    format: Literal["gguf"] | None = None
    app: Literal["ollama", "llama.cpp"] | None = None
    task: str | None = None
    author: str | None = None
    license: str | None = None
    language: str | None = None
    gated: bool | None = None
    min_parameters: int | None = Field(default=None, ge=0)
    max_parameters: int | None = Field(default=None, ge=0)
    served_by: str | None = None
    sort: Sort = "downloads"

    @property
    def asks(self) -> bool:
        """Whether there is anything to search for: words, or at least one filter."""
        return bool(self.model_dump(exclude={"source", "sort"}, exclude_none=True, exclude_defaults=True))

    def as_query(self, *, limit: int, sort: Sort) -> SearchQuery:
        return SearchQuery(
            text=self.q, limit=limit, sort=sort, **self.model_dump(exclude={"q", "source", "sort"}, exclude_none=True)
        )


class InstallRule(Model):
    """What may be installed by itself of what is found: `max_per_day` models of at most `max_bytes` each.

    Only what fits the target well is taken, with `tight_too` also what fits it tightly. `target` None is the default
    one, and without a `window` it begins at once.
    """

    target: str | None = None
    max_per_day: int = Field(default=1, ge=1, le=20)
    max_bytes: int | None = Field(default=None, ge=1)
    tight_too: bool = False
    window: Window | None = None


class SavedSearch(Document):
    """A search that is kept and, with `daily`, run once a day. `version` counts what people change."""

    name: str = Field(min_length=1, max_length=120)
    query: SavedQuery
    daily: bool = True
    rule: InstallRule | None = None
    created_at: Time
    updated_at: Time


class Find(Model):
    """A model that was not there at the look before, as its source listed it.

    `install` is the install that the rule made of it, of `file` onto `target`; `skipped` says why there is none, and
    `waits` that the rule looks at it again, which it has done in vain on `tries` days, last at `tried_at`.
    """

    source: str
    id: str
    found_at: Time
    created_at: Time | None = None
    revision: str | None = None
    parameters: int | None = None
    downloads: int | None = None
    license: str | None = None
    gated: Literal[False, "auto", "manual"] = False
    has_gguf: bool = False
    url: str | None = None
    read: bool = False
    install: str | None = None
    file: str | None = None
    target: str | None = None
    skipped: str | None = None
    waits: bool = False
    tries: int = 0
    tried_at: Time | None = None

    @property
    def key(self) -> str:
        return f"{self.source}:{self.id}"


class SavedSearchView(SavedSearch):
    """A saved search with how it went: `unread` finds, and in `last_error` the sources that did not answer."""

    unread: int = 0
    last_run_at: Time | None = None
    next_run_at: Time | None = None
    last_error: str | None = None


class SavedSearchNews(SavedSearchView):
    """The same with its finds, newest first."""

    news: tuple[Find, ...] = ()


class News(Model):
    """A find that nobody has read, with the id and name of its search; or an install whose model has a newer revision.

    `found_at` is when it was found, and what the list is ordered by.
    """

    kind: Literal["find", "revision"]
    found_at: Time
    search: str | None = None
    search_name: str | None = None
    find: Find | None = None
    install: Install | None = None


class NewsCount(Model):
    """How much there is to read."""

    finds: int
    revisions: int
