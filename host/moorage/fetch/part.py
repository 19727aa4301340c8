"""One file on its way: `<key>.part` with the bytes so far, and `<key>.json` beside it that says how many are safe.

The key is the file's sha256, so that the same file is fetched once, whoever asks for it and under whatever name. Bytes
count as kept when they were synced and the sidecar was written after that: neither a kill nor a power cut can make more
of them than there are, and the hash decides in the end.
"""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import IO

from moorage.errors import BadAnswer, MoorageError
from moorage.fetch.errors import writing
from moorage.fetch.owners import Owners
from moorage.fetch.sidecar import Sidecar
from moorage.models import FilePart

SYNC_BYTES = 64 * 1024 * 1024
SYNC_SECONDS = 5.0
BLOCK = 1024 * 1024
_SHA256 = re.compile(r"[0-9a-f]{64}")
_UNVERIFIED = "unverified-"


def key_of(part: FilePart) -> str:
    """The name under which a file is kept. It becomes a path, so nothing but checked digits may be in it."""
    if part.sha256 is None:
        known = [part.url.partition("?")[0], str(part.size), *([part.version] if part.version is not None else [])]
        return _UNVERIFIED + hashlib.sha256(" ".join(known).encode()).hexdigest()
    if not _SHA256.fullmatch(part.sha256) or part.size < 0:
        raise BadAnswer(f"The source names no usable hash for {part.name}.", hint="Choose another file.")
    return part.sha256


def is_key(text: str) -> bool:
    """Whether this is a name that `key_of` may have given."""
    return _SHA256.fullmatch(text.removeprefix(_UNVERIFIED)) is not None


class PartFile:
    """The open part. Only the holder of its lock may have one."""

    def __init__(self, directory: Path, key: str, part: FilePart) -> None:
        self._key = key
        self._owners = Owners(directory)
        self.path = directory / f"{key}.part"
        self._sidecar_path = directory / f"{key}.json"
        self.sidecar = Sidecar.read(self._sidecar_path)
        with writing():
            self._file: IO[bytes] = os.fdopen(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600), "r+b", buffering=0)
        self.offset = 0
        self._kept = min(self.sidecar.offset, os.fstat(self._file.fileno()).st_size)
        self._digest = hashlib.sha256()
        self._synced_at = time.monotonic()
        self._is_lost = False
        self._introduce(part)

    def _introduce(self, part: FilePart) -> None:
        """Write down at once what this becomes: a kill before the first sync must not leave bytes of nothing known."""
        known = replace(self.sidecar, name=part.name, total=part.size)
        if known == self.sidecar:
            return
        self.sidecar = known
        try:
            with writing():
                self.sidecar.write(self._sidecar_path)
        except MoorageError:
            self.close()
            raise

    def close(self) -> None:
        """Keep what there is. Never raises: the sidecar then simply knows of fewer bytes."""
        if self._file.closed:
            return
        with suppress(OSError, MoorageError):
            if self.offset < self._kept:  # stopped while it was reread: what is here is as good as it was
                pass
            elif self.offset == 0:
                self._discard()
            elif not self._is_lost:
                self._sync()
        with suppress(OSError):  # some file systems tell only here what they could not write
            self._file.close()

    def reread(self) -> Iterator[int]:
        """Go through the bytes that are here, to go on hashing after them; gives how many were read, block by block."""
        with writing():
            self._file.truncate(self._kept)
            self._file.seek(0)
            while self.offset < self._kept:
                block = self._file.read(min(BLOCK, self._kept - self.offset))
                if not block:  # somebody has shortened it meanwhile
                    self._kept = self.offset
                self._digest.update(block)
                self.offset += len(block)
                yield self.offset

    def append(self, data: bytes) -> None:
        """Write at the end. DiskFull keeps what did fit."""
        with writing():
            left = memoryview(data)
            while left:
                count = self._file.write(left) or 0
                self._digest.update(left[:count])
                self.offset += count
                left = left[count:]
            unsafe = self.offset - self.sidecar.offset
            if unsafe >= SYNC_BYTES or (unsafe and time.monotonic() - self._synced_at >= SYNC_SECONDS):
                self._sync()

    def restart(self) -> None:
        """Throw away what is here."""
        with writing():
            self._file.truncate(0)
            self._file.seek(0)
            self.offset, self._kept, self._digest = 0, 0, hashlib.sha256()
            self.sidecar.etag = None
            self._sync()

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()

    def publish(self, path: Path) -> None:
        """Make the finished file visible, whole and durable or not at all."""
        with writing():
            self._flush()
            self._file.close()
            self.path.replace(path)
            sync_directory(path.parent)
        with suppress(OSError, MoorageError):  # the file is there and right: a sweep takes the rest
            self._forget()

    def quarantine(self, directory: Path) -> None:
        """Put a damaged file aside, in place of an earlier one, where nobody takes it for a good one; begin anew."""
        with writing():
            directory.mkdir(mode=0o700, exist_ok=True)
            self._file.close()
            self.path.replace(directory / self.path.stem)
            self._file = os.fdopen(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600), "r+b", buffering=0)
        self.restart()

    def _discard(self) -> None:
        """Remove the part and what is known about it."""
        self._file.close()
        self.path.unlink(missing_ok=True)
        self._forget()

    def _forget(self) -> None:
        for path in (self._sidecar_path, self._sidecar_path.with_suffix(".tmp")):
            path.unlink(missing_ok=True)
        self._owners.forget(self._key)

    def _sync(self) -> None:
        self._flush()
        self.sidecar.offset = self.offset
        self.sidecar.write(self._sidecar_path)
        self._synced_at = time.monotonic()

    def _flush(self) -> None:
        try:
            os.fsync(self._file.fileno())
        except OSError:
            # The kernel tells it once and drops the bytes: that a later fsync succeeds proves nothing about them.
            self._is_lost = True
            raise


def sync_directory(path: Path) -> None:
    """Make names in a directory durable, where the system can do that."""
    with suppress(OSError):
        number = os.open(path, os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)
