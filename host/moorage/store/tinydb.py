"""The embedded store: one data directory, one process, one TinyDB file per collection."""

from __future__ import annotations

import json
import os
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar
from weakref import WeakValueDictionary

from moorage.errors import StoreError
from moorage.models import Document
from moorage.store.atomic import sweep_temporary, write_atomic
from moorage.store.collection import Damaged, FileCollection, backup_of, read_documents
from moorage.store.lock import DirectoryLock
from moorage.store.lock import Holder as Holder
from moorage.store.lock import read_holder as read_holder

D = TypeVar("D", bound=Document)
FORMAT_FILE = "format.json"
_NAME = re.compile(r"[a-z0-9_-]{1,80}(/[a-zA-Z0-9_-]{1,120})?")
Migration = Callable[[Path], None]
MIGRATIONS: Mapping[int, Migration] = {}
"""What brings a data directory from a format to the next one, by the format it starts from."""


class TinyDBStore:
    """A `Store` in the directory `home`. DataDirLocked when another process has it; close it to let go."""

    def __init__(self, home: Path, *, url: str | None, migrations: Mapping[int, Migration] = MIGRATIONS) -> None:
        try:
            home.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(
                f"The data directory {home} cannot be made: {error.strerror}.", hint="Choose another with --home."
            ) from None
        self._lock_file = DirectoryLock(home, url)
        try:
            self._directory = home / "store"
            self._directory.mkdir(mode=0o700, exist_ok=True)
            self._notices: list[str] = []
            self._lock = threading.RLock()
            self._open: dict[str, FileCollection[Any]] = {}
            # Transcripts are many and each is used for a while: they stay only as long as somebody holds them.
            self._transient: WeakValueDictionary[str, FileCollection[Any]] = WeakValueDictionary()
            sweep_temporary(self._directory)
            _migrate(self._directory, migrations)
        except BaseException:
            self._lock_file.release()
            raise

    def collection(self, name: str, model: type[D]) -> FileCollection[D]:
        if not _NAME.fullmatch(name):
            raise ValueError(f"not a collection name: {name!r}")
        with self._lock:
            kept = self._transient if "/" in name else self._open
            found = kept.get(name)
            if found is None:
                found = kept[name] = self._load(name, model)
            return found

    def drop(self, name: str) -> None:
        if not _NAME.fullmatch(name):
            raise ValueError(f"not a collection name: {name!r}")
        with self._lock:
            self._open.pop(name, None)
            self._transient.pop(name, None)
            path = self._path(name)
            # The backup first: without the file but with its backup it would come back as a loss.
            backup_of(path).unlink(missing_ok=True)
            path.unlink(missing_ok=True)

    @property
    def notices(self) -> Sequence[str]:
        return tuple(self._notices)

    def close(self) -> None:
        self._lock_file.release()

    def _path(self, name: str) -> Path:
        return self._directory / f"{name}.json"

    def _load(self, name: str, model: type[D]) -> FileCollection[D]:
        path = self._path(name)
        path.parent.mkdir(mode=0o700, exist_ok=True)
        backup = backup_of(path)
        if not path.exists() and not backup.exists():
            return FileCollection(path, model, {})
        try:
            if not path.exists():
                raise Damaged("it is gone")
            collection = FileCollection(path, model, read_documents(path))
        except Damaged as damage:
            return self._restore(name, model, str(damage))
        _keep_backup(path)
        return collection

    def _restore(self, name: str, model: type[D], damage: str) -> FileCollection[D]:
        """Put a damaged file aside and go on from its last good copy, or say that there is none."""
        path = self._path(name)
        aside = path.with_name(f"{path.stem}.damaged-{datetime.now(UTC):%Y%m%dT%H%M%S%f}.json")
        kept = ""
        if path.exists():
            os.replace(path, aside)
            kept = f" It was put aside as {aside.name}."
        backup = backup_of(path)
        try:
            documents = read_documents(backup) if backup.exists() else None
            collection = FileCollection(path, model, documents or {})
        except Damaged:
            documents, collection = None, FileCollection(path, model, {})
        if documents is None:
            self._notices.append(
                f"The file of {name} is damaged: {damage}.{kept} There is no good copy: it is empty now."
            )
        else:
            write_atomic(path, (backup.read_bytes(),))
            self._notices.append(
                f"The file of {name} is damaged: {damage}.{kept} "
                f"Moorage goes on from the copy of its last start; later changes may be missing."
            )
        return collection


def _keep_backup(path: Path) -> None:
    """Keep the good file under a second name; a write replaces the first name only, so this costs nothing."""
    backup = backup_of(path)
    fresh = backup.with_name(f"{backup.name}.new")
    fresh.unlink(missing_ok=True)
    os.link(path, fresh)
    os.replace(fresh, backup)


def _migrate(directory: Path, migrations: Mapping[int, Migration]) -> None:
    """Bring the files to today's format, one step at a time; each step is noted before the next begins."""
    path = directory / FORMAT_FILE
    today = max(migrations, default=0) + 1
    if not path.exists():
        _note_format(path, today if not any(directory.glob("*.json")) else 1)
    try:
        found = int(json.loads(path.read_bytes())["format"])
    except (ValueError, KeyError, TypeError):
        raise StoreError(
            f"{path} is damaged.", hint='If this directory is of this version, write {"format": 1} into it.'
        ) from None
    if found > today:
        raise StoreError(
            f"The data directory has format {found}; this Moorage knows up to {today}.",
            hint="Install the newer version again.",
        )
    for step in range(found, today):
        if step in migrations:
            migrations[step](directory)
        _note_format(path, step + 1)


def _note_format(path: Path, format: int) -> None:
    write_atomic(path, (json.dumps({"format": format}).encode(),))
