"""One file on its way: `<key>.part` with the bytes so far, and `<key>.json` beside it that says how many are safe.

The key is the file's sha256, so that the same file is fetched once, whoever asks for it and under whatever name. Bytes
count as kept when they were synced and the sidecar was written after that: neither a kill nor a power cut can make more
of them than there are, and the hash decides in the end.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from moorage.errors import BadAnswer, DiskFull, StoreError
from moorage.models import FilePart

SYNC_BYTES = 64 * 1024 * 1024
SYNC_SECONDS = 5.0
BLOCK = 1024 * 1024
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_SHA256 = re.compile(r"[0-9a-f]{64}")


def key_of(part: FilePart) -> str:
    """The name under which a file is kept. It becomes a path, so nothing but checked digits may be in it."""
    if part.sha256 is None:
        return "unverified-" + hashlib.sha256(f"{part.url.partition('?')[0]} {part.size}".encode()).hexdigest()
    if not _SHA256.fullmatch(part.sha256) or part.size < 0:
        raise BadAnswer(f"The source names no usable hash for {part.name}.", hint="Choose another file.")
    return part.sha256


@dataclass
class Sidecar:
    """What is known about a part. `offset` counts the bytes that are safe; `owners` are the installs that want it."""

    offset: int = 0
    etag: str | None = None
    owners: tuple[str, ...] = ()

    @classmethod
    def read(cls, path: Path) -> Sidecar:
        """The sidecar, or an empty one where it is missing or damaged: then the bytes are fetched again."""
        try:
            value = json.loads(path.read_bytes())
            return cls(int(value["offset"]), value["etag"], tuple(value["owners"]))
        except (OSError, ValueError, TypeError, KeyError):
            return cls()

    def write(self, path: Path) -> None:
        temporary = path.with_suffix(".tmp")
        with temporary.open("wb") as file:
            file.write(json.dumps(asdict(self)).encode())
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)


class PartFile:
    """The open part. Only the holder of its lock may have one."""

    def __init__(self, directory: Path, key: str, owner: str | None) -> None:
        self.path = directory / f"{key}.part"
        self._sidecar_path = directory / f"{key}.json"
        self.sidecar = Sidecar.read(self._sidecar_path)
        if owner is not None and owner not in self.sidecar.owners:
            self.sidecar.owners = (*self.sidecar.owners, owner)
        with writing():
            self._file: IO[bytes] = os.fdopen(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600), "r+b", buffering=0)
        self.offset = 0
        self._digest = hashlib.sha256()
        self._synced_at = time.monotonic()

    def close(self) -> None:
        """Keep what there is. Never raises: the sidecar then simply knows of fewer bytes."""
        if self._file.closed:
            return
        if self.offset == 0:
            self.discard()
            return
        with suppress(OSError):
            self._sync()
        self._file.close()

    def reread(self) -> Iterator[int]:
        """Go through the bytes that are here, to go on hashing after them; gives how many were read, block by block."""
        kept = min(self.sidecar.offset, os.fstat(self._file.fileno()).st_size)
        self._file.truncate(kept)
        self._file.seek(0)
        while self.offset < kept:
            block = self._file.read(min(BLOCK, kept - self.offset))
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
            self.offset, self._digest = 0, hashlib.sha256()
            self.sidecar.etag = None
            self._sync()

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()

    def publish(self, path: Path) -> None:
        """Make the finished file visible, whole and durable or not at all."""
        with writing():
            os.fsync(self._file.fileno())
            self._file.close()
            self.path.replace(path)
            sync_directory(path.parent)
        self._sidecar_path.unlink(missing_ok=True)

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
        self._sidecar_path.unlink(missing_ok=True)

    def _sync(self) -> None:
        os.fsync(self._file.fileno())
        self.sidecar.offset = self.offset
        self.sidecar.write(self._sidecar_path)
        self._synced_at = time.monotonic()


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
