"""Everything about one model, asked of its source four at a time and kept by its revision."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager

from moorage.cache import AgingCache
from moorage.errors import Unreachable
from moorage.models import ModelDetail, ModelRef

AT_ONCE = 4  # calls of one source
WAIT_SECONDS = 60.0  # for one of them
FRESH_SECONDS = 60.0
# What belongs to a commit stays, but prices do not; and who has just accepted a licence wants to see it soon.
COMMIT_SECONDS = 600.0
KEPT = 500


class Details:
    """`describe` asks the plugin of the source; it is called once for those who want the same at the same time."""

    def __init__(self, describe: Callable[[ModelRef], ModelDetail], monotonic: Callable[[], float]) -> None:
        self._describe = describe
        self._kept: AgingCache[ModelDetail] = AgingCache(KEPT, monotonic)
        self._lock = threading.Lock()
        self._asked: dict[ModelRef, Future[ModelDetail]] = {}
        self._slots: defaultdict[str, threading.Semaphore] = defaultdict(lambda: threading.Semaphore(AT_ONCE))

    @contextmanager
    def slot(self, source: str) -> Iterator[None]:
        """One of the few calls of a source that may be under way at a time; Unreachable where none gets free."""
        with self._lock:
            slots = self._slots[source]
        if not slots.acquire(timeout=WAIT_SECONDS):
            raise Unreachable(f"{source} is busy with other questions.", hint="Try again in a moment.")
        try:
            yield
        finally:
            slots.release()

    def get(self, ref: ModelRef, *, fresh: bool = False) -> ModelDetail:
        """What was said a short while ago, or, and always with `fresh`, what the source says now."""
        if fresh:
            return self._ask(ref, fresh=True)
        kept = self._fresh(ref)
        if kept is not None:
            return kept
        with self._lock:
            under_way = self._asked.get(ref)
            if under_way is None:
                mine = self._asked[ref] = Future()
        if under_way is not None:
            return under_way.result()
        try:
            detail = self._ask(ref, fresh=False)
            mine.set_result(detail)
            return detail
        except BaseException as error:
            mine.set_exception(error)
            raise
        finally:
            with self._lock:
                if self._asked.get(ref) is mine:
                    del self._asked[ref]

    def forget(self) -> None:
        """As when a key has changed: what is under way was asked with the old one, and is for those who wait only."""
        with self._lock:
            self._asked.clear()
        self._kept.clear()

    def _fresh(self, ref: ModelRef) -> ModelDetail | None:
        kept = self._kept.get(ref, COMMIT_SECONDS if ref.revision else FRESH_SECONDS)
        if kept is not None and kept.gate.state != "open":
            kept = self._kept.get(ref, FRESH_SECONDS)
        return kept

    def _ask(self, ref: ModelRef, *, fresh: bool) -> ModelDetail:
        with self.slot(ref.source):
            epoch = self._kept.epoch
            detail = (None if fresh else self._fresh(ref)) or self._describe(ref)
        if not detail.partial:
            if ref.revision in (None, detail.revision):  # else it is a branch, which moves on
                self._kept.put(ref, detail, epoch)
            self._kept.put(ModelRef(source=ref.source, id=ref.id, revision=detail.revision), detail, epoch)
        return detail
