"""Writing a file so that there is always a whole one: a temporary file beside it, fsync, rename, fsync of the folder.

Source for why: TinyDB's own storage writes in place and can leave half a file; see docs/adr/0001.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable
from pathlib import Path

from moorage.errors import StoreError

TEMPORARY = ".tmp-"


def write_atomic(path: Path, pieces: Iterable[bytes], mode: int = 0o600) -> None:
    """Replace `path` by the joined pieces; on failure StoreError is raised and the old file is untouched."""
    temporary = path.with_name(f"{path.name}{TEMPORARY}{secrets.token_hex(4)}")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        try:
            with os.fdopen(descriptor, "wb", buffering=0) as file:
                file.write(b"".join(pieces))
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        sync_directory(path.parent)
    except OSError as error:
        raise StoreError(
            f"{path.name} could not be written: {error.strerror}.",
            hint=f"Nothing was changed. Check the free space and the permissions of {path.parent}.",
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


def sweep_temporary(directory: Path) -> None:
    """Remove what a process left that was killed in the middle of a write."""
    for path in directory.rglob(f"*{TEMPORARY}*"):
        path.unlink(missing_ok=True)
