"""What this machine has: memory and disk, in bytes."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path


def total_memory() -> int | None:
    """Physical memory; None where the system does not say (Windows)."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None


def gpu_memory() -> int | None:
    """The memory that GPUs have of their own; None where there is none, or it is not known."""
    return None


@dataclass(frozen=True, slots=True)
class Machine:
    """Bytes; None where the system does not say."""

    free: int | None
    disk: int | None
    memory: int | None


def disk_size(path: Path) -> int | None:
    """The size of the file system of `path` or of its nearest existing parent."""
    for candidate in (path, *path.parents):
        if candidate.exists():
            try:
                return shutil.disk_usage(candidate).total
            except OSError:
                return None
    return None


def free_disk(path: Path) -> int | None:
    """Free space for us on the file system of `path` or of its nearest existing parent."""
    for candidate in (path, *path.parents):
        if candidate.exists():
            try:
                return shutil.disk_usage(candidate).free
            except OSError:
                return None
    return None
