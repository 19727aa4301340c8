"""The router's list of who serves what at which price: read as one, and kept for a few minutes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from moorage import BadAnswer, RateLimited, RemoteError, Unreachable
from moorage_huggingface.kept import Kept
from moorage_huggingface.router import Router
from moorage_huggingface.wire import RouterModel

LIST_SECONDS = 300.0
# A router that has just failed is left alone for a moment: every detail would wait for it anew.
FAILED_SECONDS = 15.0
ANSWER_SECONDS = 4.0
ROUTERS = 8


@dataclass(frozen=True, slots=True)
class _List:
    """`models` by id; None where this router has no list, only answers on one model."""

    models: Mapping[str, RouterModel] | None


class RouterLists:
    """By the router's address and the token. Thread-safe: one call reads, those who want the same wait for it."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._lists: Kept[tuple[str, str], _List] = Kept(ROUTERS, LIST_SECONDS, monotonic)
        self._failures: Kept[tuple[str, str], str] = Kept(ROUTERS, FAILED_SECONDS, monotonic)
        self._reading = threading.Lock()

    def known(self, router: Router) -> Mapping[str, RouterModel]:
        """What is kept and fresh; asks nobody."""
        kept = self._lists.get(router.where)
        return (kept.models or {}) if kept is not None else {}

    def find(self, router: Router, id: str) -> RouterModel | None:
        """What the router says of a model, None where it does not know it. RemoteError where it fails just now."""
        kept = self._lists.get(router.where) or self._read(router)
        return router.model(id, ANSWER_SECONDS) if kept.models is None else kept.models.get(id)

    def _read(self, router: Router) -> _List:
        if not self._reading.acquire(timeout=2 * ANSWER_SECONDS):
            raise Unreachable("The router is slow to answer.")
        try:
            kept = self._lists.get(router.where)
            if kept is not None:
                return kept
            failure = self._failures.get(router.where)
            if failure is not None:
                raise Unreachable(failure)
            return self._ask(router)
        finally:
            self._reading.release()

    def _ask(self, router: Router) -> _List:
        try:
            models = router.list(ANSWER_SECONDS)
        except BadAnswer:
            return _List(None)  # no list that could be read; it may be one the next time
        except RateLimited:
            raise  # the limits know how long
        except RemoteError as error:
            self._failures.put(router.where, str(error))
            raise
        kept = _List(None if models is None else {model.id: model for model in models})
        self._lists.put(router.where, kept)
        return kept
