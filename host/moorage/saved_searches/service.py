"""Saved searches: kept, run once a day, and what they found."""

from __future__ import annotations

import builtins
import threading
from collections import defaultdict
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from moorage.clock import Clock, NewId
from moorage.errors import Conflict, Missing
from moorage.events import EventBus
from moorage.installs import Installs
from moorage.local import LocalModels
from moorage.models import Install, News, NewsCount, Page, SavedSearch, SavedSearchNews, SavedSearchView, Time
from moorage.plugins import Plugins
from moorage.saved_searches.asking import ask
from moorage.saved_searches.checking import checked_search
from moorage.saved_searches.memory import Memories, SearchMemory
from moorage.saved_searches.newest import newest
from moorage.saved_searches.rounds import DAY, Look, Looks, Rounds
from moorage.saved_searches.taking import Taker
from moorage.schedule import Timer
from moorage.search import Search
from moorage.store import Store
from moorage.suitability import Suitability

NAMED = 5  # models in the event


class SavedSearches:
    """`host.saved_searches`."""

    def __init__(
        self,
        store: Store,
        plugins: Plugins,
        search: Search,
        suitability: Suitability,
        local: LocalModels,
        installs: Installs,
        events: EventBus,
        timer: Timer,
        clock: Clock,
        new_id: NewId,
        time_zone: Callable[[], str],
    ) -> None:
        self._documents = store.collection("saved_searches", SavedSearch)
        self._looks = Looks(store)
        self._memories = Memories(store)
        self._plugins = plugins
        self._local = local
        self._installs = installs
        self._events = events
        self._clock = clock
        self._new_id = new_id
        self._time_zone = time_zone
        self._taker = Taker(self._memories, search, suitability, local, installs, clock, time_zone)
        self._rounds = Rounds(self._looks, timer, clock, self._run_when_due)
        self._lock = threading.Lock()
        self._running: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)

    def list(self, *, limit: int | None = None, cursor: str | None = None) -> Page[SavedSearchView]:
        """Oldest first."""
        page = self._documents.query(limit=limit, cursor=cursor)
        return Page(items=tuple(self._view(search) for search in page.items), next=page.next)

    def get(self, id: str) -> SavedSearchNews:
        search = self._saved(id)
        memory = self._memories.get(id)
        view = self._view(search).model_copy(update={"unread": memory.unread})
        return SavedSearchNews(**dict(view), news=memory.news)

    def create(self, values: Mapping[str, Any]) -> SavedSearchNews:
        """Check and save a search from `name`, `query`, `daily` and `rule`, and look once: all that is there is old."""
        now, id = self._clock(), self._new_id("search")
        search = self._checked({**values, "id": id, "createdAt": now, "updatedAt": now}, None)
        # The search itself last: what a crash leaves of one that is not there is never shown, and swept when it is due.
        self._memories.begin(id, search.query)
        self._looks.add(Look(id=id, due_at=now + DAY if search.daily else None))
        self._documents.put(search)
        self.run(id)
        self._rounds.wake_in_time()
        return self.get(id)

    def update(self, id: str, values: Mapping[str, Any], version: int) -> SavedSearchNews:
        """Replace everything a person may change; Conflict for a stale version.

        When it asks for something else, it looks at once, and all that is there is old.
        """
        old = self._saved(id)
        if version != old.version:
            raise Conflict(
                "This saved search was changed in the meantime.", hint="Load it again and repeat the change."
            )
        now = self._clock()
        fixed = {"id": id, "createdAt": old.created_at, "updatedAt": now, "version": version}
        search = self._documents.put(self._checked({**values, **fixed}, old))
        if search.daily != old.daily:
            due = now + DAY if search.daily else None
            self._looks.change(id, lambda look: look.model_copy(update={"due_at": due}))
            self._rounds.wake_in_time()
        if search.query != old.query:
            self._run(id)
        return self.get(id)

    def delete(self, id: str) -> None:
        """Forget it and what it found; installs that its rule has asked for stay."""
        self._saved(id)
        self._documents.delete(id)
        self._memories.drop(id)
        self._looks.drop(id)
        with self._lock:
            self._running.pop(id, None)

    def run(self, id: str) -> SavedSearchNews:
        """Look now; the next daily look stays where it is. A source that fails is named in `last_error`."""
        self._run(id, join=True)
        return self.get(id)

    def mark_read(self, id: str, until: Time | None = None) -> SavedSearchNews:
        """All finds, or with `until` those that were found until then: what came since nobody has seen."""
        self._saved(id)
        self._memories.change(id, lambda memory: memory.read(until))
        self._counted(id)
        return self.get(id)

    def news(self, *, limit: int, cursor: str | None = None) -> Page[News]:
        """What nobody has read of all searches, and newer revisions of installed models, newest first."""
        found: builtins.list[News] = []
        for look in self._looks.all():
            search = self._documents.get(look.id) if look.unread else None
            if search is not None:
                with suppress(Missing):  # it is removed at this moment
                    unread = (find for find in self._memories.get(search.id).news if not find.read)
                    found += [
                        News(kind="find", found_at=find.found_at, search=search.id, search_name=search.name, find=find)
                        for find in unread
                    ]
        for install in self.revisions():
            if install.update is not None:
                found.append(News(kind="revision", found_at=install.update.found_at, install=install))
        return newest(found, limit, cursor)

    def revisions(self) -> tuple[Install, ...]:
        """Installed models with a newer revision, as far as somebody wants to hear of it."""
        installed = self._installs.list(("installed",)).items
        return tuple(install for install in installed if install.update is not None)

    def count(self) -> NewsCount:
        """How much `news` would list; asks nobody."""
        return NewsCount(finds=sum(look.unread for look in self._looks.all()), revisions=len(self.revisions()))

    def open(self) -> None:
        """Run what is due, from now on."""
        self._rounds.open()

    def close(self) -> None:
        self._rounds.close()

    # -- inside -------------------------------------------------------------------------------------------------

    def _run_when_due(self, id: str) -> float | None:
        if self._documents.get(id) is None:
            self._memories.drop(id)  # what a process left that was killed while it removed the search
        self._events.publish("schedule.fired", self._saved(id).id)
        return self._run(id, join=True)

    def _run(self, id: str, *, join: bool = False) -> float | None:
        """Look once; the seconds that a source asked us to wait.

        With `join` a look that is under way is as good as one of our own, and waited for.
        """
        with self._lock:
            alone = self._running[id]
        if not alone.acquire(blocking=False):
            alone.acquire()
            if join:
                alone.release()
                return None
        try:
            return self._look(id)
        finally:
            alone.release()

    def _look(self, id: str) -> float | None:
        asked = ask(self._plugins, self._saved(id).query)
        search, now = self._saved(id), self._clock()

        def learn(memory: SearchMemory) -> SearchMemory:
            if self._saved(id).query != asked.query:
                return memory  # it was changed meanwhile: who did that looks again
            return memory.learned(asked, now, ruled=search.rule is not None)

        before = {find.key for find in self._memories.get(id).news}
        memory = self._memories.change(id, learn)
        fresh = [find for find in memory.news if find.key not in before]
        self._counted(id, last_run_at=now, last_error=asked.problem)
        if fresh:
            models = [find.id for find in fresh[:NAMED]]
            self._events.publish("search.found", id, name=search.name, new=len(fresh), models=models)
        if search.rule is not None:
            self._taker.take(id, lambda: self._saved(id).rule)
        return asked.wait

    def _counted(self, id: str, **more: Any) -> None:
        """What lists and counts show, beside the memory, which they do not read.

        Counted while it is written: of two who do so at once the later one must not write what was true before.
        """
        self._looks.change(id, lambda look: look.model_copy(update={"unread": self._memories.get(id).unread, **more}))

    def _checked(self, values: Mapping[str, Any], old: SavedSearch | None) -> SavedSearch:
        return checked_search(
            values,
            old,
            sources=self._plugins.sources(),
            targets=tuple(self._local.names()),
            now=self._clock(),
            time_zone=self._time_zone(),
        )

    def _saved(self, id: str) -> SavedSearch:
        search = self._documents.get(id)
        if search is None:
            raise Missing(f"There is no saved search {id}.", hint="It may have been removed.")
        return search

    def _view(self, search: SavedSearch) -> SavedSearchView:
        look = self._looks.get(search.id)
        return SavedSearchView(
            **dict(search),
            unread=look.unread,
            last_run_at=look.last_run_at,
            next_run_at=look.next_at,
            last_error=look.last_error,
        )
