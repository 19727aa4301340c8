"""Writing a file so that there is always a whole one: a temporary file beside it, fsync, rename, fsync of the folder.

TinyDB's own storage writes in place: a kill leaves half a file, and a full disk a mixture of old and new.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
from collections.abc import Iterable
from pathlib import Path

from moorage.errors import StoreError

_TEMPORARY = re.compile(r".*\.tmp-[0-9a-f]{8}")


def write_atomic(path: Path, pieces: Iterable[bytes], *, previous: Path | None = None) -> None:
    """Replace `path` by the joined pieces, mode 0600; with `previous`, what was there stays under that name.

    StoreError when it cannot be written; the old file is then untouched.
    """
    temporary = _beside(path)
    try:
        try:
            _write_new(temporary, pieces)
            if previous is not None:
                _keep(path, previous)
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
        sync_directory(path.parent)
    except OSError as error:
        raise not_written(path, error) from error


def create_once(path: Path, data: bytes) -> None:
    """Create `path` with mode 0600, whole and durable, unless it is there: then that file stays as it is."""
    temporary = _beside(path)
    try:
        try:
            _write_new(temporary, (data,))
            os.link(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
        sync_directory(path.parent)
    except FileExistsError:
        return
    except OSError as error:
        raise not_written(path, error) from error


def make_directory(path: Path) -> None:
    """A directory for our own files only, mode 0700, also where it was looser before."""
    try:
        path.mkdir(mode=0o700, exist_ok=True)
        if path.stat().st_mode & 0o077:
            path.chmod(0o700)
        sync_directory(path.parent)
    except OSError as error:
        raise StoreError(
            f"The directory {path} cannot be made: {error.strerror}.",
            hint="Check its permissions, or choose another data directory with --home.",
        ) from error


def sync_directory(directory: Path) -> None:
    """Make a rename in `directory` durable; Windows has no such call and needs none."""
    if os.name == "nt":
        return
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def is_temporary(name: str) -> bool:
    """Whether a file has the name of one that a write of ours left behind when its process was killed."""
    return _TEMPORARY.fullmatch(name) is not None


def not_written(path: Path, error: OSError) -> StoreError:
    return StoreError(
        f"{path.name} could not be written: {error.strerror or error}.",
        hint=f"The change was not saved. Check the free space and the permissions of {path.parent}.",
    )


def not_read(path: Path, error: OSError) -> StoreError:
    return StoreError(
        f"{path} could not be read: {error.strerror or error}.", hint="Check the disk and the permissions of this file."
    )


def _beside(path: Path) -> Path:
    return path.with_name(f"{path.name}.tmp-{secrets.token_hex(4)}")


def _write_new(path: Path, pieces: Iterable[bytes]) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        for piece in pieces:
            file.write(piece)
        file.flush()
        os.fsync(file.fileno())


def _keep(path: Path, previous: Path) -> None:
    """Give the file a second name, which alone will have it after the replace; costs no copy where links exist."""
    temporary = _beside(previous)
    try:
        os.link(path, temporary)
    except OSError:  # a file system without hard links
        shutil.copy2(path, temporary)
    os.replace(temporary, previous)
