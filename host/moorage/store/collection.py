"""One collection: documents in memory, and one file that is replaced whole at each write.

Readers never wait for a writer's fsync: they see the documents as they were before it, or after it.
"""

from __future__ import annotations

import builtins
import threading
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

import orjson
from pydantic import ValidationError

from moorage.errors import Conflict, FieldError, InvalidInput, StoreError
from moorage.models import Document, Page
from moorage.store import Where
from moorage.store.cursors import Key, key_of, read_cursor, unknown_cursor, write_cursor
from moorage.store.files import CheckedStorage, CollectionDatabase, entry
from moorage.store.where import matcher

D = TypeVar("D", bound=Document)


class _Row(NamedTuple, Generic[D]):
    """A document and its place in the order of first put."""

    place: int
    document: D


class _Order(NamedTuple, Generic[D]):
    """All documents in one order, beside the keys they are ordered by; made for one generation of the collection."""

    generation: int
    keys: list[Key]
    items: list[D]


class FileCollection(Generic[D]):
    """A `Collection` in one file; see the interface for what each method promises.

    Documents are shared, not copied: they are frozen, and a dict or list inside of one must not be changed either.
    """

    def __init__(self, name: str, path: Path, model: type[D]) -> None:
        self.name = name
        self.model = model
        self._file = CheckedStorage(path)
        self._lock = threading.RLock()
        self._closed: str | None = None
        self._rows: dict[str, _Row[D]] = {}
        self._entries: dict[str, bytes] = {}
        self._unreadable: dict[str, str] = {}
        self._generation = 0
        self._orders: dict[str | None, _Order[D]] = {}
        with CollectionDatabase(path) as database:
            for value in database:
                self._load(str(value.doc_id), dict(value))
        self._next_place = len(self._rows)

    @property
    def unreadable(self) -> Sequence[str]:
        """What is wrong with the documents that do not fit the model. They stay in the file, unseen and untouched."""
        return [f"{id}: {problem}" for id, problem in self._unreadable.items()]

    def get(self, id: str) -> D | None:
        row = self._rows.get(id)
        return None if row is None else row.document

    def put(self, document: D) -> D:
        with self._lock:
            self._check_open()
            row = self._rows.get(document.id)
            version = 0 if row is None else row.document.version
            if document.version != version:
                raise _changed()
            if document.id in self._unreadable:
                raise StoreError(
                    f"There is a document {document.id} in {self.name} already, which cannot be read.",
                    hint="It was written by another version of Moorage; use that version to change it.",
                )
            serialised, stored = self._settle(document.model_copy(update={"version": version + 1}))
            self._write({**self._entries, stored.id: entry(stored.id, serialised)})
            if row is None:
                self._next_place += 1
            self._rows[stored.id] = _Row(self._next_place if row is None else row.place, stored)
            self._generation += 1
            return stored

    def delete(self, id: str, *, version: int | None = None) -> bool:
        with self._lock:
            self._check_open()
            row = self._rows.get(id)
            if row is None:
                return False
            if version is not None and version != row.document.version:
                raise _changed()
            self._write({other: value for other, value in self._entries.items() if other != id})
            del self._rows[id]
            self._generation += 1
            return True

    def list(self) -> Sequence[D]:
        return [row.document for row in tuple(self._rows.values())]

    def count(self, where: Where | None = None) -> int:
        if not where:
            return len(self._rows)
        return sum(map(matcher(self.model, where), self.list()))

    def query(
        self,
        where: Where | None = None,
        *,
        order_by: str | None = None,
        descending: bool = False,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> Page[D]:
        if limit is not None and limit < 1:
            raise InvalidInput("A page needs a length.", errors=(FieldError("limit", "must be 1 or more"),))
        matches = matcher(self.model, where or {})
        order = self._order(order_by)
        scope = [self.name, order_by, descending]
        after = None if cursor is None else self._place(order_by, read_cursor(cursor, scope))
        following = (index for index in _following(order.keys, after, descending) if matches(order.items[index]))
        indexes = builtins.list(following if limit is None else islice(following, limit + 1))
        page = indexes if limit is None else indexes[:limit]
        # The items were validated when they were stored; validating them again would cost more than all the rest.
        return Page.model_construct(
            items=tuple(order.items[index] for index in page),
            next=write_cursor(scope, order.keys[page[-1]]) if len(page) < len(indexes) else None,
        )

    def close(self, reason: str) -> None:
        """Refuse all writes from now on; `reason` is the sentence they are refused with."""
        with self._lock:
            self._closed = reason

    # -- inside -------------------------------------------------------------------------------------------------

    def _load(self, id: str, value: dict[str, object]) -> None:
        self._entries[id] = entry(id, orjson.dumps(value))
        try:
            self._rows[id] = _Row(len(self._rows), self.model.model_validate(value))
        except ValidationError as error:
            self._unreadable[id] = _first_problem(error)

    def _settle(self, document: D) -> tuple[bytes, D]:
        """The document as it will be read again: what could not be read later is refused now.

        It also parts the stored document from the caller's dicts and lists.
        """
        try:
            serialised = document.model_dump_json(warnings="none").encode()
            return serialised, self.model.model_validate(orjson.loads(serialised))
        except ValidationError as error:
            raise StoreError(
                f"The document {document.id} of {self.name} is not valid: {_first_problem(error)}."
            ) from None
        except ValueError:
            raise InvalidInput(
                "This holds something that cannot be stored.", hint="Look for broken characters or very deep nesting."
            ) from None

    def _write(self, entries: dict[str, bytes]) -> None:
        self._file.write_entries(entries)
        self._entries = entries

    def _check_open(self) -> None:
        if self._closed is not None:
            raise StoreError(self._closed)

    def _order(self, order_by: str | None) -> _Order[D]:
        # The generation is read before the documents: a write in between makes this order an old one at once.
        generation = self._generation
        kept = self._orders.get(order_by)
        if kept is not None and kept.generation == generation:
            return kept
        rows = tuple(self._rows.values())
        if order_by is None:
            order = _Order(generation, [key_of(row.place, row.document.id) for row in rows], [r.document for r in rows])
        elif order_by not in self.model.model_fields:
            raise ValueError(f"{self.model.__name__} has no field {order_by!r}")
        else:
            keyed = sorted((key_of(getattr(row.document, order_by), row.document.id), row.place) for row in rows)
            by_place = {row.place: row.document for row in rows}
            order = _Order(generation, [key for key, _ in keyed], [by_place[place] for _, place in keyed])
        self._orders[order_by] = order
        return order

    def _place(self, order_by: str | None, key: Key) -> Key:
        """The key to go on after. Places are counted anew at each start, so a document that is there knows better."""
        row = self._rows.get(key[-1]) if order_by is None else None
        return key if row is None else key_of(row.place, row.document.id)


def _following(keys: Sequence[Key], after: Key | None, descending: bool) -> Iterator[int]:
    try:
        if descending:
            end = len(keys) if after is None else bisect_left(keys, after)
            return iter(range(end - 1, -1, -1))
        return iter(range(0 if after is None else bisect_right(keys, after), len(keys)))
    except TypeError:  # a forged key does not compare
        raise unknown_cursor() from None


def _changed() -> Conflict:
    return Conflict("It was changed in the meantime.", hint="Load it again and repeat the change.")


def _first_problem(error: ValidationError) -> str:
    problem = error.errors(include_url=False, include_input=False)[0]
    return ": ".join((".".join(str(part) for part in problem["loc"]) or "document", problem["msg"]))
