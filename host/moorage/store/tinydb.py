"""The embedded store: one data directory, one process, one TinyDB file per collection."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar
from weakref import WeakValueDictionary

from moorage.errors import StoreError
from moorage.models import Document
from moorage.store.atomic import is_temporary, make_directory, write_atomic
from moorage.store.collection import FileCollection
from moorage.store.files import Damaged, backup_of, put_aside, remove_files, was_put_aside
from moorage.store.format import MIGRATIONS, Migration, bring_up_to_date
from moorage.store.lock import DirectoryLock
from moorage.store.lock import Holder as Holder
from moorage.store.lock import read_holder as read_holder

D = TypeVar("D", bound=Document)
_NAME = re.compile(r"[a-z0-9_-]{1,80}(/[a-zA-Z0-9_-]{1,120})?")
_CLOSED = "The data directory has been closed; nothing more can be written."


class TinyDBStore:
    """A `Store` in the directory `home`; `url` is where this process serves, for a second one to be told.

    DataDirLocked when another process has the directory, StoreError when it cannot be used. Close it to let go.
    """

    def __init__(self, home: Path, *, url: str | None, migrations: Sequence[Migration] = MIGRATIONS) -> None:
        try:
            home.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(
                f"The data directory {home} cannot be made: {error.strerror}.", hint="Choose another with --home."
            ) from None
        self._directory = home / "store"
        self._notices: list[str] = []
        self._lock = threading.RLock()
        self._closed = False
        self._open: dict[str, FileCollection[Any]] = {}
        # Transcripts are many and each is used for a while: they stay only as long as somebody holds them.
        self._transient: WeakValueDictionary[str, FileCollection[Any]] = WeakValueDictionary()
        self._lock_file = DirectoryLock(home, url)
        try:
            make_directory(self._directory)
            _sweep(home)
            bring_up_to_date(home, self._directory, migrations)
            self._notices += _put_aside_before(self._directory)
        except BaseException:
            self._lock_file.release()
            raise

    def collection(self, name: str, model: type[D]) -> FileCollection[D]:
        path = self._path(name)
        with self._lock:
            if self._closed:
                raise StoreError(_CLOSED)
            kept = self._transient if "/" in name else self._open
            found = kept.get(name)
            if found is None:
                found = kept[name] = self._load(name, path, model)
            elif found.model is not model:
                raise ValueError(f"the collection {name} is open already, with {found.model.__name__}")
            return found

    def drop(self, name: str) -> None:
        path = self._path(name)
        with self._lock:
            if self._closed:
                raise StoreError(_CLOSED)
            for kept in (self._open, self._transient):
                found = kept.pop(name, None)
                if found is not None:
                    found.close("It has been removed; nothing more can be written to it.")
            remove_files(path)

    @property
    def notices(self) -> Sequence[str]:
        return tuple(self._notices)

    def close(self) -> None:
        with self._lock:
            if self._closed:
                return
            self._closed = True
            for found in (*self._open.values(), *self._transient.values()):
                found.close(_CLOSED)
            self._lock_file.release()

    def _path(self, name: str) -> Path:
        if not _NAME.fullmatch(name):
            raise ValueError(f"not a collection name: {name!r}")
        return self._directory / f"{name}.json"

    def _load(self, name: str, path: Path, model: type[D]) -> FileCollection[D]:
        if path.parent != self._directory and not path.parent.exists():
            make_directory(path.parent)
        try:
            if not path.exists() and backup_of(path).exists():
                raise Damaged("it is gone")
            collection = FileCollection(name, path, model)
        except Damaged as damage:
            collection = self._restore(name, path, model, str(damage))
        self._notices += [
            f"A document of {name} cannot be read and is left out, {problem}. It stays in the file."
            for problem in collection.unreadable
        ]
        return collection

    def _restore(self, name: str, path: Path, model: type[D], damage: str) -> FileCollection[D]:
        """Put a damaged file aside and go on from the one before it, or say that there is none."""
        kept = f" It was put aside as {put_aside(path).name}." if path.exists() else ""
        backup = backup_of(path)
        try:
            FileCollection(name, backup, model)
            content = backup.read_bytes()
        except (Damaged, FileNotFoundError):
            if backup.exists():
                put_aside(backup)
            self._notices.append(f"The file of {name} is damaged: {damage}.{kept} There is no good copy: it is empty.")
            return FileCollection(name, path, model)
        write_atomic(path, (content,))
        self._notices.append(
            f"The file of {name} is damaged: {damage}.{kept} "
            "Moorage goes on from the copy before its last change; please check that change."
        )
        return FileCollection(name, path, model)


def _files(directory: Path) -> Iterator[os.DirEntry[str]]:
    """The files of the store's directory and of its folders; one level is all there is."""
    for item in os.scandir(directory):
        if item.is_dir(follow_symlinks=False):
            yield from (inner for inner in os.scandir(item) if inner.is_file())
        else:
            yield item


def _sweep(home: Path) -> None:
    """Remove what a process left that was killed in the middle of a write: ours and those of the secrets."""
    beside = (item for item in os.scandir(home) if item.is_file(follow_symlinks=False))
    for item in (*beside, *_files(home / "store")):
        if is_temporary(item.name):
            Path(item.path).unlink(missing_ok=True)


def _put_aside_before(directory: Path) -> list[str]:
    """Said at each start, as one who was not looking at the first must hear of it too."""
    return [
        f"A damaged file was put aside as {item.path}. Delete it when you have no more use for it."
        for item in sorted(_files(directory), key=lambda item: item.path)
        if was_put_aside(item.name)
    ]
