"""One file on its way: `<key>.part` with the bytes so far, and `<key>.json` beside it that says how many are safe.

The key is the file's sha256, so that the same file is fetched once, whoever asks for it and under whatever name. Bytes
count as kept when they were synced and the sidecar was written after that: neither a kill nor a power cut can make more
of them than there are, and the hash decides in the end.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import IO

from moorage.errors import BadAnswer, DiskFull, MoorageError, StoreError
from moorage.fetch.sidecar import Sidecar
from moorage.models import FilePart

SYNC_BYTES = 64 * 1024 * 1024
SYNC_SECONDS = 5.0
BLOCK = 1024 * 1024
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_SHA256 = re.compile(r"[0-9a-f]{64}")
_UNVERIFIED = "unverified-"


def key_of(part: FilePart) -> str:
    """The name under which a file is kept. It becomes a path, so nothing but checked digits may be in it."""
    if part.sha256 is None:
        return _UNVERIFIED + hashlib.sha256(f"{part.url.partition('?')[0]} {part.size}".encode()).hexdigest()
    if not _SHA256.fullmatch(part.sha256) or part.size < 0:
        raise BadAnswer(f"The source names no usable hash for {part.name}.", hint="Choose another file.")
    return part.sha256


def is_key(text: str) -> bool:
    """Whether this is a name that `key_of` may have given."""
    return _SHA256.fullmatch(text.removeprefix(_UNVERIFIED)) is not None


class PartFile:
    """The open part. Only the holder of its lock may have one."""

    def __init__(self, directory: Path, key: str, *, owner: str | None = None, part: FilePart | None = None) -> None:
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
        self._introduce(owner, part)

    def _introduce(self, owner: str | None, part: FilePart | None) -> None:
        """Write down at once whose file this is: a kill before the first sync must not leave bytes of nobody."""
        known = replace(self.sidecar)
        if owner is not None and owner not in known.owners:
            known.owners = (*known.owners, owner)
        if part is not None:
            known.name, known.total = part.name, part.size
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
        if self.offset < self._kept:  # stopped while it was reread: what is here is as good as it was
            self._file.close()
        elif self.offset == 0:
            self.discard()
        else:
            if not self._is_lost:
                with suppress(OSError):
                    self._sync()
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
        self._forget()

    def quarantine(self, directory: Path) -> None:
        """Put a damaged file aside, where nobody takes it for a good one, and begin an empty part."""
        with writing():
            directory.mkdir(mode=0o700, exist_ok=True)
            self._file.close()
            self.path.replace(directory / self.path.stem)
            self._file = os.fdopen(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600), "r+b", buffering=0)
        self.restart()

    def discard(self) -> None:
        """Remove the part and what is known about it."""
        self._file.close()
        self.path.unlink(missing_ok=True)
        self._forget()

    def _forget(self) -> None:
        for path in (self._sidecar_path, self._sidecar_path.with_suffix(".tmp")):
            path.unlink(missing_ok=True)

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


@contextmanager
def writing() -> Iterator[None]:
    """Errors of the disk by their kind: full, or not to be written at all."""
    try:
        yield
    except OSError as error:
        if error.errno in NO_ROOM:
            raise DiskFull(
                f"The disk is full ({error.strerror}).",
                hint="Make room and resume: what was downloaded so far is kept.",
            ) from None
        raise StoreError(
            f"The models directory cannot be written: {error.strerror}.", hint="Check the disk and its permissions."
        ) from None


def sync_directory(path: Path) -> None:
    """Make names in a directory durable, where the system can do that."""
    with suppress(OSError):
        number = os.open(path, os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)
