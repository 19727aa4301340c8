"""Searching: every source is asked at once, each with its own deadline, and answers are kept for a minute.

A page that was good a moment ago beats an error: when a source fails, what it last said is shown and marked.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import zip_longest

from moorage.cache import AgingCache
from moorage.errors import FieldError, InvalidInput, Missing, MoorageError, RateLimited, RemoteError
from moorage.events import EventBus
from moorage.models import ModelDetail, ModelHit, ModelRef, SearchOutcome, SearchPage, SearchQuery, SourceStatus
from moorage.plugins import Plugins
from moorage.search.cursors import read_cursor, unknown_cursor, write_cursor
from moorage.search.details import Details
from moorage.search.looser import looser_texts

FRESH_SECONDS = 60.0
STALE_SECONDS = 3600.0
CACHED_PAGES = 500


class SearchFailed(RemoteError):
    """No source answered; `sources` says why for each."""

    code = "search-failed"
    title = "No source answered the search"

    def __init__(self, message: str, sources: tuple[SourceStatus, ...], hint: str | None) -> None:
        super().__init__(message, hint=hint)
        self.sources = sources


@dataclass(frozen=True, slots=True)
class _Answer:
    status: SourceStatus
    page: SearchPage | None
    error: MoorageError | None = None


class Search:
    """`host.search`."""

    def __init__(self, plugins: Plugins, events: EventBus, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._plugins = plugins
        self._events = events
        self._now = monotonic
        self._pages: AgingCache[SearchPage] = AgingCache(CACHED_PAGES, monotonic)
        self._details = Details(plugins.describe_model, monotonic)
        self._last: dict[str, SourceStatus] = {}
        plugins.on_change(self.forget)

    def sources(self) -> tuple[str, ...]:
        return self._plugins.sources()

    def search(self, query: SearchQuery, sources: Sequence[str] = ()) -> SearchOutcome:
        """Ask `sources` (none = all). Raises SearchFailed, or RateLimited, when every asked source failed."""
        known = self._plugins.sources()
        unknown = [name for name in sources if name not in known]
        if unknown:
            raise InvalidInput(
                f"There is no source named {unknown[0]}.",
                errors=(FieldError("source", f"must be one of {', '.join(known) or 'none: no source is loaded'}"),),
            )
        asked = tuple(dict.fromkeys(sources)) or known
        if not asked:
            raise SearchFailed("There is no source to search.", (), "Enable a plugin that searches for models.")
        cursors = read_cursor(query.cursor, known)
        if cursors is not None:
            asked = tuple(name for name in asked if name in cursors)
            if not asked:
                raise unknown_cursor()
        queries = [query.model_copy(update={"cursor": cursors[name] if cursors else None}) for name in asked]
        answers = self._ask_all(asked, queries)
        outcome = SearchOutcome(
            results=_interleave([answer.page.results for answer in answers if answer.page]),
            next=write_cursor(_following(answers, cursors or {})),
            sources=tuple(answer.status for answer in answers),
        )
        if not outcome.results and query.cursor is None and all(answer.error is None for answer in answers):
            outcome = outcome.model_copy(update={"looser": looser_texts(query)})
        self._events.publish("search.finished", query.text, results=len(outcome.results))
        if all(answer.page is None for answer in answers):
            _raise_all_failed(answers)
        return outcome

    def describe(self, source: str, id: str, revision: str | None = None, *, fresh: bool = False) -> ModelDetail:
        """Everything about one model; kept for a minute, or for longer where a search named its `revision`.

        With `fresh` what is kept does not count, as when it has led to a failure.
        """
        if source not in self._plugins.sources():
            raise Missing(f"There is no source named {source}.", hint="GET /api/plugins lists what is loaded.")
        return self._details.get(ModelRef(source=source, id=id, revision=revision), fresh=fresh)

    def slot(self, source: str) -> AbstractContextManager[None]:
        """For what else is asked of a source about one model: one of its four calls at a time."""
        return self._details.slot(source)

    def check(self) -> tuple[SourceStatus, ...]:
        """Can the sources be reached? One small search of each."""
        names = self._plugins.sources()
        queries = [SearchQuery(limit=1, format="gguf")] * len(names)
        return tuple(answer.status for answer in self._ask_all(names, queries)) if names else ()

    def troubles(self) -> tuple[SourceStatus, ...]:
        """The sources that did not answer when they were last asked, with the reason; asks nobody."""
        names = self._plugins.sources()
        return tuple(status for name, status in sorted(self._last.items()) if name in names and not status.ok)

    def forget(self) -> None:
        """Drop everything kept, as when a token or a mirror has changed."""
        self._pages.clear()
        self._details.forget()

    def _ask_all(self, names: Sequence[str], queries: Sequence[SearchQuery]) -> list[_Answer]:
        if len(names) == 1:  # the common case needs no thread of its own: the call has one already
            return [self._ask(names[0], queries[0])]
        answers: dict[int, _Answer] = {}

        def run(index: int) -> None:
            answers[index] = self._ask(names[index], queries[index])

        threads = [threading.Thread(target=run, args=(index,), daemon=True) for index in range(len(names))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return [answers[index] for index in range(len(names))]

    def _ask(self, source: str, query: SearchQuery) -> _Answer:
        started = self._now()
        key = (source, query)
        page = self._pages.get(key, FRESH_SECONDS)
        cached = page is not None
        error: MoorageError | None = None
        if page is None:
            epoch = self._pages.epoch
            try:
                page = self._plugins.search_models(source, query) or SearchPage(results=())
                self._pages.put(key, page, epoch)
            except MoorageError as raised:
                error = raised
                page = self._pages.get(key, STALE_SECONDS)
                cached = page is not None
        status = SourceStatus(
            source=source,
            ok=error is None,
            seconds=round(self._now() - started, 4),
            cached=cached,
            error=str(error) if error else None,
            hint=error.hint if error else None,
            notice=page.notice if page else None,
            allowance=page.allowance if page and not cached else None,
        )
        self._last[source] = status
        return _Answer(status, page, error)


def _following(answers: Sequence[_Answer], cursors: Mapping[str, str]) -> dict[str, str]:
    """Where each source goes on; one that failed on this page is asked for it again with the next one."""
    found = {answer.status.source: cursors.get(answer.status.source) for answer in answers}
    found |= {answer.status.source: answer.page.cursor for answer in answers if answer.page is not None}
    return {source: cursor for source, cursor in found.items() if cursor is not None}


def _raise_all_failed(answers: Sequence[_Answer]) -> None:
    errors = [answer.error for answer in answers if answer.error is not None]
    limited = [error for error in errors if isinstance(error, RateLimited)]
    if limited and len(limited) == len(errors):
        raise max(limited, key=lambda error: error.retry_after or 0.0)
    message = " ".join(str(error) for error in errors)
    raise SearchFailed(message, tuple(a.status for a in answers), errors[0].hint) from errors[0]


def _interleave(pages: Sequence[Sequence[ModelHit]]) -> tuple[ModelHit, ...]:
    """The sources' results in turn, each in its own order: their ranks cannot be compared."""
    return tuple(hit for row in zip_longest(*pages) for hit in row if hit is not None)
