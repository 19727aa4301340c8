"""Where files of models are kept: `blobs/` when finished, `partial/` on the way, `quarantine/` when they were wrong."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from moorage.fetch.part import PartFile, Sidecar, key_of, writing
from moorage.models import FilePart


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

    def open(self, key: str, owner: str | None) -> PartFile:
        """The unfinished file; its lock must be held."""
        return PartFile(self.partial, key, owner)

    @contextmanager
    def locked(self, key: str, seconds: float) -> Iterator[bool]:
        """Hold the lock of one file, against other threads and other processes; False when it was not to be had."""
        self.prepare()
        path = self.partial / f"{key}.lock"
        # A generator may be closed by another thread than the one that ran it, hence not thread-local.
        lock = FileLock(path, thread_local=False)
        try:
            lock.acquire(timeout=seconds, poll_interval=0.05)
        except Timeout:
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
        """Remove the finished files that nobody has a second name for, and those that were wrong."""
        for path in [*self.blobs.glob("*"), *self.quarantine.glob("*")]:
            with suppress(OSError):
                if path.stat().st_nlink == 1:
                    path.unlink()

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
                    self.open(path.stem, None).discard()


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None
