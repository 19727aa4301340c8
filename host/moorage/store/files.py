"""The file of one collection: a TinyDB database with text ids that proves itself when it is read.

    {"documents":{"<id>":{…},"<id>":{…}},"_meta":{"1":{"format":1,"count":2,"crc32":3735928559}}}

`<name>.json` is the file, `<name>.json.bak` the one before it. Every byte counts: the checksum is over the documents,
and the rest must be exactly what would be written for them.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Mapping
from datetime import UTC, datetime
from glob import escape
from pathlib import Path
from typing import Any

import orjson
from tinydb import TinyDB
from tinydb.storages import Storage
from tinydb.table import Table

from moorage.errors import StoreError
from moorage.store.atomic import not_read, sync_directory, write_atomic

FORMAT = 1
DOCUMENTS = "documents"
_HEAD = b'{"documents":{'
_DAMAGED = ".damaged-"


class Damaged(Exception):
    """The file is not what was written; the text says how it shows."""


class CheckedStorage(Storage):
    """TinyDB's storage interface on a file that is replaced whole, and never believed without its checksum."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> dict[str, dict[str, Any]] | None:
        """The tables; None where there is no file. Damaged for anything that was not written here."""
        try:
            raw = self.path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise not_read(self.path, error) from error
        if not raw:
            raise Damaged("it has no content")
        try:
            value = orjson.loads(raw)
            documents = value[DOCUMENTS]
            format = value["_meta"]["1"]["format"]
            body = raw[len(_HEAD) : raw.rindex(b'},"_meta"')]
        except (ValueError, KeyError, TypeError):
            raise Damaged("it cannot be parsed") from None
        if not isinstance(documents, dict) or raw != b"".join((_HEAD, body, _tail(body, len(documents), format))):
            raise Damaged("its checksum does not fit")
        if format != FORMAT:
            raise StoreError(
                f"{self.path} has format {format}; this Moorage knows format {FORMAT}.",
                hint="Install the version of Moorage that wrote it.",
            )
        return {DOCUMENTS: documents}

    def write(self, data: Mapping[str, Mapping[str, Any]]) -> None:
        """What TinyDB's own methods call."""
        documents = data.get(DOCUMENTS, {})
        self.write_entries({id: entry(id, orjson.dumps(value)) for id, value in documents.items()})

    def write_entries(self, entries: Mapping[str, bytes]) -> None:
        """Replace the file, from documents that are serialised already. StoreError when it cannot be written."""
        body = b",".join(entries.values())
        backup = backup_of(self.path)
        pieces = (_HEAD, body, _tail(body, len(entries), FORMAT))
        if self.path.exists():
            write_atomic(self.path, pieces, previous=backup)
        else:
            write_atomic(self.path, pieces)
            write_atomic(backup, pieces)  # from here on a missing file is a loss and not a beginning


class TextIdTable(Table):
    document_id_class = str  # type: ignore[assignment]  # TinyDB's documented way to have ids that are no numbers


class CollectionDatabase(TinyDB):
    """`CollectionDatabase(path)` is a collection's file through TinyDB's own methods. The store must be closed."""

    table_class = TextIdTable
    default_table_name = DOCUMENTS
    default_storage_class = CheckedStorage  # type: ignore[assignment]  # any Storage will do; TinyDB's stub is narrower


def entry(id: str, serialised: bytes) -> bytes:
    """One document as it stands in the file."""
    return b"%s:%s" % (orjson.dumps(id), serialised)


def backup_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.bak")


def put_aside(path: Path) -> Path:
    """Rename a damaged file to `<name>.json.damaged-<UTC time>`."""
    aside = path.with_name(f"{path.name}{_DAMAGED}{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}")
    os.replace(path, aside)
    return aside


def was_put_aside(name: str) -> bool:
    return _DAMAGED in name


def remove_files(path: Path) -> None:
    """Remove a collection's file with all that was kept of it.

    The file itself goes last: while it is there nothing looks like a loss.
    """
    others = list(path.parent.glob(f"{escape(path.name)}.*"))
    for each in (*others, path):
        each.unlink(missing_ok=True)
    if path.parent.exists():
        sync_directory(path.parent)


def _tail(body: bytes, count: int, format: object) -> bytes:
    checksum = zlib.crc32(b"%d" % format, zlib.crc32(body)) if isinstance(format, int) else -1
    meta = {"1": {"format": format, "count": count, "crc32": checksum}}
    return b'},"_meta":%s}' % orjson.dumps(meta)
