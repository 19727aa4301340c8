"""Where files of models are kept: `blobs/` when finished, `partial/` on the way, `quarantine/` when they were wrong."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import BaseFileLock, FileLock, Timeout

from moorage.errors import MoorageError
from moorage.fetch.part import PartFile, is_key, key_of, writing
from moorage.fetch.sidecar import Sidecar
from moorage.models import FilePart, StoredFile


class Shelf:
    """One directory of files, each under the key that `key_of` gives it."""

    def __init__(self, directory: Path) -> None:
        self.blobs = directory / "blobs"
        self.partial = directory / "partial"
        self.quarantine = directory / "quarantine"

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
        return min(Sidecar.read(self.partial / f"{key}.json").offset, _size(self.partial / f"{key}.part") or 0)

    def open(self, key: str, *, owner: str | None = None, part: FilePart | None = None) -> PartFile:
        """The unfinished file, of `part` and wanted by `owner` from now on; its lock must be held."""
        return PartFile(self.partial, key, owner=owner, part=part)

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
            if not (self.partial / f"{key}.part").exists():
                # Whoever waits for this very lock notices that it has no name any more, and begins anew.
                with suppress(OSError):
                    path.unlink(missing_ok=True)
            lock.release()

    def sweep(self) -> None:
        """Remove what a kill left: parts that nobody is known to want, what was known of parts that are gone, locks."""
        for key in {path.stem for path in self.partial.glob("*.*") if is_key(path.stem)}:
            part, sidecar, half = (self.partial / f"{key}.{suffix}" for suffix in ("part", "json", "tmp"))
            if part.exists() and sidecar.exists() and not half.exists():
                continue
            with suppress(MoorageError), self.locked(key, 0) as held:  # whose lock is held, is being fetched
                if not held:
                    continue
                leftover = (half,) if part.exists() and sidecar.exists() else (part, sidecar, half)
                for path in leftover:
                    path.unlink(missing_ok=True)

    def files(self) -> list[StoredFile]:
        """All files that no model uses: finished ones that have no second name, unfinished and damaged ones."""
        found: list[StoredFile] = []
        for path in sorted(self.blobs.glob("*")):
            with suppress(OSError):  # one may go meanwhile
                stat = path.stat()
                if stat.st_nlink == 1:
                    found.append(StoredFile(key=path.name, kind="finished", size=stat.st_size, total=stat.st_size))
        for path in sorted(self.partial.glob("*.part")):
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
                        installs=known.owners,
                    )
                )
        for path in sorted(self.quarantine.glob("*")):
            size = _size(path)
            if size is not None:
                found.append(StoredFile(key=path.name, kind="damaged", size=size))
        return found

    def remove(self, key: str, seconds: float) -> int:
        """Remove what `files` tells of under this key, and give the bytes freed: 0 while somebody is fetching it."""
        freed = 0
        if not is_key(key):
            return freed
        with self.locked(key, seconds) as held:
            if held:
                places = (self.blobs / key, self.partial / f"{key}.part", self.quarantine / key)
                for path in places:
                    with suppress(OSError):
                        stat = path.stat()
                        if stat.st_nlink == 1:
                            path.unlink()
                            freed += stat.st_size
                for suffix in (".json", ".tmp"):
                    (self.partial / f"{key}{suffix}").unlink(missing_ok=True)
        return freed

    def disown(self, owner: str, seconds: float) -> None:
        """Remove the unfinished files that only `owner` wanted. One that is being fetched for another one stays."""
        for path in sorted(self.partial.glob("*.json")):
            if owner not in Sidecar.read(path).owners:
                continue
            with self.locked(path.stem, seconds) as held:
                if not held or not path.exists():
                    continue
                sidecar = Sidecar.read(path)
                sidecar.owners = tuple(other for other in sidecar.owners if other != owner)
                if sidecar.owners:
                    sidecar.write(path)
                else:
                    self.open(path.stem).discard()


def _acquired(lock: BaseFileLock, seconds: float) -> bool:
    try:
        lock.acquire(timeout=seconds, poll_interval=0.05)
    except Timeout:
        return False
    return True


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None
