"""Where files of models are kept: `blobs/` when finished, `partial/` on the way, `quarantine/` when they were wrong."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import BaseFileLock, FileLock, Timeout

from moorage.errors import MoorageError
from moorage.fetch.errors import writing
from moorage.fetch.owners import Owners
from moorage.fetch.part import PartFile, is_key, key_of
from moorage.fetch.sidecar import Sidecar
from moorage.models import FilePart, StoredFile

log = logging.getLogger("moorage.fetch")


class Shelf:
    """One directory of files, each under the key that `key_of` gives it."""

    def __init__(self, directory: Path) -> None:
        self.blobs = directory / "blobs"
        self.partial = directory / "partial"
        self.quarantine = directory / "quarantine"
        self.owners = Owners(self.partial)

    def prepare(self) -> None:
        with writing():
            for directory in (self.blobs, self.partial):
                directory.mkdir(mode=0o700, parents=True, exist_ok=True)

    def path(self, part: FilePart) -> Path:
        return self.blobs / key_of(part)

    def has(self, part: FilePart) -> bool:
        return _size(self.path(part)) == part.size

    def kept(self, part: FilePart) -> int:
        """How many bytes of the file are here already and safe."""
        if self.has(part):
            return part.size
        key = key_of(part)
        kept = min(Sidecar.read(self.partial / f"{key}.json").offset, _size(self.partial / f"{key}.part") or 0)
        if kept > part.size:  # never a part of this file
            return 0
        return part.size if kept == 0 and self.has(part) else kept  # it may have been finished between the two looks

    def want(self, parts: Sequence[FilePart], owner: str | None) -> None:
        """Let all who would remove the unfinished ones know that this install needs them, or will."""
        for part in parts:
            if not self.has(part):
                self.owners.add(key_of(part), owner)

    def open(self, part: FilePart, owner: str | None) -> PartFile:
        """The unfinished file, wanted by `owner` from now on; its lock must be held."""
        key = key_of(part)
        self.owners.add(key, owner)
        return PartFile(self.partial, key, part)

    def drop_damaged(self, key: str) -> None:
        with writing():
            (self.quarantine / key).unlink(missing_ok=True)

    @contextmanager
    def locked(self, key: str, seconds: float) -> Iterator[bool]:
        """Hold the lock of one file, against other threads and other processes; False when it was not to be had."""
        self.prepare()
        path = self.partial / f"{key}.lock"
        # A generator may be closed by another thread than the one that ran it, hence not thread-local.
        lock = FileLock(path, thread_local=False)
        with writing():
            held = _acquired(lock, seconds)
        if not held:
            yield False
            return
        try:
            yield True
        finally:
            with suppress(OSError):
                if not (self.partial / f"{key}.part").exists():
                    # Whoever waits for this very lock notices that it has no name any more, and begins anew.
                    path.unlink(missing_ok=True)
            lock.release()

    def sweep(self) -> None:
        """Remove what a kill left: parts that nothing is known of, what was known of parts that are gone, locks.

        Never raises for one that cannot be removed now: the next sweep tries again.
        """
        for key in {path.stem for path in self.partial.glob("*.*") if is_key(path.stem)}:
            try:
                with writing():
                    self._sweep(key)
            except MoorageError as error:
                log.warning("what is left of %s could not be removed: %s", key, error)

    def _sweep(self, key: str) -> None:
        part, sidecar, half = (self.partial / f"{key}.{suffix}" for suffix in ("part", "json", "tmp"))
        if part.exists() and sidecar.exists() and not half.exists():
            return
        with self.locked(key, 0) as held:  # whose lock is held, is being fetched
            if held and part.exists() and sidecar.exists():
                half.unlink(missing_ok=True)
            elif held:
                self._discard(key)

    def files(self) -> list[StoredFile]:
        """All files that no model uses: finished ones that have no second name, unfinished and damaged ones."""
        found: list[StoredFile] = []
        for path in _ours(self.blobs.glob("*")):
            with suppress(OSError):  # one may go meanwhile
                stat = path.stat()
                if stat.st_nlink == 1:
                    found.append(StoredFile(key=path.name, kind="finished", size=stat.st_size, total=stat.st_size))
        for path in _ours(self.partial.glob("*.part")):
            size = _size(path)
            if size is not None:
                known = Sidecar.read(path.with_suffix(".json"))
                found.append(
                    StoredFile(
                        key=path.stem,
                        kind="partial",
                        size=size,
                        total=known.total,
                        name=known.name,
                        installs=self.owners.of(path.stem),
                    )
                )
        for path in _ours(self.quarantine.glob("*")):
            size = _size(path)
            if size is not None:
                found.append(StoredFile(key=path.name, kind="damaged", size=size))
        return found

    def remove(self, key: str, seconds: float) -> int:
        """Remove what `files` tells of under this key, and give the bytes freed: 0 while somebody is fetching it."""
        freed = 0
        if not is_key(key):
            return freed
        with writing(), self.locked(key, seconds) as held:
            if held:
                part = self.partial / f"{key}.part"
                freed = _size(part) or 0
                self._discard(key)
                for path in (self.blobs / key, self.quarantine / key):
                    with suppress(FileNotFoundError):
                        stat = path.stat()
                        if stat.st_nlink == 1:
                            path.unlink()
                            freed += stat.st_size
        return freed

    def disown(self, owner: str, seconds: float) -> None:
        """Remove the unfinished files that only `owner` wanted. One that another one wants or fetches stays."""
        for key in self.owners.wanted_by(owner):
            # The lock first, also where others are known: two that go at once must not leave it to each other.
            with writing(), self.locked(key, seconds) as held:
                if any(other != owner for other in self.owners.of(key)):
                    self.owners.drop(key, owner)
                elif held:
                    self._discard(key)

    def _discard(self, key: str) -> None:
        """Remove a part with all that is known of it; its lock must be held. Who wants it comes last, for a kill."""
        for suffix in ("part", "json", "tmp"):
            (self.partial / f"{key}.{suffix}").unlink(missing_ok=True)
        self.owners.forget(key)


def _acquired(lock: BaseFileLock, seconds: float) -> bool:
    try:
        lock.acquire(timeout=seconds, poll_interval=0.05)
    except Timeout:
        return False
    return True


def _ours(paths: Iterable[Path]) -> list[Path]:
    """Files that a download made; what somebody else has put there is theirs."""
    return sorted(path for path in paths if is_key(path.stem))


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None
