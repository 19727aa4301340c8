"""What a saved search remembers from look to look: what it has seen, what it found, and what was taken today.

One file for each search, which is read only when it is looked at: a thousand searches cost nothing while nobody does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import date

from moorage.errors import Conflict, Missing, StoreError
from moorage.models import Document, Find, ModelHit, SavedQuery, Time
from moorage.saved_searches.asking import Asked, together
from moorage.saved_searches.seen import Seen
from moorage.store import Collection, Store

KEPT = 200  # finds
ID = "memory"


class SearchMemory(Document):
    """What is known of `query`; `sources` have answered it before. `taken` models were taken by the rule on `day`."""

    query: SavedQuery
    seen: Seen = Seen()
    sources: tuple[str, ...] = ()
    news: tuple[Find, ...] = ()
    day: date | None = None
    taken: int = 0

    @property
    def unread(self) -> int:
        return sum(not find.read for find in self.news)

    @property
    def waiting(self) -> tuple[Find, ...]:
        """What the rule has to look at: oldest first, and those of one look in the order of the search."""
        return tuple(sorted((find for find in self.news if find.waits), key=lambda find: find.found_at))

    def with_find(self, changed: Find) -> SearchMemory:
        news = tuple(changed if find.key == changed.key else find for find in self.news)
        return self.model_copy(update={"news": news})

    def learned(self, asked: Asked, now: Time, *, ruled: bool) -> SearchMemory:
        """With what the sources said. All that a source lists when it answers for the first time is old.

        `ruled` tells whether a rule is to look at what is new; without one it looks at nothing from before either.
        """
        memory = self
        if memory.query != asked.query:  # it asks for something else now: nothing of that was seen
            memory = memory.model_copy(update={"query": asked.query, "seen": Seen(), "sources": ()})
        fresh = [hit for source, hits in asked.hits.items() if source in memory.sources for hit in hits]
        finds = [_find(hit, now, ruled) for hit in memory.seen.unknown(fresh)]
        news = memory.news if ruled else tuple(_settled(find) for find in memory.news)
        return memory.model_copy(
            update={
                "seen": memory.seen.after(now, together(asked.hits)) if asked.hits else memory.seen,
                "sources": tuple(sorted({*memory.sources, *asked.hits})),
                "news": _bounded((*finds, *news)),
            }
        )

    def read(self, until: Time | None) -> SearchMemory:
        """All finds as read, or those that were found until then."""
        news = (
            find.model_copy(update={"read": True}) if until is None or find.found_at <= until else find
            for find in self.news
        )
        return self.model_copy(update={"news": tuple(news)})

    def taken_on(self, today: date) -> int:
        """A day that comes again, as when the time zone is moved to the west, goes on where it was."""
        return 0 if self.day is None or today > self.day else self.taken

    def counting(self, today: date, more: int) -> SearchMemory:
        day = today if self.day is None else max(today, self.day)
        return self.model_copy(update={"day": day, "taken": max(0, self.taken_on(today) + more)})


class Memories:
    """The memory of each search. A search that was removed has none, and gets none again."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def begin(self, search: str, query: SavedQuery) -> None:
        self._of(search).put(SearchMemory(id=ID, query=query))

    def get(self, search: str) -> SearchMemory:
        """Missing where there is none."""
        return _there(self._of(search).get(ID))

    def change(self, search: str, change: Callable[[SearchMemory], SearchMemory]) -> SearchMemory:
        """Write what `change` makes of it; it is called again where somebody else has written in between."""
        memories = self._of(search)
        while True:
            known = _there(memories.get(ID))
            changed = change(known)
            if changed == known:
                return known
            try:
                return memories.put(changed)
            except Conflict:
                continue
            except StoreError:
                _there(self._of(search).get(ID))  # Missing, where it was removed at this moment
                raise

    def drop(self, search: str) -> None:
        self._store.drop(f"searches/{search}")

    def _of(self, search: str) -> Collection[SearchMemory]:
        return self._store.collection(f"searches/{search}", SearchMemory)


def _there(memory: SearchMemory | None) -> SearchMemory:
    if memory is None:
        raise Missing("This saved search was removed.")
    return memory


def _find(hit: ModelHit, now: Time, waits: bool) -> Find:
    known = hit.model_dump(include=set(Find.model_fields) & set(ModelHit.model_fields))
    return Find(found_at=now, waits=waits, **known)


def _settled(find: Find) -> Find:
    return find.model_copy(update={"waits": False}) if find.waits else find


def _bounded(news: Iterable[Find]) -> tuple[Find, ...]:
    """The newest; what was read and does not wait goes first."""
    kept = list(news)
    surplus = len(kept) - KEPT
    for done in (True, False):
        for index in range(len(kept) - 1, -1, -1):
            if surplus > 0 and (not done or (kept[index].read and not kept[index].waits)):
                del kept[index]
                surplus -= 1
    return tuple(kept)
