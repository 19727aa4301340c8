"""One collection: documents in memory, and one file that is replaced whole at each write.

Readers never wait for a writer's fsync: they see the documents as they were before it, or after it.
"""

from __future__ import annotations

import builtins
import threading
from collections.abc import Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Generic, TypeVar

import orjson
from pydantic import ValidationError

from moorage.errors import Conflict, FieldError, InvalidInput, StoreError
from moorage.models import Document, Page
from moorage.store import Where
from moorage.store.cursors import Key, key_of, read_cursor, write_cursor
from moorage.store.files import CheckedStorage, CollectionDatabase, entry
from moorage.store.order import Order, Row
from moorage.store.where import matcher

D = TypeVar("D", bound=Document)


class FileCollection(Generic[D]):
    """A `Collection` in one file; see the interface for what each method promises.

    Documents are shared, not copied: they are frozen, and a dict or list inside of one must not be changed either.
    """

    def __init__(self, name: str, path: Path, model: type[D]) -> None:
        self.name = name
        self.model = model
        self._file = CheckedStorage(path)
        self._lock = threading.RLock()  # one writer at a time, its fsync included
        self._memory = threading.Lock()  # held for moments only: rows and orders change together
        self._closed: str | None = None
        self._rows: dict[str, Row[D]] = {}
        self._entries: dict[str, bytes] = {}
        self._unreadable: dict[str, str] = {}
        self._orders: dict[str | None, Order[D]] = {}
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
            self._remember(stored.id, row, Row(self._next_place if row is None else row.place, stored))
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
            self._remember(id, row, None)
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
        following = (index for index in order.following(after, descending) if matches(order.items[index]))
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
            self._rows[id] = Row(len(self._rows), self.model.model_validate(value))
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

    def _remember(self, id: str, old: Row[D] | None, new: Row[D] | None) -> None:
        with self._memory:
            if new is None:
                del self._rows[id]
            else:
                self._rows[id] = new
            orders, self._orders = self._orders, {}
            for field, order in orders.items():
                with suppress(TypeError):  # its values no longer compare: whoever asks for it next will be told
                    self._orders[field] = order.replaced(old, new)

    def _order(self, field: str | None) -> Order[D]:
        if field is not None and field not in self.model.model_fields:
            raise ValueError(f"{self.model.__name__} has no field {field!r}")
        with self._memory:
            order = self._orders.get(field)
            if order is None:
                order = self._orders[field] = Order(field, self._rows.values())
            return order

    def _place(self, order_by: str | None, key: Key) -> Key:
        """The key to go on after. Places are counted anew at each start, so a document that is there knows better."""
        row = self._rows.get(key[-1]) if order_by is None else None
        return key if row is None else key_of(row.place, row.document.id)


def _changed() -> Conflict:
    return Conflict("It was changed in the meantime.", hint="Load it again and repeat the change.")


def _first_problem(error: ValidationError) -> str:
    problem = error.errors(include_url=False, include_input=False)[0]
    return ": ".join((".".join(str(part) for part in problem["loc"]) or "document", problem["msg"]))
