"""What this machine has: memory and disk, in bytes."""

from __future__ import annotations

import ctypes
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

SYSTEM = Path("/")
NVIDIA_SECONDS = 15.0  # a driver that has been asleep takes its time; it is asked in the background
AGAIN_SECONDS = 600.0  # after which a tool that failed is asked again
SMALLEST_GPU = 1024**3  # less is what a GPU without memory of its own has set aside


def total_memory(root: Path = SYSTEM) -> int | None:
    """What this process may use: the physical memory, or the limit of the container around it where that is lower.

    None where the system does not say. `root` is where `/proc` and `/sys` are.
    """
    physical = _physical_memory()
    return min([*_container_limits(root), *([] if physical is None else [physical])], default=None)


def gpu_memory(root: Path = SYSTEM) -> int | None:
    """What GPUs have of their own, all of one maker together, since an engine uses them so; None without one.

    The first call may take two seconds. Apple's GPUs share the memory of the system, so they have none of their own.
    """
    sizes = _amd_sizes(root), _NVIDIA.sizes(shutil.which("nvidia-smi"))
    return max(sum(size for size in each if size >= SMALLEST_GPU) for each in sizes) or None


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


def _physical_memory() -> int | None:
    if sys.platform == "win32":
        return _windows_memory()
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None


def _windows_memory() -> int | None:
    """By GlobalMemoryStatusEx, whose structure has its own size in front and the total third."""
    words = [("length", ctypes.c_uint32), ("load", ctypes.c_uint32)]
    status = type("MemoryStatus", (ctypes.Structure,), {"_fields_": [*words, ("bytes", ctypes.c_uint64 * 7)]})()
    status.length = ctypes.sizeof(status)
    asked = getattr(ctypes, "windll").kernel32.GlobalMemoryStatusEx(ctypes.byref(status))  # noqa: B009 - only there
    return int(status.bytes[0]) if asked else None


def _container_limits(root: Path) -> Iterator[int]:
    """The limits of the control groups that this process is in, each of which holds for all below it."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except (OSError, UnicodeDecodeError):
        return
    for line in lines:
        _, controllers, group = (*line.split(":", 2), "", "")[:3]
        if not controllers:  # version 2, or its part of a mixed system
            top, name = root / "sys/fs/cgroup", "memory.max"
        elif "memory" in controllers.split(","):
            top, name = root / "sys/fs/cgroup/memory", "memory.limit_in_bytes"
        else:
            continue
        # Inside a container the path may be the one outside of it; what holds for all is at the top in any case.
        inner = Path(group.lstrip("/"))
        for parent in (inner, *inner.parents):
            if ".." not in parent.parts and (limit := _number(top / parent / name)):
                yield limit


def _amd_sizes(root: Path) -> tuple[int, ...]:
    """As the kernel says it."""
    files = (root / "sys/class/drm").glob("card*/device/mem_info_vram_total")
    return tuple(_number(file) or 0 for file in files if re.fullmatch(r"card\d+", file.parts[-3]))


class _Nvidia:
    """NVIDIA's own tool. What it says once does not change; that it failed may."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._said: dict[str, tuple[float, tuple[int, ...]]] = {}

    def sizes(self, program: str | None) -> tuple[int, ...]:
        """Bytes of each GPU; none where there is no tool, or it does not answer."""
        if program is None:
            return ()
        with self._lock:
            at, sizes = self._said.get(program, (-AGAIN_SECONDS, ()))
            if not sizes and time.monotonic() - at >= AGAIN_SECONDS:
                sizes = _nvidia_sizes(program)
                self._said[program] = (time.monotonic(), sizes)
            return sizes


_NVIDIA = _Nvidia()


def _nvidia_sizes(program: str) -> tuple[int, ...]:
    command = [program, "--query-gpu=memory.total", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(  # noqa: S603 - found on the PATH
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=NVIDIA_SECONDS, check=True, text=True
        )
        return tuple(int(line) * 1024**2 for line in done.stdout.split())
    except (OSError, subprocess.SubprocessError, ValueError):
        return ()


def _number(path: Path) -> int | None:
    """The number in a file of the system; None where there is none, as in `max`."""
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None
