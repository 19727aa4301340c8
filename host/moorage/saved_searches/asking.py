"""One look at the sources of a saved search: what they list in its own order, and what is newest there."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from moorage.errors import Missing, MoorageError, RateLimited
from moorage.models import ModelHit, SavedQuery, Sort
from moorage.plugins import Plugins

RESULTS = 100  # of each order
WAIT_SECONDS = 60.0  # where a source asks us to wait and does not say how long
MOST_SECONDS = 3600.0


@dataclass(slots=True)
class Asked:
    """What each source that answered lists, in the order of the search first; and why the others did not."""

    query: SavedQuery
    hits: dict[str, list[ModelHit]] = field(default_factory=dict)
    errors: dict[str, MoorageError] = field(default_factory=dict)

    @property
    def problem(self) -> str | None:
        return " ".join(f"{source}: {error}" for source, error in self.errors.items()) or None

    @property
    def wait(self) -> float | None:
        """Seconds that a source asked us to wait."""
        limits = [error.retry_after or WAIT_SECONDS for error in self.errors.values() if isinstance(error, RateLimited)]
        return min(max(limits), MOST_SECONDS) if limits else None


def ask(plugins: Plugins, query: SavedQuery) -> Asked:
    """Asked past the cache of searches: a look is for what has come since, and half an answer of a source is none."""
    asked = Asked(query)
    known = plugins.sources()
    orders: tuple[Sort, ...] = tuple(dict.fromkeys((query.sort, "created")))

    def ask_one(source: str) -> None:
        try:
            if source not in known:
                raise Missing("No plugin offers this source now.")
            asked.hits[source] = [hit for order in orders for hit in _results(plugins, source, query, order)]
        except MoorageError as error:
            asked.errors[source] = error

    sources = query.source or known
    with ThreadPoolExecutor(max(1, len(sources)), thread_name_prefix="saved-search") as pool:
        list(pool.map(ask_one, sources))
    if not asked.hits and not asked.errors:
        asked.errors["search"] = Missing("There is no source to search.")
    return asked


def _results(plugins: Plugins, source: str, query: SavedQuery, order: Sort) -> tuple[ModelHit, ...]:
    page = plugins.search_models(source, query.as_query(limit=RESULTS, sort=order))
    return page.results[:RESULTS] if page is not None else ()


def together(hits: Mapping[str, list[ModelHit]]) -> list[ModelHit]:
    return [hit for of_source in hits.values() for hit in of_source]
