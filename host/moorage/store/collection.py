"""One collection: documents in memory, and one TinyDB file that is replaced whole at each write.

The file is what TinyDB's own table format is, with text ids: `{"documents": {id: document}, "_meta": {"1": {…}}}`.
Each document is kept serialised, so that a write only joins what is there.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import threading
import zlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Generic, TypeVar

import orjson
from pydantic import ValidationError
from tinydb import TinyDB
from tinydb.storages import Storage
from tinydb.table import Table

from moorage.errors import Conflict, FieldError, InvalidInput, StoreError
from moorage.models import Document, Page
from moorage.store import Where
from moorage.store.atomic import write_atomic

D = TypeVar("D", bound=Document)
FORMAT = 1


class Damaged(Exception):
    """The file is not what was written; the text says how it shows."""


class TextIdTable(Table):
    document_id_class = str  # type: ignore[assignment]  # TinyDB's documented way to have ids that are no numbers


class CheckedStorage(Storage):
    """Reads a collection's file and proves it: parseable, as many documents as written, the same bytes."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> dict[str, dict[str, Any]]:
        raw = self._path.read_bytes()
        try:
            value = orjson.loads(raw)
            meta = value["_meta"]["1"]
            documents = value["documents"]
        except (orjson.JSONDecodeError, KeyError, TypeError) as error:
            raise Damaged(f"it cannot be parsed ({type(error).__name__})") from None
        if meta["format"] > FORMAT:
            raise StoreError(
                f"{self._path.name} was written by a newer Moorage.", hint="Install that version again, or a newer one."
            )
        body = raw[len(HEAD) : raw.rindex(b',"_meta"')]
        if meta["crc32"] != zlib.crc32(body) or meta["count"] != len(documents):
            raise Damaged("its checksum does not fit")
        return {"documents": documents}

    def write(self, data: dict[str, dict[str, Any]]) -> None:
        write_documents(self._path, {id: orjson.dumps(value) for id, value in data.get("documents", {}).items()})


HEAD = b'{"documents":'


def write_documents(path: Path, documents: Mapping[str, bytes]) -> None:
    body = b"{%s}" % b",".join([b"%s:%s" % (orjson.dumps(id), value) for id, value in documents.items()])
    meta = orjson.dumps({"1": {"format": FORMAT, "count": len(documents), "crc32": zlib.crc32(body)}})
    write_atomic(path, (HEAD, body, b',"_meta":', meta, b"}"))


def read_documents(path: Path) -> dict[str, dict[str, Any]]:
    """The documents of a file by id, in the order in which they were first put. Damaged where they are not whole."""
    with TinyDB(storage=CheckedStorage, path=path) as database:
        return {str(item.doc_id): dict(item) for item in TextIdTable(database.storage, "documents").all()}


class FileCollection(Generic[D]):
    """A `Collection` in one file; see the interface for what each method promises."""

    def __init__(self, path: Path, model: type[D], documents: Mapping[str, dict[str, Any]]) -> None:
        self._path = path
        self._model = model
        self._lock = threading.RLock()
        self._backed = path.exists()
        self._documents: dict[str, D] = {}
        self._bytes: dict[str, bytes] = {}
        self._orders: dict[tuple[str | None, bool], list[D]] = {}
        for id, value in documents.items():
            try:
                self._documents[id] = model.model_validate(value)
            except ValidationError as error:
                raise Damaged(f"the document {id} does not fit: {error.errors()[0]['msg']}") from None
            self._bytes[id] = _serialise(self._documents[id])

    def get(self, id: str) -> D | None:
        return self._documents.get(id)

    def put(self, document: D) -> D:
        with self._lock:
            current = self._documents.get(document.id)
            stored_version = current.version if current is not None else 0
            if document.version != stored_version:
                raise Conflict("It was changed in the meantime.", hint="Load it again and repeat the change.")
            stored = document.model_copy(update={"version": stored_version + 1})
            self._write({**self._bytes, stored.id: _serialise(stored)})
            self._documents[stored.id] = stored
            return stored

    def delete(self, id: str, *, version: int | None = None) -> bool:
        with self._lock:
            current = self._documents.get(id)
            if current is None:
                return False
            if version is not None and version != current.version:
                raise Conflict("It was changed in the meantime.", hint="Load it again and repeat the change.")
            left = dict(self._bytes)
            del left[id]
            self._write(left)
            del self._documents[id]
            return True

    def list(self) -> Sequence[D]:
        with self._lock:
            return list(self._documents.values())

    def count(self, where: Where | None = None) -> int:
        return sum(1 for _ in self._matching(where, self.list()))

    def query(
        self,
        where: Where | None = None,
        *,
        order_by: str | None = None,
        descending: bool = False,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> Page[D]:
        found = list(self._matching(where, self._ordered(order_by, descending)))
        start = self._start(found, cursor)
        end = len(found) if limit is None else start + limit
        following = _write_cursor(end, found[end - 1].id) if end < len(found) else None
        return Page.model_construct(items=tuple(found[start:end]), next=following)

    def _write(self, documents: dict[str, bytes]) -> None:
        write_documents(self._path, documents)
        self._bytes = documents
        self._orders.clear()
        if not self._backed:
            # From the first write on a missing file is a loss and not a beginning.
            backup = backup_of(self._path)
            backup.unlink(missing_ok=True)
            os.link(self._path, backup)
            self._backed = True

    def _ordered(self, order_by: str | None, descending: bool) -> Sequence[D]:
        with self._lock:
            key = (order_by, descending)
            if key not in self._orders:
                items = list(self._documents.values())
                if order_by is not None:
                    items.sort(key=lambda item: (_sortable(getattr(item, order_by)), item.id), reverse=descending)
                elif descending:
                    items.reverse()
                self._orders[key] = items
            return self._orders[key]

    @staticmethod
    def _matching(where: Where | None, items: Iterable[D]) -> Iterable[D]:
        if not where:
            return items
        wanted = [
            (name, frozenset(value) if isinstance(value, list | tuple | set | frozenset) else frozenset((value,)))
            for name, value in where.items()
        ]
        return (item for item in items if all(getattr(item, name) in values for name, values in wanted))

    @staticmethod
    def _start(found: Sequence[D], cursor: str | None) -> int:
        """The place after the last document of the page before; its position where that one is gone."""
        if cursor is None:
            return 0
        position, id = _read_cursor(cursor)
        if 0 < position <= len(found) and found[position - 1].id == id:
            return position
        for index, item in enumerate(found):
            if item.id == id:
                return index + 1
        return min(position, len(found))


def backup_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.bak")


def _serialise(document: Document) -> bytes:
    return document.model_dump_json().encode()


def _sortable(value: Any) -> tuple[int, Any]:
    return (0, 0) if value is None else (1, value)


def _write_cursor(position: int, id: str) -> str:
    return base64.urlsafe_b64encode(json.dumps([position, id]).encode()).decode().rstrip("=")


def _read_cursor(cursor: str) -> tuple[int, str]:
    try:
        position, id = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        if isinstance(position, int) and position >= 0 and isinstance(id, str):
            return position, id
    except (binascii.Error, ValueError, TypeError):
        pass
    raise InvalidInput("This cursor is not one of this list.", errors=(FieldError("cursor", "is not known here"),))
